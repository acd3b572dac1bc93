"""Which engine trains a network."""

from __future__ import annotations

import logging

from aeros_core.errors import ConfigError
from aeros_torch.config import Engine
from aeros_torch.stack import Stack

__all__ = ["compiled"]

_log = logging.getLogger(__name__)


def compiled(engine: Engine, found: Stack | str, said: set[str]) -> bool:
    """Tell whether kernels are to train what `stack` found; where not, log why, once.

    Args:
        engine: What was asked for.
        found: The stack, or why there is none.
        said: Reasons that were logged before; the new one is added.

    Raises:
        ConfigError: They were asked for and cannot.
    """
    if engine is Engine.sequential:
        return False
    if isinstance(found, Stack):
        return True
    if engine is Engine.compiled:
        raise ConfigError(
            f"trainer.engine=compiled cannot train this: {found}",
            exists=", ".join(name.name for name in Engine),
            hint="trainer.engine=auto",
        )
    if found not in said:
        _log.info("trainer.engine=auto takes sequential: %s", found)
        said.add(found)
    return False
