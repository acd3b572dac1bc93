"""Figures of a running task for Prometheus: where a round's time goes, bytes, refusals.

``callback=[metrics]`` opens the endpoint beside any controller; an executor opens one with
``--metrics PORT``. The controller's collectors are those of prometheus_client's own registry,
so that gate and callback of one process add to the same figures; an executor has its own.
"""

from __future__ import annotations

import time
from collections import Counter as Counted
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, start_http_server
from prometheus_client.process_collector import ProcessCollector

from aeros_core.errors import ConfigError
from aeros_core.hookspecs import hookimpl
from aeros_core.results import Round, Status
from aeros_core.tasks.task import Task
from aeros_flower.system.network import is_loopback

__all__ = [
    "MESSAGES",
    "NODE",
    "REFUSED",
    "PrometheusMetrics",
    "count_bytes",
    "count_refusal",
    "serve",
    "serve_executor",
    "working",
]

SECONDS = Counter("aeros_round_seconds", "Time of rounds by phase", ["task", "phase"])
LAST = Gauge("aeros_last_round_seconds", "Time of the last round by phase", ["task", "phase"])
ROUNDS = Counter("aeros_rounds", "Rounds committed", ["task"])
UPDATES = Counter("aeros_updates", "Updates accepted", ["task"])
BYTES = Counter("aeros_bytes", "Payload of messages", ["task", "direction"])
DROPPED = Counter("aeros_dropped", "Contributions refused, by kind", ["task", "kind"])
STRAGGLERS = Counter("aeros_stragglers", "Replies too late or never", ["task"])
METRIC = Gauge("aeros_metric", "The model as last measured", ["task", "metric"])
SHARE = Gauge(
    "aeros_node_share", "Rounds a node took part in, of those it was asked to", ["task", "which"]
)
FAIRNESS = Gauge("aeros_fairness", "Jain's index of the rounds that nodes took part in", ["task"])
STATUS = Gauge("aeros_status", "1 for the status the task is in", ["task", "status"])
REFUSED = Counter("aeros_gate_refused", "Requests that the gate refused", ["why"])

NODE = CollectorRegistry()
"""What an executor knows of itself."""

INFO = Gauge("aeros_executor_info", "1; its name", ["name"], registry=NODE)
MESSAGES = Counter("aeros_executor_messages", "Messages worked on", ["what"], registry=NODE)
WORK = Counter("aeros_executor_seconds", "Time it worked", ["what"], registry=NODE)
MOVED = Counter("aeros_executor_bytes", "Payload of messages", ["direction"], registry=NODE)
ProcessCollector(registry=NODE)

PHASES = ("select", "send", "train", "receive", "aggregate", "evaluate", "commit")

_KEPT = {"train": "work"}
"""What a phase is called in the record of a round, whose ``train`` is more than that."""


@contextmanager
def working(what: str) -> Iterator[None]:
    """Count a message that an executor works on, and how long it does."""
    began = time.monotonic()
    try:
        yield
    finally:
        MESSAGES.labels(what).inc()
        WORK.labels(what).inc(time.monotonic() - began)


def count_bytes(direction: str, size: int) -> None:
    """Count what an executor was sent, or has sent."""
    MOVED.labels(direction).inc(size)


def count_refusal(why: str, _address: str) -> None:
    """Count a request that the gate refused; see `access_control.AccessControl`."""
    REFUSED.labels(why).inc()


class Endpoint:
    """A running endpoint."""

    def __init__(self, server: object, thread: object, port: int) -> None:
        self._server, self._thread, self.port = server, thread, port

    def close(self) -> None:
        """Answer no longer."""
        self._server.shutdown()  # type: ignore[attr-defined]
        self._server.server_close()  # type: ignore[attr-defined]
        self._thread.join()  # type: ignore[attr-defined]


def serve_executor(name: str, port: int) -> Endpoint:
    """Open an executor's endpoint, which this machine alone reaches.

    Args:
        name: Of the executor.
        port: Port to listen on; 0: whichever is free.

    Raises:
        ConfigError: The port is taken.
    """
    INFO.labels(name).set(1)
    return serve(port=port, registry=NODE)


