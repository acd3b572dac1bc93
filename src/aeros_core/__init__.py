"""aeros: a declarative plugin framework for decentralised AI.

A plugin imports `hookimpl` from here; everything else lives in the module that is
named after it: `aeros_core.roles`, `aeros_core.messages`, `aeros_core.testing`, …
"""

from aeros_core.hookspecs import hookimpl

__all__ = ["__version__", "hookimpl"]

__version__ = "0.1.0"
