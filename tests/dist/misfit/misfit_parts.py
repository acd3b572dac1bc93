"""What the options of ``misfit`` name."""

from aeros_core import hookimpl
from aeros_core.errors import ConfigError


class Idle:
    """Is no collector: it cannot aggregate."""


class Other:
    """Takes other options than its dataclass says."""

    def __init__(self, *, cut):
        self.cut = cut


class Strict:
    """Refuses a value."""

    def __init__(self, *, trim):
        if trim < 0:
            raise ConfigError(f"collector.trim={trim} is not possible", exists="0 to 0.5")

    def aggregate(self, parameters, updates):
        return parameters


class Deaf:
    """Listens for an event that does not exist."""

    @hookimpl
    def aeros_after_lunch(self):
        raise AssertionError("never called")


class Mishears:
    """Expects an argument that the event does not have."""

    @hookimpl
    def aeros_after_round(self, rounds):
        raise AssertionError("never called")
