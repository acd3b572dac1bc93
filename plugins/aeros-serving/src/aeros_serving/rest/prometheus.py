"""What a server has done, in the text format of Prometheus (version 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from aeros_core.roles.inferencer import Count
from aeros_serving.control.process_group import ServerReport
from aeros_serving.control.report import VersionReport
from aeros_serving.models.statistics import Drift, Histogram

__all__ = ["CONTENT_TYPE", "text"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_STAGES = {
    "queue": "Seconds that requests waited for their batch",
    "batch": "Seconds to gather a batch and to cut its answer apart",
    "compute": "Seconds in which a batch was transformed and answered",
    "total": "Seconds from a request's arrival to its answer",
}


def text(report: ServerReport) -> str:
    """Return all metrics of a server: of each version that is loaded, and of its processes."""
    versions = report.versions
    failures = {each.name: 0 for each in versions} | report.failures
    lines = (*_lines(versions), *_of_loads(failures), *_of_workers(report))
    return "".join(f"{line}\n" for line in lines)


def _lines(versions: Sequence[VersionReport]) -> Iterator[str]:
    yield from _of_stages(versions)
    yield from _head("aeros_batch_rows", "histogram", "Rows of a batch")
    for each in versions:
        yield from _histogram("aeros_batch_rows", _labels(each), each.statistics.sizes)
    yield from _head("aeros_requests_total", "counter", "Requests that were answered")
    for each in versions:
        yield _sample("aeros_requests_total", _labels(each), each.statistics.success.count)
    yield from _head("aeros_errors_total", "counter", "Requests that were not answered, and why")
    for each in versions:
        for kind, count in each.statistics.errors.items():
            yield _sample("aeros_errors_total", _labels(each) | {"kind": kind}, count)
    yield from _head("aeros_explanations_total", "counter", "Answers that were explained")
    for each in versions:
        yield _sample("aeros_explanations_total", _labels(each), each.statistics.explained.count)
    yield from _head("aeros_rows_total", "counter", "Rows that were answered")
    for each in versions:
        yield _sample("aeros_rows_total", _labels(each), each.statistics.rows)
    yield from _head("aeros_waiting", "gauge", "Requests that wait")
    for each in versions:
        yield _sample("aeros_waiting", _labels(each), each.waiting)
    yield from _head("aeros_model_version", "gauge", "Version that is loaded, by its role")
    for each in versions:
        role = {"model": each.name, "role": "live" if each.live else "canary"}
        yield _sample("aeros_model_version", role, each.version)
    yield from _of_drift(versions)
    yield from _of_inferencers(versions)


def _of_loads(failures: Mapping[str, int]) -> Iterator[str]:
    name = "aeros_load_failures_total"
    yield from _head(name, "counter", "Versions that could not be taken up, each time")
    for model, count in failures.items():
        yield _sample(name, {"model": model}, count)


def _of_workers(report: ServerReport) -> Iterator[str]:
    if report.workers:
        yield from _head("aeros_workers", "gauge", "Worker processes that serve")
        yield _sample("aeros_workers", {}, report.workers)
        name = "aeros_worker_restarts_total"
        yield from _head(name, "counter", "Worker processes that took the place of one that died")
        yield _sample(name, {}, report.restarts)


def _of_stages(versions: Iterable[VersionReport]) -> Iterator[str]:
    for stage, what in _STAGES.items():
        name = f"aeros_{stage}_seconds"
        yield from _head(name, "histogram", what)
        for each in versions:
            yield from _histogram(name, _labels(each), each.statistics.histograms[stage])


def _of_drift(versions: Sequence[VersionReport]) -> Iterator[str]:
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
        for labels, drift in _drifts(versions):
            if kind == "counter" or drift.values:  # nothing has no mean
                yield _sample(name, labels, getattr(drift, attribute))
    yield from _of_training(versions)


def _of_training(versions: Sequence[VersionReport]) -> Iterator[str]:
    name = "aeros_input_range"
    yield from _head(name, "gauge", "Lowest and highest value of training")
    for labels, drift in _drifts(versions):
        for bound, value in zip(("low", "high"), drift.field.range or (), strict=False):
            yield _sample(name, labels | {"bound": bound}, float(value))
    name = "aeros_input_strange_total"
    yield from _head(name, "counter", "Values that are none of the categories")
    for each in versions:
        for field, count in each.strange.items():
            yield _sample(name, _labels(each) | {"input": field}, count)


def _drifts(versions: Sequence[VersionReport]) -> Iterator[tuple[dict[str, str], Drift]]:
    for each in versions:
        for drift in each.statistics.drift:
            yield _labels(each) | {"input": drift.field.name}, drift


def _of_inferencers(versions: Iterable[VersionReport]) -> Iterator[str]:
    """Yield what inferencers count themselves; all of a name stands together."""
    found: dict[str, list[tuple[Count, Mapping[str, str]]]] = {}
    for each in versions:
        for count in each.counts:
            found.setdefault(count.name, []).append((count, _labels(each)))
    for name, counts in found.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        yield from _head(name, kind, counts[0][0].what)
        for count, labels in counts:
            yield _sample(name, {**labels, **count.labels}, count.value)


def _labels(report: VersionReport) -> dict[str, str]:
    return {"model": report.name, "version": str(report.version)}


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
    if not labels:
        return f"{name} {value!r}"
    pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{pairs}}} {value!r}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
