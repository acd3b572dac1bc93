"""Collectors: aggregation rules on numba kernels over flat vectors.

Nothing heavy is imported here; numba comes with the rule that is chosen.
"""

from typing import Any

from aeros_aggregators import config
from aeros_core import hookimpl

__all__ = ["aeros_collectors"]


@hookimpl
def aeros_collectors() -> dict[str, type[Any]]:
    """Offer the aggregation rules."""
    return {
        "fedadagrad": config.FedAdagrad,
        "fedadam": config.FedAdam,
        "fedavg": config.FedAvg,
        "fedavgm": config.FedAvgM,
        "fedprox": config.FedProx,
        "fedyogi": config.FedYogi,
        "median": config.Median,
    }
