"""`edgebee classify` in the field: cameras, watched folders, where photos are put."""
