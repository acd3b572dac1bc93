"""Figures of a running task for Prometheus: where a round's time goes, bytes, refusals.

``callback=[metrics]`` opens the endpoint beside any controller; an executor opens one with
``--metrics PORT``. The collectors are those of prometheus_client's own registry, so that
gate, nodes and callback of one process add to the same figures.
"""

from __future__ import annotations

import time
from collections import Counter as Counted
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import Counter, Gauge, start_http_server

from aeros_core.errors import ConfigError
from aeros_core.hookspecs import hookimpl
from aeros_core.messages import Update
from aeros_core.outcomes import Round, Status
from aeros_core.task import Task
from aeros_flower.clock import WAITED
from aeros_flower.start import is_loopback

__all__ = ["MESSAGES", "REFUSED", "PrometheusMetrics", "count_refusal", "serve", "working"]

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
MESSAGES = Counter("aeros_executor_messages", "Messages an executor worked on", ["what"])
WORK = Counter("aeros_executor_seconds", "Time an executor worked", ["what"])

PHASES = ("select", "send", "train", "receive", "aggregate", "evaluate", "commit")


@contextmanager
def working(what: str) -> Iterator[None]:
    """Count a message that an executor works on, and how long it does."""
    began = time.monotonic()
    try:
        yield
    finally:
        MESSAGES.labels(what).inc()
        WORK.labels(what).inc(time.monotonic() - began)


def count_refusal(why: str, _address: str) -> None:
    """Count a request that the gate refused; see `gate.Gate`."""
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


def serve(
    host: str = "127.0.0.1", port: int = 9464, certificate: str = "", key: str = "", ca: str = ""
) -> Endpoint:
    """Open the endpoint; port 0 takes any that is free.

    Args:
        host: Address to listen on.
        port: Port to listen on.
        certificate: The server's certificate, PEM.
        key: Its key.
        ca: CA of the clients that may ask, which show a certificate of theirs.

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
        server, thread = start_http_server(port, host, **tls)  # type: ignore[arg-type]
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
        self._mark = time.monotonic()
        self._select = self._longest = 0.0
        self._before = dict(WAITED)
        self._asked: Counted[str] = Counted()
        self._taken: Counted[str] = Counted()

    @hookimpl
    def aeros_on_status(self, task: Task, status: Status) -> None:
        """Show the status, and none of the others."""
        for each in Status:
            STATUS.labels(task.name, str(each)).set(each is status)
        if status is Status.RUNNING:
            self._mark = time.monotonic()

    @hookimpl
    def aeros_before_round(self, cohort: Sequence[str]) -> None:
        """Start the clock of the wait; count whom the round asks."""
        self._asked.update(cohort)
        self._select = time.monotonic() - self._mark
        self._longest, self._before = 0.0, dict(WAITED)

    @hookimpl
    def aeros_after_update(self, task: Task, update: Update) -> None:
        """Count an update."""
        UPDATES.labels(task.name).inc()
        self._longest = max(self._longest, update.scalars.get("seconds", 0.0))

    @hookimpl
    def aeros_after_round(self, task: Task, round: Round) -> None:
        """Add the round to the figures."""
        now = time.monotonic()
        for phase, seconds in self._split(round, now - self._mark).items():
            SECONDS.labels(task.name, phase).inc(seconds)
            LAST.labels(task.name, phase).set(seconds)
        self._mark = now
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

    def _split(self, round: Round, whole: float) -> dict[str, float]:
        wire = {phase: WAITED[phase] - self._before[phase] for phase in WAITED}
        train = min(self._longest, wire["receive"])
        spent = round.seconds
        known = self._select + wire["send"] + wire["receive"]
        split = {
            "select": self._select,
            "send": wire["send"],
            "train": train,
            "receive": wire["receive"] - train,
            "aggregate": spent["train"] - known,
            "evaluate": spent["evaluate"],
            "commit": whole - spent["total"],
        }
        return {phase: max(seconds, 0.0) for phase, seconds in split.items()}
