"""Controllers of the core: how instructions reach nodes."""
