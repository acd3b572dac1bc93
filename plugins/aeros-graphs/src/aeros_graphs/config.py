"""The options of each inferencer.

A member is the name of a model in the repository, ``NAME``, ``NAME:VERSION`` or ``NAME:TAG``,
or a mapping of:

- ``model``: the same; without it the model that the graph itself is loaded with;
- ``inferencer``: chosen by ``+inferencer@inferencer.members.<name>.inferencer=<option>``;
  without it ``torch`` for trained modules, ``onnx`` for ONNX graphs;
- ``weight``: its share in an ensemble's mean or vote, or of a splitter's traffic, above 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as made
from enum import Enum
from typing import Any

from aeros_core.options.metadata import address_option, file_option, variable_option

__all__ = ["Combine", "Ensemble", "Onward", "Remote", "Sequence", "Splitter", "Switch"]


@dataclass
class Sequence:
    """``inferencer=sequence``: each member receives the prediction of the one before.

    Args:
        members: By name.
        order: Their names, the one that takes the request first.
    """

    _target_: str = "aeros_graphs.sequence.SequenceInferencer"
    members: dict[str, Any] = made(default_factory=dict)
    order: list[str] = made(default_factory=list)


class Combine(Enum):
    """Ways to combine predictions."""

    mean = "mean"
    vote = "vote"
    weighted = "weighted"


@dataclass
class Ensemble:
    """``inferencer=ensemble``: the predictions of all members are combined.

    Args:
        members: By name; all answer the same fields.
        combine: mean of the scores; weighted mean, by each one's ``weight``; or vote: scores
            are the shares of the members' labels, by weight.
        parallel: Ask all at the same time, which pays for members that are remote.
    """

    _target_: str = "aeros_graphs.ensemble.EnsembleInferencer"
    members: dict[str, Any] = made(default_factory=dict)
    combine: Combine = Combine.mean
    parallel: bool = False


class Onward(Enum):
    """Data passed to the next member if one is not confident."""

    request = "request"
    answer = "answer"


@dataclass
class Switch:
    """``inferencer=switch``: which member answers a row is decided row by row.

    Without ``field`` the first of ``order`` answers all, and rows whose highest score is below
    ``threshold`` go on to the next one, and so on to the last. With ``onward=answer`` the
    members are stages of one model with an early exit: what each has computed already goes on,
    not the request, so that nothing is computed twice.

    Args:
        members: By name.
        order: Their names, the one that answers first in front; unused with ``field``.
        threshold: Highest score from which an answer is kept, 0 to 1; 1: none is kept.
        onward: What goes on: the rows of the request; or, of the member's answer, all beside
            ``scores`` and ``label``.
        field: Name of a field of the request whose value chooses the member.
        cases: ``{value of the field: member}``; values as text.
        otherwise: Member for every other value; null: such a row is refused.
        fallback: Whether the last member that did answer is good enough where the server of
            the next one does not; otherwise such a request fails. Unused with ``field``.
    """

    _target_: str = "aeros_graphs.switch.SwitchInferencer"
    members: dict[str, Any] = made(default_factory=dict)
    order: list[str] = made(default_factory=list)
    threshold: float = 0.8
    onward: Onward = Onward.request
    field: str | None = None
    cases: dict[str, str] = made(default_factory=dict)
    otherwise: str | None = None
    fallback: bool = False


@dataclass
class Splitter:
    """``inferencer=splitter``: each row is sent to one member, with probability by weight.

    The same row always goes to the same member, whatever else is in its batch.

    Args:
        members: By name.
        seed: Another one deals rows anew.
        by: Fields that decide, such as a user's number; empty: all of a row.
    """

    _target_: str = "aeros_graphs.splitter.SplitterInferencer"
    members: dict[str, Any] = made(default_factory=dict)
    seed: int = 0
    by: list[str] = made(default_factory=list)


@dataclass
class Remote:
    """``inferencer=remote``: a model on any server of the Open Inference Protocol v2, REST.

    A bearer token is read from the environment variable ``token``, and sent over TLS or to
    this machine alone.

    Args:
        url: Where the server is, for example ``https://cloud.example:8443``.
        model: Its name there; null: that of the model that is loaded.
        version: Its version there; empty: the server's choice.
        timeout: Seconds that a request may take, all tries together.
        retries: Further tries after connections that failed and answers 429, 502, 503, 504.
        backoff: Seconds before the first further try, at random between half and all of it;
            twice as many before each one after that.
        hedge: Seconds after which the same request is sent a second time, and the first
            answer taken; 0: never.
        failures: Requests that fail one after the other until no more are sent.
        pause: Seconds until one is tried again.
        token: Name of the environment variable with a bearer token; none is sent if unset.
        ca: File of certificates to trust, PEM; null: those of the system.
        binary: Tensors as raw bytes; false: as JSON, for servers without that extension.
        concurrency: Batches that are under way at the same time, each over a connection.
    """

    _target_: str = "aeros_graphs.remote.inferencer.RemoteInferencer"
    url: str = address_option("http://127.0.0.1:8080")
    model: str | None = None
    version: str = ""
    timeout: float = 10.0
    retries: int = 2
    backoff: float = 0.1
    hedge: float = 0.0
    failures: int = 5
    pause: float = 10.0
    token: str = variable_option("AEROS_REMOTE_TOKEN")
    ca: str | None = file_option()
    binary: bool = True
    concurrency: int = 16
