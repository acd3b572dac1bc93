"""The bytes that a task locks of an algorithm."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aeros_core.errors import ConfigError

__all__ = ["AlgorithmPin"]


@dataclass(slots=True)  # not frozen: OmegaConf could not override an entry of a dictionary
class AlgorithmPin:
    """Which bytes a task wants of an algorithm.

    Args:
        version: The version.
        sha256: SHA-256 of the wheel, 64 hexadecimal digits in lower case.
    """

    version: str
    sha256: str

    def check(self, name: str) -> None:
        """Make sure that it could be a pin of an algorithm of this name.

        Raises:
            ConfigError: Name, version or hash has another form.
        """
        forms = {
            "name": (name, r"[a-z0-9]+(-[a-z0-9]+)*"),
            "version": (self.version, r"[0-9][a-z0-9.]{0,63}"),
            "sha256": (self.sha256, r"[0-9a-f]{64}"),
        }
        for what, (value, form) in forms.items():
            if not re.fullmatch(form, value):
                raise ConfigError(
                    f"task.algorithms: {value!r} cannot be the {what} of an algorithm",
                    exists="NAME: {version: '1.0', sha256: …}, as in a lock",
                    hint="aeros algorithms lock NAME:VERSION > FILE, then task.algorithms=FILE",
                )
