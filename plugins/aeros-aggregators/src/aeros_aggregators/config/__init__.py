"""The options of the group ``collector``: one dataclass each, every option with its default."""

from aeros_aggregators.config.holders import (
    Ema,
    Swa,
    Tree,
)
from aeros_aggregators.config.means import (
    FedAdagrad,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedBN,
    FedDyn,
    FedExP,
    FedNova,
    FedProx,
    FedYogi,
    QFedAvg,
    Scaffold,
)
from aeros_aggregators.config.robust import (
    Bulyan,
    CentredClip,
    GeometricMedian,
    Krum,
    Median,
    MultiKrum,
    NormClip,
    TrimmedMean,
)
from aeros_aggregators.config.rule import (
    Rule,
)
from aeros_aggregators.config.stale import (
    FedAsync,
    FedBuff,
    Staleness,
)

__all__ = [
    "Bulyan",
    "CentredClip",
    "Ema",
    "FedAdagrad",
    "FedAdam",
    "FedAsync",
    "FedAvg",
    "FedAvgM",
    "FedBN",
    "FedBuff",
    "FedDyn",
    "FedExP",
    "FedNova",
    "FedProx",
    "FedYogi",
    "GeometricMedian",
    "Krum",
    "Median",
    "MultiKrum",
    "NormClip",
    "QFedAvg",
    "Rule",
    "Scaffold",
    "Staleness",
    "Swa",
    "Tree",
    "TrimmedMean",
]
