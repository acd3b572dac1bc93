"""What versions have done, as plain data, and the sum of several processes' reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from aeros_core.roles.inferencer import Count, SupportsMetrics
from aeros_core.schema import Field
from aeros_serving.models.queue import RequestQueue
from aeros_serving.models.repository import ModelRepository
from aeros_serving.models.statistics import Drift, Duration, Histogram, Statistics

__all__ = ["VersionReport", "from_json", "merged", "past", "report_of", "to_json"]


@dataclass(frozen=True, slots=True)
class VersionReport:
    """What one version of a model has done.

    Args:
        name: Name of the model.
        version: Its version.
        live: Whether it is the live version; else it is the canary.
        statistics: Counts, durations, histograms, and drift of the inputs.
        waiting: Requests that wait.
        strange: Values that were none of the categories, by the name of each categorical input.
        counts: What its inferencer counts.
    """

    name: str
    version: int
    live: bool
    statistics: Statistics
    waiting: int
    strange: Mapping[str, int]
    counts: Sequence[Count]

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from reports about other versions."""
        return self.name, self.version


def report_of(models: ModelRepository) -> list[VersionReport]:
    """Return what each version that is loaded in this process has done."""
    return [_report(queue, queue is each.live) for each in models for queue in each.queues]


def _report(queue: RequestQueue, live: bool) -> VersionReport:
    served = queue.served
    inferencer = served.service.inferencer
    return VersionReport(
        served.name,
        served.version,
        live,
        served.statistics,
        queue.waiting,
        {
            name: column.strange
            for name, column in served.contract.columns.items()
            if column.field.categories
        },
        list(inferencer.counts()) if isinstance(inferencer, SupportsMetrics) else [],
    )


# ---------------------------------------------------------------- sums


def merged(reports: Iterable[VersionReport]) -> list[VersionReport]:
    """Return one report about each version: the sum of those of several processes."""
    found: dict[tuple[str, int], VersionReport] = {}
    for each in reports:
        before = found.get(each.key)
        found[each.key] = each if before is None else _both(before, each)
    return list(found.values())


def past(report: VersionReport) -> VersionReport:
    """Return what remains of the report of a process that has ended: what only ever grows."""
    grown = [count for count in report.counts if count.name.endswith("_total")]
    return replace(report, waiting=0, counts=grown)


def _both(one: VersionReport, other: VersionReport) -> VersionReport:
    strange = _sum(dict(one.strange), dict(other.strange))
    return replace(
        other,
        statistics=_all_of(one.statistics, other.statistics),
        waiting=one.waiting + other.waiting,
        strange=strange,
        counts=_counts([*one.counts, *other.counts]),
    )


def _all_of(one: Statistics, other: Statistics) -> Statistics:
    sums = {
        each.name: _sum(getattr(one, each.name), getattr(other, each.name))
        for each in fields(Statistics)
        if each.name not in ("last", "drift")
    }
    drift = _sum(_by_field(one), _by_field(other))  # a process may have given up on one
    return Statistics(**sums, last=max(one.last, other.last), drift=tuple(drift.values()))


def _by_field(statistics: Statistics) -> dict[str, Drift]:
    return {drift.field.name: drift for drift in statistics.drift}


def _sum(one: Any, other: Any) -> Any:
    """Return the sum of two values of `Statistics`, part by part."""
    if isinstance(one, Mapping):
        both = one.keys() & other.keys()
        return {**one, **other} | {key: _sum(one[key], other[key]) for key in both}
    if isinstance(one, tuple):
        return tuple(_sum(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, Duration):
        return Duration(one.count + other.count, one.ns + other.ns)
    if isinstance(one, Histogram):
        whole = Histogram(one.bounds)
        whole.counts = [a + b for a, b in zip(one.counts, other.counts, strict=True)]
        whole.total = one.total + other.total
        return whole
    return _drift(one, other) if isinstance(one, Drift) else one + other


def _drift(one: Drift, other: Drift) -> Drift:
    """Return mean and spread of two sets of values (Chan, Golub and LeVeque, 1979)."""
    if not (count := one.values + other.values):
        return one
    change = other.mean - one.mean
    spread = one.spread + other.spread + change * change * one.values * other.values / count
    mean = one.mean + change * other.values / count
    return Drift(one.field, count, one.outside + other.outside, mean, spread)


def _counts(counts: Iterable[Count]) -> list[Count]:
    """Return sums of what only grows, and the highest of any other count."""
    found: dict[object, Count] = {}
    for each in counts:
        key = each.name, tuple(sorted(each.labels.items()))
        if (before := found.get(key)) is not None:
            grows = each.name.endswith("_total")
            value = before.value + each.value if grows else max(before.value, each.value)
            found[key] = replace(each, value=value)
        else:
            found[key] = each
    return list(found.values())


# ---------------------------------------------------------------- JSON


def to_json(report: VersionReport) -> dict[str, Any]:
    """Return a report as JSON has it."""
    statistics = asdict(replace(report.statistics, drift=()))
    statistics["batches"] = list(statistics["batches"].items())
    statistics["drift"] = [_drift_to_json(each) for each in report.statistics.drift]
    return {
        "name": report.name,
        "version": report.version,
        "live": report.live,
        "statistics": statistics,
        "waiting": report.waiting,
        "strange": dict(report.strange),
        "counts": [asdict(count) for count in report.counts],
    }


def from_json(data: Mapping[str, Any]) -> VersionReport:
    """Return a report from what `to_json` made of it."""
    return VersionReport(
        data["name"],
        data["version"],
        data["live"],
        _statistics(data["statistics"]),
        data["waiting"],
        data["strange"],
        [Count(**count) for count in data["counts"]],
    )


def _statistics(data: Mapping[str, Any]) -> Statistics:
    made = Statistics()
    for each in fields(Statistics):
        setattr(made, each.name, _like(getattr(made, each.name), data[each.name]))
    made.batches = {
        size: (Duration(**first), Duration(**second), Duration(**third))
        for size, (first, second, third) in data["batches"]
    }
    made.histograms = {name: _histogram(each) for name, each in data["histograms"].items()}
    made.drift = tuple(_drift_from_json(each) for each in data["drift"])
    return made


def _like(before: Any, data: Any) -> Any:
    """Return a value of JSON as the type that it is to replace."""
    if isinstance(before, Duration):
        return Duration(**data)
    return _histogram(data) if isinstance(before, Histogram) else data


def _histogram(data: Mapping[str, Any]) -> Histogram:
    made = Histogram(tuple(data["bounds"]))
    made.counts, made.total = list(data["counts"]), data["total"]
    return made


def _drift_to_json(drift: Drift) -> dict[str, Any]:
    """Return the drift of an input; of its field what metrics show."""
    low_high = None if drift.field.range is None else [float(v) for v in drift.field.range]
    field = {"name": drift.field.name, "dtype": drift.field.dtype, "range": low_high}
    return asdict(drift) | {"field": field}


def _drift_from_json(data: Mapping[str, Any]) -> Drift:
    field = data["field"]
    low_high = None if field["range"] is None else tuple(field["range"])
    return Drift(**{**data, "field": Field(field["name"], field["dtype"], range=low_high)})
