"""Errors that aeros raises on purpose.

    AerosError            exit code 1
    ├── PredictionError   exit code 1   an inferencer returned an invalid prediction
    ├── ConfigError       exit code 2   what was typed or configured cannot be
    │   ├── AccessError                 a site does not give what a task asks for
    │   └── PluginError                 a plugin is missing, broken or ambiguous
    ├── DataError         exit code 1   the data cannot be used
    ├── RemoteError       exit code 1   a server that was asked did not answer
    ├── RepositoryError   exit code 1   something could not be stored or read back
    └── TaskError         exit code 1   a task could not go on
        └── Interrupted                 Ctrl-C, or a signal to end

Every message says, in this order: what was asked, what exists, who provides it,
and what to type next.
"""

from __future__ import annotations

__all__ = [
    "AccessError",
    "AerosError",
    "ConfigError",
    "DataError",
    "Interrupted",
    "PluginError",
    "PredictionError",
    "RemoteError",
    "RepositoryError",
    "TaskError",
]


class AerosError(Exception):
    """The root of every error that aeros raises on purpose.

    Args:
        asked: What was asked for and why it cannot be, one sentence.
        exists: What could have been asked for instead.
        provider: Which package or node provides it.
        hint: What to type next.
    """

    exit_code = 1

    def __init__(self, asked: str, *, exists: str = "", provider: str = "", hint: str = "") -> None:
        super().__init__(asked)
        self.asked = asked
        self.exists = exists
        self.provider = provider
        self.hint = hint

    def __str__(self) -> str:
        """Return the message, one line for each part that is known."""
        parts = [("exists", self.exists), ("provider", self.provider), ("next", self.hint)]
        return "\n".join([self.asked, *(f"  {name}: {text}" for name, text in parts if text)])

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the parts when the error crosses a process boundary."""
        return _rebuild, (type(self), self.asked, self.exists, self.provider, self.hint)


def _rebuild(
    kind: type[AerosError], asked: str, exists: str, provider: str, hint: str
) -> AerosError:
    return kind(asked, exists=exists, provider=provider, hint=hint)


class PredictionError(AerosError):
    """An inferencer answered something else than arrays by name, a row for each row."""


class ConfigError(AerosError):
    """The configuration, or what was typed, cannot be carried out."""

    exit_code = 2


class AccessError(ConfigError):
    """A task asks for a file or an address that the site does not give.

    Args:
        asked: What was asked for, for the site's own eyes.
        kind: The same without a value or a path, for the controller's.
        exists: What could have been asked for instead.
        provider: Which package or node provides it.
        hint: What to type next at the site.
    """

    def __init__(
        self,
        asked: str,
        *,
        kind: str = "the task asks for what the site does not give",
        exists: str = "",
        provider: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(asked, exists=exists, provider=provider, hint=hint)
        self.kind = kind

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the parts when the error crosses a process boundary."""
        return _refused, (self.asked, self.kind, self.exists, self.provider, self.hint)


def _refused(asked: str, kind: str, exists: str, provider: str, hint: str) -> AccessError:
    return AccessError(asked, kind=kind, exists=exists, provider=provider, hint=hint)


class PluginError(ConfigError):
    """A plugin that the configuration selects is missing, broken or ambiguous."""


class DataError(AerosError):
    """The data is there but cannot be used: damaged, not finite, empty."""


class RemoteError(AerosError):
    """A server that was asked did not answer; later it may."""


class RepositoryError(AerosError):
    """The repository could not store, find or verify something."""


class TaskError(AerosError):
    """A task could not go on: too few updates, every node failed, cancelled."""


class Interrupted(TaskError):
    """Somebody pressed Ctrl-C, or the process was told to end."""
