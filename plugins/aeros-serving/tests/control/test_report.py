"""Reports of several processes are one: sums are exact, and JSON loses nothing."""

import json

import numpy as np
import pytest

from aeros_core.roles.inferencer import Count
from aeros_core.schema import Field
from aeros_serving.control.process_group import ServerReport
from aeros_serving.control.report import VersionReport, from_json, merged, past, to_json
from aeros_serving.models.statistics import Drift, Statistics
from aeros_serving.rest import prometheus

FIELD = Field("x", "float32", (2,), (0.0, 1.0))


def statistics(rows):
    """Return statistics of one batch of these rows."""
    made = Statistics(drift=(Drift(FIELD),))
    made.executed(len(rows), 1, (0.001, 0.25, 0.002))
    made.answered(0.5, 0.753)
    made.failed("Malformed", 0.1)
    made.drift[0].add({"x": rows})
    made.last = 1000 + len(rows)
    return made


def report(rows, version=1, **more):
    values = {"waiting": 2, "strange": {"c": 1}, "counts": []} | more
    return VersionReport("toy", version, True, statistics(rows), **values)


@pytest.fixture
def parts():
    generator = np.random.default_rng(3)
    return [generator.normal(5, 2, (n, 2)).astype(np.float32) for n in (3, 40, 1)]


def test_the_sum_of_reports_is_that_of_one_process_that_did_all(parts):
    (whole,) = merged(map(report, parts))
    seen = whole.statistics
    assert (seen.success.count, seen.rows, seen.executions, seen.last) == (3, 44, 3, 1040)
    assert seen.compute_infer.ns == 3 * 250_000_000
    assert seen.errors == {"Malformed": 3}
    assert {size: durations[1].count for size, durations in seen.batches.items()} == {
        1: 1, 3: 1, 40: 1,
    }  # fmt: skip
    assert sum(seen.histograms["total"].counts) == 3
    assert seen.histograms["total"].total == pytest.approx(3 * 0.753)
    assert sum(seen.sizes.counts) == 3
    assert (whole.waiting, whole.strange) == (6, {"c": 3})


def test_drift_of_processes_is_that_of_all_their_values(parts):
    (drift,) = merged(map(report, parts))[0].statistics.drift
    values = np.concatenate(parts).astype(np.float64)
    assert drift.values == values.size
    assert drift.outside == ((values < 0) | (values > 1)).sum()
    assert drift.mean == pytest.approx(values.mean(), rel=1e-12)
    assert drift.deviation == pytest.approx(values.std(), rel=1e-12)


def test_processes_that_have_seen_nothing_add_nothing(parts):
    empty = VersionReport("toy", 1, True, Statistics(drift=(Drift(FIELD),)), 0, {}, [])
    (both,) = merged([empty, report(parts[0])])
    assert both.statistics.drift[0] == report(parts[0]).statistics.drift[0]
    assert merged([empty, empty])[0].statistics.drift[0].deviation == 0.0


def test_an_input_that_one_process_does_not_look_at_any_more_is_reported_by_the_others(parts):
    blind = VersionReport("toy", 1, True, Statistics(drift=()), 0, {}, [])
    (both,) = merged([blind, report(parts[0])])
    assert [drift.values for drift in both.statistics.drift] == [6]


def test_merging_changes_no_report(parts):
    one, other = report(parts[0]), report(parts[1])
    before = json.dumps([to_json(one), to_json(other)])
    merged([one, other])
    assert json.dumps([to_json(one), to_json(other)]) == before


def test_a_report_passes_as_json_without_loss(parts):
    counts = [Count("aeros_remote_open", "1 while", 1, {"member": "a"})]
    sent = report(parts[1], counts=counts)
    received = from_json(json.loads(json.dumps(to_json(sent))))
    assert to_json(received) == to_json(sent)
    metrics = [prometheus.text(ServerReport([each])) for each in (received, sent)]
    assert metrics[0] == metrics[1]


def test_versions_stay_apart_and_keep_their_order(parts):
    found = merged([report(parts[0]), report(parts[1], version=2), report(parts[2])])
    assert [(each.version, each.statistics.rows) for each in found] == [(1, 4), (2, 40)]


def test_counts_that_only_grow_are_summed_and_of_others_the_highest_is_shown(parts):
    def counted(retries, is_open):
        return report(
            parts[0],
            counts=[
                Count("aeros_remote_retries_total", "Further tries", retries),
                Count("aeros_remote_open", "1 while", is_open),
            ],
        )

    (whole,) = merged([counted(2, 0), counted(3, 1), counted(0, 0)])
    assert [each.value for each in whole.counts] == [5, 1]
    gone = past(whole)
    assert [each.name for each in gone.counts] == ["aeros_remote_retries_total"]
    assert gone.waiting == 0


def test_prometheus_shows_sums(parts):
    text = prometheus.text(ServerReport(merged(map(report, parts)), {"toy": 4}, 3, 7)).splitlines()
    mine = '{model="toy",version="1"}'
    assert f"aeros_requests_total{mine} 3" in text
    assert f"aeros_total_seconds_count{mine} 3" in text
    assert 'aeros_total_seconds_bucket{model="toy",version="1",le="+Inf"} 3' in text
    assert 'aeros_load_failures_total{model="toy"} 4' in text
    assert "aeros_workers 3" in text
    assert "aeros_worker_restarts_total 7" in text


def test_a_server_of_one_process_shows_no_workers(parts):
    assert "aeros_worker" not in prometheus.text(ServerReport([report(parts[0])]))
