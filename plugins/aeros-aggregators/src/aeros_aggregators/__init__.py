"""Collectors: aggregation rules on numba kernels over flat vectors.

Nothing heavy is imported here; numba comes with the rule that is chosen. Begin with
`aeros_aggregators.rules.fedavg`, then `aeros_aggregators.reduction.weighted_sum`.

The round loop does not belong here, see `aeros_core.federated`.
"""

from typing import Any

from aeros_aggregators import config
from aeros_aggregators.config import codecs as config_codecs
from aeros_core import hookimpl

__all__ = ["aeros_codecs", "aeros_collectors", "aeros_rules"]


RULES: dict[str, type[Any]] = {
    "bulyan": config.Bulyan,
    "centred_clip": config.CentredClip,
    "fedadagrad": config.FedAdagrad,
    "fedadam": config.FedAdam,
    "fedasync": config.FedAsync,
    "fedavg": config.FedAvg,
    "fedavgm": config.FedAvgM,
    "fedbn": config.FedBN,
    "fedbuff": config.FedBuff,
    "feddyn": config.FedDyn,
    "fedexp": config.FedExP,
    "fednova": config.FedNova,
    "fedprox": config.FedProx,
    "fedyogi": config.FedYogi,
    "geometric_median": config.GeometricMedian,
    "krum": config.Krum,
    "median": config.Median,
    "multikrum": config.MultiKrum,
    "norm_clip": config.NormClip,
    "qfedavg": config.QFedAvg,
    "scaffold": config.Scaffold,
    "trimmed_mean": config.TrimmedMean,
}


@hookimpl
def aeros_collectors() -> dict[str, type[Any]]:
    """Offer the aggregation rules, and what holds other rules."""
    return {**RULES, "ema": config.Ema, "swa": config.Swa, "tree": config.Tree}


@hookimpl
def aeros_rules() -> dict[str, type[Any]]:
    """Offer the aggregation rules to collectors that hold others."""
    return RULES


@hookimpl
def aeros_codecs() -> dict[str, type[Any]]:
    """Offer compression of updates."""
    return {
        "bfloat16": config_codecs.BFloat16,
        "float16": config_codecs.Float16,
        "int8": config_codecs.Int8,
        "randomk": config_codecs.RandomK,
        "topk": config_codecs.TopK,
    }
