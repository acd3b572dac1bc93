"""The version of aeros-core: that of pyproject.toml, without a look at installed metadata."""

__all__ = ["__version__"]

__version__ = "0.1.0"
