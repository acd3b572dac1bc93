"""Tasks on real machines: ``controller=flower``, and ``aeros up``, ``executor``, ``down``."""

from aeros_core import hookimpl
from aeros_flower.config import Flower

__all__ = ["Flower", "aeros_controllers"]


@hookimpl
def aeros_controllers() -> dict[str, type]:
    """Offer ``controller=flower``."""
    return {"flower": Flower}
