"""Pause and cancel a running task from outside, between two messages or in a wait."""

from __future__ import annotations

import threading

from aeros_core.errors import TaskError

__all__ = ["Cancelled", "Control"]


class Cancelled(TaskError):
    """Somebody cancelled the task."""


class Control:
    """Lets another thread pause, resume or cancel a task.

    The round loop calls `check` between messages, and every wait each second (`waiting`), so
    a pause never cuts through a message.
    """

    def __init__(self) -> None:
        """Start neither paused nor cancelled."""
        self._go = threading.Event()
        self._go.set()
        self._cancelled = False

    @property
    def paused(self) -> bool:
        """Whether the task waits to be resumed."""
        return not self._go.is_set()

    def pause(self) -> None:
        """Let the task wait before its next message."""
        self._go.clear()

    def resume(self) -> None:
        """Let a paused task go on."""
        self._go.set()

    def cancel(self) -> None:
        """End the task before its next message; also a paused one."""
        self._cancelled = True
        self._go.set()

    def check(self) -> None:
        """Wait while paused.

        Raises:
            Cancelled: The task was cancelled.
        """
        if not self._go.is_set():  # which takes no lock
            self._go.wait()
        if self._cancelled:
            raise Cancelled("the task was cancelled", hint="task.resume=true goes on with it")
