"""Where Hydra may write: below the working directory, or where a person typed it.

A directory that a file sets has to lead below the working directory. One that was typed may be
anywhere; interpolations in it must not lead out of the folder before the first of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from aeros_core.errors import ConfigError

__all__ = ["settle"]

FILLED = re.compile(
    r"\$\{(?:now:[^${}]*|hydra\.job\.(?:num|id|name|override_dirname)|task\.name)\}"
)
"""What is filled in later, or the same whenever it is: it stays as it is written."""


def settle(cfg: DictConfig, settings: Mapping[str, bool]) -> None:
    """Check the directories of a composed configuration, and write out what they refer to.

    What could have another value when Hydra makes the directory is replaced by its value now.

    Args:
        cfg: The configuration, with its ``hydra`` node.
        settings: Each option below ``hydra`` that files or words set, and whether the last
            word for it was typed by a person.

    Raises:
        ConfigError: A directory leads elsewhere.
        OmegaConfBaseException: An interpolation in it leads nowhere.
    """
    for path in ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir"):
        if path in settings:
            _settle(cfg, path, typed=settings[path])


def _settle(cfg: DictConfig, path: str, *, typed: bool) -> None:
    section, _, leaf = path.rpartition(".")
    written = str(OmegaConf.select(cfg, section)._get_node(leaf)._value())
    text = _written_out(cfg, written, path)
    OmegaConf.update(cfg, path, text)
    found = _filled_in(cfg, text)
    root = Path.cwd()
    if leaf == "subdir":
        root /= "sweep"  # wherever it is, a job's folder is below
    elif typed:
        if "${" not in written:
            return
        found = str(root / found)
        root /= Path(written.partition("${")[0] + "-").parent
    if not _below(root / found, root, whole=typed):
        raise _outside(path, written, found, typed=typed)


def _below(path: Path, root: Path, *, whole: bool) -> bool:
    """Tell whether a path leads below a folder, links followed; ``whole``: or to it."""
    real, base = os.path.realpath(path), os.path.realpath(root)
    return (whole and real == base) or (real != base and os.path.commonpath([real, base]) == base)


def _written_out(cfg: DictConfig, written: str, path: str) -> str:
    """Return a directory with all but what is filled in later replaced by its value."""
    text, end = "", 0
    for kept in FILLED.finditer(written):
        text += _value(cfg, written[end : kept.start()], path) + kept.group()
        end = kept.end()
    return text + _value(cfg, written[end:], path)


def _value(cfg: DictConfig, text: str, path: str) -> str:
    if "${" not in text:
        return text
    node = OmegaConf.create({"text": text})
    node._set_parent(cfg)
    value = str(node["text"])
    if "${" in value or "\0" in value:
        raise ConfigError(f"{path}={text} is not the name of a folder", hint=f"{path}=DIR")
    return value


def _filled_in(cfg: DictConfig, text: str) -> str:
    """Return a directory as Hydra will see it, as the first job of a sweep."""
    for late in ("${hydra.job.num}", "${hydra.job.id}"):
        text = text.replace(late, "0")
    node = OmegaConf.create({"text": text})
    node._set_parent(cfg)
    return str(node["text"])


def _outside(path: str, written: str, found: str, *, typed: bool) -> ConfigError:
    if path.endswith("subdir"):
        return ConfigError(
            f"{path}={written} leads out of the folder of the sweep",
            exists="a folder below hydra.sweep.dir",
            hint=f"'{path}=${{hydra.job.num}}'",
        )
    if typed:
        return ConfigError(
            f"{path}={written} leads to {found}, outside the folder that was typed",
            hint=f"{path}={found}",
        )
    return ConfigError(
        f"{path}={written}, set in a file, leads outside the working directory",
        exists=f"folders below {Path.cwd()}",
        hint=f"{path}={found} on the command line, if this is meant",
    )
