"""What a server has done, in the text format of Prometheus (version 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from aeros_core.counts import Count
from aeros_core.powers import SupportsCounts
from aeros_serving.lane import Lane
from aeros_serving.shelf import Shelf
from aeros_serving.statistics import Drift, Histogram

__all__ = ["CONTENT_TYPE", "text"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_STAGES = {
    "queue": "Seconds that requests waited for their batch",
    "batch": "Seconds to gather a batch and to cut its answer apart",
    "compute": "Seconds in which a batch was transformed and answered",
    "total": "Seconds from a request's arrival to its answer",
}


def text(shelf: Shelf) -> str:
    """Return all metrics of the loaded versions."""
    lanes = [(slot.live is lane, lane) for slot in shelf for lane in slot.lanes]
    failures = {slot.name: 0 for slot in shelf} | shelf.failures
    return "".join(f"{line}\n" for line in (*_lines(lanes), *_of_loads(failures)))


def _lines(lanes: list[tuple[bool, Lane]]) -> Iterator[str]:
    all_ = [lane for _, lane in lanes]
    yield from _of_stages(all_)
    yield from _head("aeros_batch_rows", "histogram", "Rows of a batch")
    for lane in all_:
        yield from _histogram("aeros_batch_rows", _labels(lane), lane.served.statistics.sizes)
    yield from _head("aeros_requests_total", "counter", "Requests that were answered")
    for lane in all_:
        seen = lane.served.statistics
        yield _sample("aeros_requests_total", _labels(lane), seen.success.count)
    yield from _head("aeros_errors_total", "counter", "Requests that were not answered, and why")
    for lane in all_:
        for kind, count in lane.served.statistics.errors.items():
            yield _sample("aeros_errors_total", _labels(lane) | {"kind": kind}, count)
    yield from _head("aeros_explanations_total", "counter", "Answers that were explained")
    for lane in all_:
        seen = lane.served.statistics
        yield _sample("aeros_explanations_total", _labels(lane), seen.explained.count)
    yield from _head("aeros_rows_total", "counter", "Rows that were answered")
    for lane in all_:
        yield _sample("aeros_rows_total", _labels(lane), lane.served.statistics.rows)
    yield from _head("aeros_waiting", "gauge", "Requests that wait")
    for lane in all_:
        yield _sample("aeros_waiting", _labels(lane), lane.waiting)
    yield from _head("aeros_model_version", "gauge", "Version that is loaded, by its role")
    for live, lane in lanes:
        role = {"model": lane.served.name, "role": "live" if live else "canary"}
        yield _sample("aeros_model_version", role, lane.served.version)
    yield from _of_drift(all_)
    yield from _of_inferencers(all_)


def _of_loads(failures: Mapping[str, int]) -> Iterator[str]:
    name = "aeros_load_failures_total"
    yield from _head(name, "counter", "Versions that could not be taken up, each time")
    for model, count in failures.items():
        yield _sample(name, {"model": model}, count)


def _of_stages(lanes: Iterable[Lane]) -> Iterator[str]:
    for stage, what in _STAGES.items():
        name = f"aeros_{stage}_seconds"
        yield from _head(name, "histogram", what)
        for lane in lanes:
            yield from _histogram(name, _labels(lane), lane.served.statistics.histograms[stage])


def _of_drift(lanes: Sequence[Lane]) -> Iterator[str]:
    for name, what, kind, attribute in (
        ("aeros_input_values_total", "Values of inputs that were looked at", "counter", "values"),
        (
            "aeros_input_outside_total",
            "Of these, beyond the range of training",
            "counter",
            "outside",
        ),
        ("aeros_input_mean", "Mean of the values looked at", "gauge", "mean"),
        ("aeros_input_deviation", "Their standard deviation", "gauge", "deviation"),
    ):
        yield from _head(name, kind, what)
        for labels, drift in _drifts(lanes):
            if kind == "counter" or drift.values:  # nothing has no mean
                yield _sample(name, labels, getattr(drift, attribute))
    yield from _of_training(lanes)


def _of_training(lanes: Sequence[Lane]) -> Iterator[str]:
    name = "aeros_input_range"
    yield from _head(name, "gauge", "Lowest and highest value of training")
    for labels, drift in _drifts(lanes):
        for bound, value in zip(("low", "high"), drift.field.range or (), strict=False):
            yield _sample(name, labels | {"bound": bound}, float(value))
    name = "aeros_input_strange_total"
    yield from _head(name, "counter", "Values that were refused, as none of the categories")
    for lane in lanes:
        for field, column in lane.served.contract.columns.items():
            if column.field.categories:
                yield _sample(name, _labels(lane) | {"input": field}, column.strange)


def _drifts(lanes: Sequence[Lane]) -> Iterator[tuple[dict[str, str], Drift]]:
    for lane in lanes:
        for drift in lane.served.statistics.drift:
            yield _labels(lane) | {"input": drift.field.name}, drift


def _of_inferencers(lanes: Iterable[Lane]) -> Iterator[str]:
    """Yield what inferencers count themselves; all of a name stands together."""
    found: dict[str, list[tuple[Count, Mapping[str, str]]]] = {}
    for lane in lanes:
        inferencer = lane.served.service.inferencer
        for count in inferencer.counts() if isinstance(inferencer, SupportsCounts) else ():
            found.setdefault(count.name, []).append((count, _labels(lane)))
    for name, counts in found.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        yield from _head(name, kind, counts[0][0].what)
        for count, labels in counts:
            yield _sample(name, {**labels, **count.labels}, count.value)


def _labels(lane: Lane) -> dict[str, str]:
    return {"model": lane.served.name, "version": str(lane.served.version)}


def _head(name: str, kind: str, what: str) -> Iterator[str]:
    yield f"# HELP {name} {what}."
    yield f"# TYPE {name} {kind}"


def _histogram(name: str, labels: Mapping[str, str], histogram: Histogram) -> Iterator[str]:
    sums = list(accumulate(histogram.counts))
    for bound, count in zip((*histogram.bounds, "+Inf"), sums, strict=True):
        yield _sample(f"{name}_bucket", {**labels, "le": str(bound)}, count)
    yield _sample(f"{name}_sum", labels, histogram.total)
    yield _sample(f"{name}_count", labels, sums[-1])


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    told = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{told}}} {value!r}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
