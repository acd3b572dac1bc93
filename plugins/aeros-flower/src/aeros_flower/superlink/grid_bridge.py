"""A Grid of Flower's in another process of this machine, over a socket in a private folder.

Flower hands its Grid to a ServerApp, in a process that it starts itself. The ServerApp here
does what it is told by the process that runs the rounds, by Flower's public API alone.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from aeros_core.errors import ConfigError
from aeros_core.tasks import waiting
from aeros_flower.protocol import record_codec
from aeros_flower.superlink.embedded import PulledMessages
from aeros_flower.superlink.grid import GridTransport
from aeros_flower.superlink.resilient_session import SessionLost

if TYPE_CHECKING:
    from aeros_flower.superlink.plain_nodes import PlainNode

__all__ = ["PLACE", "GridBridge", "app", "follow", "receive", "send"]

PLACE = "AEROS_BRIDGE"
"""The variable that says where the socket is."""

_LENGTHS = Struct("<QQ")
_PATIENCE = 120.0
"""Seconds that the other side may take to answer."""

_LONGEST = 5.0
"""Seconds that it waits for something to come, at most."""

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:  # noqa: ARG001 - the form Flower calls
    """Do what is asked over the socket, until it is closed."""
    place = os.environ.get(PLACE)
    if place is None:
        raise ConfigError(
            "the rounds of this app are run by aeros run deployment=flower, not by its ServerApp",
            hint="serverapp = 'aeros_flower.server_app:app' for flwr run",
        )
    post = GridTransport(grid)
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(place)
        follow(line, post)


def follow(line: socket.socket, post: PlainNode) -> None:
    """Do what is asked over a line, until the other side closes it."""
    while (asked := receive(line)) is not None:
        send(line, *_answered(post, *asked))


def _answered(
    post: PlainNode, told: dict[str, Any], blocks: Sequence[bytes]
) -> tuple[Any, list[bytes]]:
    """Return what one call comes to."""
    match told["call"]:
        case "nodes":
            return sorted(post.nodes()), []
        case "executors":
            return sorted(post.executors()), []
        case "push":
            content = record_codec.unpack(told["content"], blocks)
            return post.push(told["node"], content, told["seconds"], told["kind"]), []
        case "pull":
            found = post.pull(told["messages"], told["most"])
            rows, sent = [], []
            for answer in found:
                head, parts = (
                    (None, []) if answer.content is None else record_codec.pack(answer.content)
                )
                rows.append([answer.message, answer.error, head, len(parts)])
                sent += parts
            return rows, sent
        case "recall":
            return post.recall(told["messages"]), []
        case "wait":
            return post.wait(min(told["seconds"], _LONGEST)), []
        case other:
            raise ValueError(f"a call of '{other}'")


class GridBridge:
    """This process's end of it (`resilient_session.Session`).

    Args:
        line: Connected to the ServerApp.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def nodes(self) -> set[int]:
        """Return the numbers of all nodes that are there now."""
        return set(self._ask({"call": "nodes"})[0])

    def executors(self) -> set[int]:
        """Return the numbers of those that are known to be executors of aeros."""
        return set(self._ask({"call": "executors"})[0])

    def push(self, node: int, content: Any, seconds: float | None, kind: str) -> str | None:
        """Send a message; returns its id, or None."""
        head, blocks = record_codec.pack(content)
        told = {"call": "push", "node": node, "content": head, "seconds": seconds, "kind": kind}
        found: str | None = self._ask(told, blocks)[0]
        return found

    def pull(self, messages: set[str], most: int) -> list[PulledMessages]:
        """Return up to ``most`` answers that are here."""
        if not messages:
            return []
        rows, blocks = self._ask({"call": "pull", "messages": sorted(messages), "most": most})
        answers = []
        for message, error, head, count in rows:
            content = None if head is None else record_codec.unpack(head, blocks[:count])
            del blocks[:count]
            answers.append(PulledMessages(message, content, error))
        return answers

    def recall(self, messages: Iterable[str]) -> list[str]:
        """Take back those messages that their node has not asked for yet, and return them."""
        found: list[str] = self._ask({"call": "recall", "messages": sorted(messages)})[0]
        return found

    def wait(self, seconds: float) -> bool:
        """Wait until something has come, a moment at most."""
        return bool(self._ask({"call": "wait", "seconds": seconds})[0])

    def _ask(self, told: dict[str, Any], blocks: Sequence[bytes] = ()) -> tuple[Any, list[bytes]]:
        ends = time.monotonic() + _PATIENCE

        def pause() -> None:
            waiting.check()
            if time.monotonic() > ends:
                raise TimeoutError(f"nothing for {_PATIENCE:g} s")

        try:
            self._line.settimeout(_PATIENCE)  # what was sent in part could not be sent again
            send(self._line, told, blocks)
            self._line.settimeout(waiting.TICK)
            found = receive(self._line, pause)
        except OSError as error:
            raise SessionLost(f"its server program does not answer: {error}") from error
        if found is None:
            raise SessionLost("its server program has ended")
        return found

    def close(self) -> None:
        """Let the other side come to its end."""
        self._line.close()

    abandon = close


def send(line: socket.socket, told: Any, blocks: Sequence[bytes] = ()) -> None:
    """Send plain data, and blocks of bytes beside it."""
    head = json.dumps([told, [len(block) for block in blocks]]).encode()
    line.sendall(_LENGTHS.pack(len(head), len(blocks)) + head)
    for block in blocks:
        line.sendall(block)


def _over() -> None:
    raise TimeoutError("it does not answer")


def receive(
    line: socket.socket, pause: Callable[[], None] = _over
) -> tuple[Any, list[bytes]] | None:
    """Return what came; None once the other side has closed.

    Args:
        line: Where it comes from.
        pause: Called whenever nothing has come for the line's timeout; raises to end the wait.
    """
    if (lengths := _exactly(line, _LENGTHS.size, pause)) is None:
        return None
    head = _exactly(line, _LENGTHS.unpack(lengths)[0], pause)
    if head is None:
        return None
    told, sizes = json.loads(head)
    blocks = [_exactly(line, size, pause) for size in sizes]
    whole = [block for block in blocks if block is not None]
    return (told, whole) if len(whole) == len(sizes) else None


def _exactly(line: socket.socket, size: int, pause: Callable[[], None]) -> bytes | None:
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        try:
            count = line.recv_into(view[got:])
        except TimeoutError:
            pause()
            continue
        if not count:
            return None
        got += count
    return bytes(data)