def serve(
    host: str = "127.0.0.1",
    port: int = 9464,
    certificate: str = "",
    key: str = "",
    ca: str = "",
    registry: CollectorRegistry = REGISTRY,
) -> Endpoint:
    """Open the endpoint; port 0 takes any that is free.

    Args:
        host: Address to listen on.
        port: Port to listen on.
        certificate: The server's certificate, PEM.
        key: Its key.
        ca: CA of the clients that may ask, which show a certificate of theirs.
        registry: What is shown.

    Raises:
        ConfigError: The port is taken, or others could reach it and nothing protects it.
    """
    if not is_loopback(host) and not (certificate and key and ca):
        raise ConfigError(
            f"metrics on {host} could be read by anybody who reaches it",
            exists="certificate, key and ca let in who shows a certificate of that CA",
            hint="127.0.0.1, and a scraper on this machine; or all three",
        )
    tls = {
        "certfile": certificate or None,
        "keyfile": key or None,
        "client_cafile": ca or None,
        "client_auth_required": bool(ca),
    }
    for name in (certificate, key, ca):
        if name and not Path(name).exists():
            raise ConfigError(f"{name} is not there", hint="aeros certs make")
    try:
        server, thread = start_http_server(port, host, registry, **tls)  # type: ignore[arg-type]
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"metrics cannot be served on {host}:{port}: {why}",
            hint="another port: callback.metrics.port=PORT, of an executor --metrics PORT; 0 takes"
            " any that is free",
        ) from error
    return Endpoint(server, thread, server.server_port)


class PrometheusMetrics:
    """Hears a task's events and serves them as figures (``callback=[metrics]``).

    A round's time is split into ``select``, ``send``, ``train``, ``receive``, ``aggregate``,
    ``evaluate`` and ``commit``. What nodes do is seen from here: ``send`` is handing
    messages over, ``train`` the longest training that a node of the round reported,
    ``receive`` the rest of the wait. Nodes of this process do all that in ``aggregate``.

    Raises:
        ConfigError: See `serve`.
    """

    def __init__(self, *, host: str, port: int, certificate: str, key: str, ca: str) -> None:
        self.endpoint = serve(host, port, certificate, key, ca)
        self._asked: Counted[str] = Counted()
        self._taken: Counted[str] = Counted()

    @hookimpl
    def aeros_on_status(self, task: Task, status: Status) -> None:
        """Show the status, and none of the others."""
        for each in Status:
            STATUS.labels(task.name, str(each)).set(each is status)

    @hookimpl
    def aeros_before_round(self, cohort: Sequence[str]) -> None:
        """Count whom the round asks."""
        self._asked.update(cohort)

    @hookimpl
    def aeros_after_update(self, task: Task) -> None:
        """Count an update."""
        UPDATES.labels(task.name).inc()

    @hookimpl
    def aeros_after_round(self, task: Task, round: Round) -> None:
        """Add the round to the figures."""
        for phase in PHASES:
            seconds = round.seconds.get(_KEPT.get(phase, phase), 0.0)
            SECONDS.labels(task.name, phase).inc(seconds)
            LAST.labels(task.name, phase).set(seconds)
        ROUNDS.labels(task.name).inc()
        BYTES.labels(task.name, "sent").inc(round.sent)
        BYTES.labels(task.name, "received").inc(round.received)
        for kinds in round.dropped.values():
            for kind, times in kinds.items():
                DROPPED.labels(task.name, kind).inc(times)
                STRAGGLERS.labels(task.name).inc(times * (kind in {"late", "no reply"}))
        self._taken.update(list(round.nodes))
        self._weigh(task.name)
        for name, value in round.watched.items():
            METRIC.labels(task.name, name).set(value)

    @hookimpl
    def aeros_after_task(self) -> None:
        """Close the endpoint."""
        self.endpoint.close()

    def _weigh(self, task: str) -> None:
        """Show how evenly nodes take part (Jain, Chiu and Hawe 1984: 1 is even, 1/n is one)."""
        taken = [self._taken[node] for node in self._asked]
        shares = [self._taken[node] / times for node, times in self._asked.items()]
        if any(taken):
            FAIRNESS.labels(task).set(sum(taken) ** 2 / (len(taken) * sum(n * n for n in taken)))
            SHARE.labels(task, "least").set(min(shares))
            SHARE.labels(task, "most").set(max(shares))
