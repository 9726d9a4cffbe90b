"""What a benchmark found, as tables, charts and a page."""
