"""What a controller is told of an error: its kind, never what the site's data or files hold.

The site's own log and its executor's output have the whole error. Both sides show a reference,
by which a person there finds what a person here asks about.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum

from aeros_core.errors import (
    AccessError,
    AerosError,
    ConfigError,
    DataError,
    PluginError,
    RemoteError,
)

__all__ = [
    "ErrorKind",
    "Redacted",
    "RefusedByPolicy",
    "Sent",
    "kind_named",
    "kind_of",
    "redacted",
    "sentence",
    "whole",
]


class ErrorKind(StrEnum):
    """What went wrong on an executor, as far as its controller learns it."""

    POLICY = "policy"
    UNREADABLE = "unreadable"
    PLUGIN = "plugin"
    OPTION = "option"
    DATA = "data"
    SCHEMA = "schema"
    MEMORY = "memory"
    REMOTE = "remote"
    LOG = "log"
    INTERNAL = "internal"


_SENTENCES = {
    ErrorKind.POLICY: "the site's policy does not allow this",
    ErrorKind.UNREADABLE: "the message was not understood",
    ErrorKind.PLUGIN: "a part that the task names is not registered on this executor",
    ErrorKind.OPTION: "an option of the task is not accepted on this executor",
    ErrorKind.DATA: "the site's data cannot be used for this task",
    ErrorKind.SCHEMA: "the site's columns are not those that the task asks for",
    ErrorKind.MEMORY: "there is not enough memory on this executor",
    ErrorKind.REMOTE: "a server that the task needs did not answer the executor",
    ErrorKind.LOG: "the site's log cannot be written, so nothing leaves",
    ErrorKind.INTERNAL: "the executor failed at this",
}


class RefusedByPolicy(ConfigError):
    """The site's policy does not allow what a controller asks.

    Args:
        rule: Key of the policy that decided.
        reason: What was asked and what is allowed, for the site's own eyes.
        line: Line of the policy that would allow it.
        place: Where that line belongs.
        interrupted: Whether work had begun, and was given up in its midst.
    """

    def __init__(
        self, rule: str, reason: str, line: str, place: str, *, interrupted: bool = False
    ) -> None:
        super().__init__(f"policy {rule}: {reason}", hint=f"{line} in {place}")
        self.rule, self.interrupted = rule, interrupted
        self._parts = (rule, reason, line, place)

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the parts when the error crosses a process boundary."""
        return type(self), self._parts


@dataclass(frozen=True, slots=True)
class Redacted:
    """An error as each side may know it.

    Args:
        kind: Of the error.
        sent: Text for the controller.
        whole: Text for the site.
        reference: What both texts can be found by.
    """

    kind: ErrorKind
    sent: str
    whole: str
    reference: str


def redacted(error: BaseException, kind: ErrorKind | None = None, about: str = "") -> Redacted:
    """Return what each side is told of an error.

    Args:
        error: Whatever was raised.
        kind: Of the error; None: that of its class.
        about: Names that the task itself sent, such as the group of an option.
    """
    found, reference = kind or kind_of(error), secrets.token_hex(4)
    about = error.rule if isinstance(error, RefusedByPolicy) else about
    told = error.kind if isinstance(error, AccessError) else _SENTENCES[found]
    named = f" ({about})" if about else ""
    sent = f"{told}{named}; reference {reference} in the site's log"
    return Redacted(found, sent, whole(error), reference)


class Sent(str):
    """A text that was made for the controller, and holds nothing of the site."""

    __slots__ = ()


def kind_named(text: str) -> ErrorKind:
    """Return the kind of an error of which there is the text alone, ``CLASS: …``."""
    name = text.partition(":")[0]
    if name == "MemoryError" or "alloc" in text:
        return ErrorKind.MEMORY
    return ErrorKind.DATA if name == "DataError" else ErrorKind.INTERNAL


def sentence(kind: ErrorKind) -> str:
    """Return what a controller is told of every error of a kind."""
    return _SENTENCES[kind]


def whole(error: BaseException) -> str:
    """Return all that an error says, in one line."""
    if not isinstance(error, AerosError):
        return f"{type(error).__name__}: {error}"
    more = [f"exists: {error.exists}"] if error.exists else []
    more += [error.hint] if error.hint else []
    return f"{error.asked} ({'; '.join(more)})" if more else error.asked


def kind_of(error: BaseException) -> ErrorKind:
    """Return the kind of an error by its class, never by its text."""
    from aeros_flower.protocol.message_content import WireError
    from aeros_flower.site.log import LogError

    kinds: list[tuple[type[BaseException], ErrorKind]] = [
        (RefusedByPolicy, ErrorKind.POLICY),
        (WireError, ErrorKind.UNREADABLE),
        (LogError, ErrorKind.LOG),
        (PluginError, ErrorKind.PLUGIN),
        (ConfigError, ErrorKind.OPTION),
        (DataError, ErrorKind.DATA),
        (RemoteError, ErrorKind.REMOTE),
        (MemoryError, ErrorKind.MEMORY),
        (OSError, ErrorKind.DATA),
    ]
    return next((kind for of, kind in kinds if isinstance(error, of)), ErrorKind.INTERNAL)
