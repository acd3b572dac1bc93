"""Sources: the first of the transformers, which load data."""
