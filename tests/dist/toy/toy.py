"""A complete plugin on numpy alone, so that the core is tested without any other."""

from dataclasses import dataclass, field
from typing import Any

from aeros_core import hookimpl


@dataclass
class Blobs:
    _target_: str = "toy_parts.Blobs"
    examples: int = 240
    nan: bool = False


@dataclass
class Even:
    _target_: str = "toy_parts.Even"
    clients: int = 6


@dataclass
class Scale:
    _target_: str = "toy_parts.Scale"


@dataclass
class Thin:
    _target_: str = "toy_parts.Thin"


@dataclass
class Steep:
    _target_: str = "toy_parts.Steep"
    slope: float = 1.0


@dataclass
class Linear:
    _target_: str = "toy_parts.Linear"
    lr: float = 0.5
    pause: float = 0.0
    fail: list[str] = field(default_factory=list)
    poison: list[str] = field(default_factory=list)
    features: int | None = None
    model: Any = None


@dataclass
class Scores:
    _target_: str = "toy_parts.Scores"


@dataclass
class Mean:
    _target_: str = "toy_parts.Mean"
    momentum: float = 0.0


@dataclass
class Files:
    _target_: str = "toy_parts.Files"
    path: str = "toy-store"


@dataclass
class Coarse:
    _target_: str = "toy_parts.Coarse"
    step: float = 0.01


@dataclass
class Tally:
    _target_: str = "toy_parts.Tally"
    path: str = "tally.txt"


@hookimpl
def aeros_transformers():
    return {"blobs": Blobs, "even": Even, "scale": Scale, "thin": Thin}


@hookimpl
def aeros_trainers():
    return {"linear": Linear}


@hookimpl
def aeros_inferencers():
    return {"scores": Scores}


@hookimpl
def aeros_models():
    return {"steep": Steep}


@hookimpl
def aeros_collectors():
    return {"mean": Mean}


@hookimpl
def aeros_codecs():
    return {"coarse": Coarse}


@hookimpl
def aeros_repositories():
    return {"files": Files}


@hookimpl
def aeros_callbacks():
    return {"tally": Tally}
