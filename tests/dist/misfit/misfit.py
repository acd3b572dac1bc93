"""Offers what can be chosen but not built, each for a reason of its own."""

from dataclasses import dataclass

from aeros_core import hookimpl


@dataclass
class Absent:
    _target_: str = "misfit_parts_that_are_not_there.Absent"


@dataclass
class Nameless:
    _target_: str = "misfit_parts.Nameless"


@dataclass
class Idle:
    _target_: str = "misfit_parts.Idle"


@dataclass
class Other:
    _target_: str = "misfit_parts.Other"
    trim: float = 0.0


@dataclass
class Strict:
    _target_: str = "misfit_parts.Strict"
    trim: float = 0.0


@dataclass
class Crash:
    _target_: str = "misfit_crash.Crash"


@dataclass
class Deaf:
    _target_: str = "misfit_parts.Deaf"


@dataclass
class Mishears:
    _target_: str = "misfit_parts.Mishears"


@hookimpl
def aeros_collectors():
    return {
        "absent": Absent,
        "nameless": Nameless,
        "idle": Idle,
        "other": Other,
        "strict": Strict,
        "crash": Crash,
    }


@hookimpl
def aeros_callbacks():
    return {"deaf": Deaf, "mishears": Mishears}
