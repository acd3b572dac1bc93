"""The options of rules that bear with wrong updates."""

from __future__ import annotations

from dataclasses import dataclass

from aeros_aggregators.config.rule import Rule

__all__ = [
    "Bulyan",
    "CentredClip",
    "GeometricMedian",
    "Krum",
    "Median",
    "MultiKrum",
    "NormClip",
    "TrimmedMean",
]


@dataclass
class NormClip(Rule):
    """Mean of the updates, each shortened where it goes too far.

    Args:
        bound: L2 length, over all floating-point parameters, that the change of one
            update may have, above 0.
    """

    _target_: str = "aeros_aggregators.rules.norm_based.NormClip"
    bound: float = 1.0


@dataclass
class CentredClip(Rule):
    """Mean of the updates, each held near where the last rounds went.

    Args:
        tau: L2 distance, over all floating-point parameters, from the last change beyond
            which an update is shortened, above 0.
        iterations: Passes over the updates, 1 or more; one holds none of them.
        momentum: Part of the last change that is kept, 0 to below 1.
    """

    _target_: str = "aeros_aggregators.rules.centred_clip.CentredClip"
    tau: float = 1.0
    iterations: int = 1
    momentum: float = 0.0


@dataclass
class Median(Rule):
    """Median of every coordinate, whatever the numbers of examples."""

    _target_: str = "aeros_aggregators.rules.robust.Median"


@dataclass
class TrimmedMean(Rule):
    """Mean of every coordinate without its least and greatest values.

    Args:
        trim: Part of the updates that is left out at either end, 0 to below 0.5.
    """

    _target_: str = "aeros_aggregators.rules.robust.TrimmedMean"
    trim: float = 0.2


@dataclass
class GeometricMedian(Rule):
    """The point whose summed distance to the updates is least, weighted by examples (RFA).

    Args:
        iterations: Steps of the smoothed Weiszfeld algorithm, 1 or more.
        smoothing: Distance below which an update counts no more, above 0.
    """

    _target_: str = "aeros_aggregators.rules.geometric_median.GeometricMedian"
    iterations: int = 4
    smoothing: float = 1e-6


@dataclass
class Krum(Rule):
    """The one update that lies closest to its neighbours.

    Args:
        byzantine: Updates that may be wrong, 0 or more; a round needs 2 f + 3 updates.
            Size it for the tail of the sampled cohort, not for the mean.
    """

    _target_: str = "aeros_aggregators.rules.krum.Krum"
    byzantine: int = 1


@dataclass
class MultiKrum(Krum):
    """Mean of the updates that lie closest to their neighbours, weighted by examples.

    Args:
        keep: Updates that are averaged; 0: all but ``byzantine`` of them.
    """

    _target_: str = "aeros_aggregators.rules.krum.MultiKrum"
    keep: int = 0


@dataclass
class Bulyan(Rule):
    """Krum again and again, then of every coordinate the mean around the median.

    Args:
        byzantine: Updates that may be wrong, 0 or more; a round needs 4 f + 3 updates.
    """

    _target_: str = "aeros_aggregators.rules.krum.Bulyan"
    byzantine: int = 1
