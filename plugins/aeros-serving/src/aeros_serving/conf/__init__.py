"""Configuration files: what `aeros serve` starts from."""
