"""The options of the group ``collector``, one dataclass each.

Begin with `means`. Every option has its default here; nothing heavy is imported.

Rules themselves do not belong here, see `aeros_aggregators.rules`.
"""

from aeros_aggregators.config.asynchronous import (
    FedAsync,
    FedBuff,
    Staleness,
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
from aeros_aggregators.config.wrappers import (
    Ema,
    Swa,
    Tree,
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
