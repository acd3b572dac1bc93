"""Tasks on real machines: ``controller=flower``, and ``aeros up``, ``executor``, ``down``."""

from aeros_core import hookimpl
from aeros_flower.config import Flower, FlowerSimulation, Metrics

__all__ = ["Flower", "FlowerSimulation", "Metrics", "aeros_callbacks", "aeros_controllers"]


@hookimpl
def aeros_controllers() -> dict[str, type]:
    """Offer ``controller=flower`` and ``controller=flower_simulation``."""
    return {"flower": Flower, "flower_simulation": FlowerSimulation}


@hookimpl
def aeros_callbacks() -> dict[str, type]:
    """Offer ``callback=[metrics]``."""
    return {"metrics": Metrics}
