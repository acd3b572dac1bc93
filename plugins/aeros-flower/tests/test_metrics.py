"""Figures for Prometheus: where time goes, and who may read them."""

import re
import socket
import ssl
import urllib.request

import pytest
from prometheus_client import REGISTRY

from aeros_core.errors import ConfigError
from aeros_core.results import Round, Status
from aeros_core.tasks.task import Task
from aeros_flower import metrics
from aeros_flower.metrics import PrometheusMetrics
from aeros_flower.security.certificates import Authority

OPTIONS = {"host": "127.0.0.1", "port": 0, "certificate": "", "key": "", "ca": ""}


@pytest.fixture
def heard(request):
    listener = PrometheusMetrics(**OPTIONS)
    yield listener
    listener.aeros_after_task()


def figure(name, **labels):
    return REGISTRY.get_sample_value(name, {"task": "t", **labels})


def a_round(seconds, **changed):
    return Round(**({
        "number": 1, "metrics": {"loss": 0.5}, "federated": {}, "training": {}, "nodes": {},
        "refused": {}, "seconds": seconds, "sent": 10, "received": 20, "dropped": {},
    } | changed))  # fmt: skip


def test_a_round_is_split_into_what_it_spent_its_time_on(heard):
    spent = {"train": 17.0, "evaluate": 6.0, "total": 23.0, "select": 1.0, "send": 2.0, "work": 3.0,
             "receive": 7.0, "aggregate": 4.0, "commit": 7.0}  # fmt: skip
    heard.aeros_after_round(Task(name="t"), a_round(spent))
    split = {p: figure("aeros_last_round_seconds", phase=p) for p in metrics.PHASES}
    assert split == {"select": 1, "send": 2, "train": 3, "receive": 7, "aggregate": 4,
                     "evaluate": 6, "commit": 7}  # fmt: skip
    assert sum(split.values()) == 30


def test_bytes_updates_refusals_and_stragglers_are_counted(heard):
    task = Task(name="t")
    names = {"aeros_rounds_total": {}, "aeros_updates_total": {}, "aeros_stragglers_total": {},
             "aeros_bytes_total": {"direction": "sent"},
             "aeros_dropped_total": {"kind": "no reply"}}  # fmt: skip
    before = {name: figure(name, **labels) or 0 for name, labels in names.items()}
    dropped = {"a": {"no reply": 1, "norm": 2}, "b": {"late": 3}}
    heard.aeros_before_round(["n"])
    heard.aeros_after_update(task)
    times = {"train": 1.0, "evaluate": 0.0, "total": 1.0}
    heard.aeros_after_round(task, a_round(times, dropped=dropped))
    after = {name: figure(name, **labels) - before[name] for name, labels in names.items()}
    assert after == {"aeros_rounds_total": 1, "aeros_updates_total": 1,
                     "aeros_stragglers_total": 4, "aeros_bytes_total": 10,
                     "aeros_dropped_total": 1}  # fmt: skip
    assert figure("aeros_metric", metric="loss") == 0.5


def test_how_evenly_nodes_take_part(heard):
    task, times = Task(name="t"), {"train": 1.0, "evaluate": 0.0, "total": 1.0}
    for cohort, took in (("ab", "ab"), ("ab", "a"), ("ac", "a"), ("ac", "ac")):
        heard.aeros_before_round(list(cohort))
        heard.aeros_after_round(task, a_round(times, nodes={node: {} for node in took}))
    assert figure("aeros_node_share", which="most") == 1
    assert figure("aeros_node_share", which="least") == 0.5
    assert figure("aeros_fairness") == pytest.approx((4 + 1 + 1) ** 2 / (3 * (16 + 1 + 1)))


def test_a_task_has_one_status(heard):
    for status in (Status.RUNNING, Status.FINISHED):
        heard.aeros_on_status(Task(name="t"), status)
    shown = {s: figure("aeros_status", status=str(s)) for s in Status}
    assert [s for s, value in shown.items() if value] == [Status.FINISHED]


def test_the_endpoint_answers_in_prometheus_text(heard):
    metrics.count_refusal("path", "192.0.2.1")
    text = _get(f"http://127.0.0.1:{heard.endpoint.port}/metrics")
    assert re.search(r'^aeros_gate_refused_total\{why="path"\} \d', text, re.M)
    assert "aeros_executor" not in text  # that is another process


def test_an_executor_shows_what_it_knows_and_nothing_else():
    with metrics.working("train"):
        pass
    metrics.count_bytes("received", 7)
    endpoint = metrics.serve_executor("edge-7", 0)
    try:
        text = _get(f"http://127.0.0.1:{endpoint.port}/metrics")
    finally:
        endpoint.close()
    assert 'aeros_executor_info{name="edge-7"} 1.0' in text
    assert re.search(r'^aeros_executor_messages_total\{what="train"\} \d', text, re.M)
    assert re.search(r'^aeros_executor_seconds_total\{what="train"\} \d', text, re.M)
    assert re.search(r'^aeros_executor_bytes_total\{direction="received"\} \d', text, re.M)
    families = set(re.findall(r"^# TYPE (\w+)", text, re.M))
    assert {
        name for name in families if not name.startswith(("aeros_executor", "process_"))
    } == set()


def _get(address, **more):
    with urllib.request.urlopen(address, timeout=20, **more) as answer:
        return answer.read().decode()


def test_a_closed_endpoint_gives_its_port_back():
    listener = PrometheusMetrics(**OPTIONS)
    port = listener.endpoint.port
    listener.aeros_after_task()
    again = metrics.serve(port=port)
    again.close()


def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"127.0.0.1:{port}: Address already in use\n.*port"):
            metrics.serve(port=port)


def test_a_port_that_is_none():
    with pytest.raises(ConfigError, match=r"127.0.0.1:99999: .*0-65535"):
        metrics.serve(port=99999)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "aeros.example.org", ""])
def test_what_others_could_read_is_refused_unprotected(host):
    with pytest.raises(ConfigError, match="could be read by anybody who reaches it"):
        metrics.serve(host=host, port=0)


def test_a_file_that_is_not_there():
    with pytest.raises(ConfigError, match=r"none.pem is not there"):
        metrics.serve(port=0, certificate="none.pem", key="none.key", ca="none.pem")


def test_beyond_loopback_a_client_shows_its_certificate(tmp_path):
    home = Authority(tmp_path / "certs")
    home.make([], days=1)
    endpoint = metrics.serve("0.0.0.0", 0, str(home.server), str(home.server_key), str(home.ca))
    try:
        context = ssl.create_default_context(cafile=home.ca)
        address = f"https://127.0.0.1:{endpoint.port}/metrics"
        with pytest.raises(OSError, match=r"(?i)certificate required|reset|EOF|closed|broken"):
            _get(address, context=context)
    finally:
        endpoint.close()
