"""Lock files: which algorithms a task wants, by name, version and SHA-256."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aeros_core.errors import ConfigError
from aeros_core.files import strict_json
from aeros_core.tasks.algorithm_pin import AlgorithmPin

__all__ = ["read", "spelled"]

_WORD = "task.algorithms="


def read(path: Path) -> dict[str, AlgorithmPin]:
    """Read a lock file: ``{name: {"version": …, "sha256": …}}`` as JSON.

    Raises:
        ConfigError: There is none, or it says something else.
    """
    try:
        data: dict[str, Any] = strict_json.loads(path.read_text(encoding="utf-8"))
        pins = {str(name): AlgorithmPin(**pin) for name, pin in data.items()}
        for name, pin in pins.items():
            pin.check(name)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"{path} is not the lock of a task: {getattr(error, 'strerror', None) or error}",
            exists='{"NAME": {"version": "1.0", "sha256": "…"}}',
            hint="aeros algorithms lock NAME:VERSION > FILE",
        ) from error
    return pins


def spelled(word: str) -> str:
    """Return ``task.algorithms=FILE`` with what the file says in its place; else the word.

    So the configuration of a run holds what was locked, not where it was written.

    Raises:
        ConfigError: The file is not a lock.
    """
    key, sign, value = word.partition("=")
    if key.lstrip("+") + sign != _WORD or value.startswith(("{", "$", "null")):
        return word
    pins = read(Path(value)).items()
    said = [f"{name}:{{version:'{p.version}',sha256:'{p.sha256}'}}" for name, p in pins]
    return f"++{_WORD}{{{','.join(said)}}}"
