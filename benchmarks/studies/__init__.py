"""How edgebee itself was tuned and measured; run as modules, not part of the wheel."""
