"""The options of ``aeros serve``, group ``serving``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

from aeros_core.options.metadata import address_option, file_option

__all__ = ["LOOPBACK", "Mode", "NonFinite", "Promote", "Serving", "Where", "options_of"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Where(Enum):
    """Where a model computes: in the thread that reads requests, or in one of its own."""

    auto = "auto"
    inline = "inline"
    thread = "thread"


class Mode(Enum):
    """Which requests go through a model together."""

    auto = "auto"
    always = "always"
    never = "never"


class NonFinite(Enum):
    """What becomes of an answer in JSON with NaN or infinity, which JSON has not."""

    refuse = "refuse"


class Compression(Enum):
    """How answers of the gRPC protocol are compressed, for clients that take it."""

    none = "none"
    gzip = "gzip"
    deflate = "deflate"


@dataclass
class Promote:
    """``callback=[promote]``: a task that ends well moves a tag, which servers follow.

    Args:
        tag: Name that is to point to the new version.
        metric: Name of a metric that decides; empty: every task that ends well.
        least: Lowest value of the metric with which the tag is moved; null: any.
        most: Highest value, as for a loss; null: any.
    """

    _target_: str = "aeros_serving.promotion.Promotion"
    tag: str = "production"
    metric: str = ""
    least: float | None = None
    most: float | None = None


@dataclass
class Serving:
    """How models are served.

    Args:
        host: Address to listen on. Beyond loopback a certificate and a token are needed.
        http_port: Port of the REST protocol; 0: any that is free; -1: none.
        grpc_port: Port of the gRPC protocol; 0: any that is free; -1: none.
        certificate: PEM file of the certificate chain; empty: no TLS.
        key: PEM file of its private key.
        token_file: File with the bearer token; empty: the environment variable
            AEROS_SERVING_TOKEN, if it is set.
        insecure: Listen beyond loopback without TLS and token.
        max_batch: Rows that go through a model at once; 1: no batching.
        preferred: Numbers of rows that make a batch at once, the best of them taken.
        delay: Seconds a request may wait for others to fill its batch; 0: only those
            that are there already.
        max_queue: Requests that wait for one model; beyond, they are refused.
        deadline: Seconds after which a request that still waits is refused; 0: never.
        models: Options of single models among the five above and ``batching``:
            ``{name: {option: value}}``.
        where: Where models compute; ``auto``: a model that answers one row in less than
            0.5 ms, and asks no other, is not worth a thread.
        poll: Seconds between two looks at the repository, for tags that have moved; 0: none.
        canary: Tag of the version that answers a share of the requests; empty: none.
        canary_share: That share, from 0 to 1.
        max_body: Bytes of a request.
        max_unfinished: Bytes of requests that have not come whole, of all clients together;
            0: four times ``max_body``. Where they are more, the request that has been coming
            longest is refused.
        max_connections: Connections of REST clients; a new one takes the place of the one that
            has waited longest. By gRPC calls whose message has not arrived.
        read_timeout: Seconds in which a request has to arrive whole.
        idle_timeout: Seconds after which a connection that asks nothing is closed, and an
            answer given up that its client does not take.
        drain: Seconds that requests are given to end after SIGTERM.
        control: Whether clients may load and unload models.
        batching: Which requests go through a model together; ``auto``: those for a version whose
            predictions of a row are the same whichever rows are beside it, as seen when it is
            loaded; ``always``; ``never``.
        non_finite: What becomes of an answer in JSON with NaN or infinity: null, they are null
            there and the header Aeros-Non-Finite names the outputs; ``refuse``, it is refused.
        workers: Processes that answer requests at the same ports; 1: this one alone. On Linux.
        worker_timeout: Seconds after which a worker whose event loop does not respond is killed
            and replaced; 0: never.
        grpc_compression: How gRPC answers are compressed, ``gzip`` or ``deflate``, for clients
            that take it; ``none``: not at all.
    """

    _target_: str = "aeros_serving.server.Server"
    host: str = address_option("127.0.0.1")
    http_port: int = 8080
    grpc_port: int = 8081
    certificate: str = file_option("")
    key: str = file_option("")
    token_file: str = file_option("")
    insecure: bool = False
    max_batch: int = 64
    preferred: list[int] = field(default_factory=list)
    delay: float = 0.0
    max_queue: int = 1024
    deadline: float = 0.0
    models: dict[str, Any] = field(default_factory=dict)
    where: Where = Where.auto
    poll: float = 5.0
    canary: str = ""
    canary_share: float = 0.0
    max_body: int = 64 * 2**20
    max_unfinished: int = 0
    max_connections: int = 1024
    read_timeout: float = 30.0
    idle_timeout: float = 120.0
    drain: float = 30.0
    control: bool = True
    batching: Mode = Mode.auto
    non_finite: NonFinite | None = None
    workers: int = 1
    worker_timeout: float = 30.0
    grpc_compression: Compression = Compression.none


_ENUMS: dict[str, type[Enum]] = {
    "where": Where,
    "batching": Mode,
    "non_finite": NonFinite,
    "grpc_compression": Compression,
}


def options_of(values: Mapping[str, Any]) -> Serving:
    """Return options from plain data, in which enums go by their names; others are left out."""
    known = {each.name: values[each.name] for each in fields(Serving) if each.name in values}
    for name, kind in _ENUMS.items():
        if isinstance(value := known.get(name), str):
            known[name] = kind[value]
    return Serving(**known)
