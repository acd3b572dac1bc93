"""Configuration files, shipped as a package so that Hydra finds them."""
