"""Models behind the Open Inference Protocol v2; the command ``aeros serve``.

Importing this module imports no server; see `aeros_serving.config` for the options.
"""

from collections.abc import Mapping
from typing import Any

from aeros_core import hookimpl
from aeros_serving.config import Promote

__all__ = ["aeros_callbacks"]


@hookimpl
def aeros_callbacks() -> Mapping[str, type[Any]]:
    """Offer the callback of this package."""
    return {"promote": Promote}
