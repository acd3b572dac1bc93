"""The process on an infrastructure element: warm, and always looking for its controller."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from aeros_core.errors import ConfigError
from aeros_flower.executor.controller_search import Search, in_words
from aeros_flower.executor.fleet_client import Ended, FleetClient, Lost
from aeros_flower.executor.responder import Responder
from aeros_flower.metrics import count_bytes
from aeros_flower.protocol import message_content
from aeros_flower.protocol.executor_info import ExecutorInfo
from aeros_flower.site.loading import open_site
from aeros_flower.site.site import Site
from aeros_flower.system.network import say

__all__ = ["Executor"]

PATIENCE = 10.0
"""Seconds that a question for messages waits at the controller's door."""

POLLS = 0.2, 2.0
"""Seconds between questions to a SuperLink that lets nobody wait at its door: soon after a
message, and in the long run, half as many again each time."""

DAY = 86400.0


class Executor:
    """Connects, prepares what the controller's task needs, and trains; again and again.

    Args:
        place: What it is.
        connect: Makes a connection; called until it succeeds. None: who has the executor
            brings its messages.
        tell: What it does, in words.
        wait: Seconds to look for a controller at a time.
        site: What decides for the executor's owner; None: as the place says.

    Raises:
        ConfigError: The policy that the place names cannot be used, or the log.
        LogError: The site's log cannot be written.
    """

    def __init__(
        self,
        place: ExecutorInfo,
        connect: Callable[[], FleetClient] | None = None,
        tell: Callable[[str], None] = say,
        wait: float = DAY,
        site: Site | None = None,
    ) -> None:
        self._place, self._connect, self._tell, self._wait = place, connect, tell, wait
        self.site = site or open_site(place, self._say)
        self._responder = Responder(place, self.site, self._say)
        self.site.start()
        self._stopped = threading.Event()

    @property
    def idle(self) -> bool:
        """Whether nothing is prepared."""
        return self._responder.idle

    def run(self) -> None:
        """Serve whichever controller is at the address, until `stop`.

        Raises:
            TaskError: The controller there does not admit this node, or there was none.
        """
        search = Search(self._place.name, self._say, self._wait)
        while not self._stopped.is_set():
            try:
                fleet = self._connect()  # type: ignore[misc]  # it has one that runs
            except (Lost, ConfigError) as error:
                self._stopped.wait(search.failed(error))
                continue
            search.found()
            self._say("is connected")
            search.restart(said=self._serve(fleet))

    def stand_in(self, name: str, since: str) -> None:
        """Serve next for a node among several that share this executor.

        Args:
            name: Whose state is to be found and stored.
            since: Names the last time that a controller came to that node.
        """
        self._responder.stand_in(name, since)

    def stop(self) -> None:
        """End after what is being done."""
        self._stopped.set()

    def _say(self, text: str) -> None:
        shown = "".join(c if c.isprintable() else "?" for c in text)
        self._tell(f"executor {self._place.name} {shown}")

    def _serve(self, fleet: FleetClient) -> bool:
        """Do what the controller asks; return whether it came to its end."""
        pause = POLLS[0]
        try:
            while not self._stopped.is_set() and not fleet.lost.is_set():
                began = time.monotonic()
                message = fleet.pull(PATIENCE)
                if message is None:
                    if time.monotonic() - began < POLLS[1]:  # nobody held the question
                        self._stopped.wait(pause)
                        pause = min(1.5 * pause, POLLS[1])
                    continue
                pause, began = POLLS[0], time.monotonic()
                run = message.metadata.run_id
                answer = self.answer(message.content, fleet.lost.is_set, run)
                count_bytes("received", message_content.size_of(message.content))
                count_bytes("sent", message_content.size_of(answer))
                fleet.push(answer, message, time.monotonic() - began)
                del message, answer
        except Ended:
            self._say("waits for the next run: the controller has ended")
            return True
        except (Lost, ConfigError) as error:
            self._say(f"lost the controller ({in_words(error)})")
        finally:
            fleet.close()
        return False

    def answer(self, content: Any, lost: Callable[[], bool] = lambda: False, run: int = 0) -> Any:
        """Return the answer to a message; whatever is wrong with it is an answer, too.

        Args:
            content: The records of the message.
            lost: Says whether nobody waits for the answer any more.
            run: Flower's run that it is of; see `Responder.answer`.
        """
        return self._responder.answer(content, lambda: self._stopped.is_set() or lost(), run)
