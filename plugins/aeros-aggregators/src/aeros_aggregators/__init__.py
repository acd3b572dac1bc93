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
        "bulyan": config.Bulyan,
        "fedadagrad": config.FedAdagrad,
        "fedadam": config.FedAdam,
        "fedavg": config.FedAvg,
        "fedavgm": config.FedAvgM,
        "fedexp": config.FedExP,
        "fedprox": config.FedProx,
        "fedyogi": config.FedYogi,
        "geometric_median": config.GeometricMedian,
        "krum": config.Krum,
        "median": config.Median,
        "multikrum": config.MultiKrum,
        "norm_clip": config.NormClip,
        "qfedavg": config.QFedAvg,
        "trimmed_mean": config.TrimmedMean,
    }
