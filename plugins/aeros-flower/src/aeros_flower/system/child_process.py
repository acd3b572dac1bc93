"""Runs a program until whoever started it is gone.

It is the program ``python -m aeros_flower.system.child_process PROGRAM …``.

Programs of Flower start others, and outlive who began them where that is killed. Here the
one that began holds a pipe; once it is closed, for whatever reason, the program is ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

__all__ = ["start_child"]

_GRACE = 3.0
"""Seconds that a program has to end when it is asked to."""


def start_child(
    words: Sequence[str], environment: Mapping[str, str] | None = None, log: IO[str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program of this Python's environment that ends with this process.

    Args:
        words: Its name and its arguments.
        environment: Variables that it has beside those of this process.
        log: Where it writes; None: beside this process.
    """
    folder = Path(sys.executable).parent
    path = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"  # it starts others by name
    return subprocess.Popen(  # noqa: S603 - words of ours
        [
            sys.executable,
            "-m",
            "aeros_flower.system.child_process",
            str(folder / words[0]),
            *words[1:],
        ],
        env={**os.environ, "PATH": path, **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=log or sys.stderr.fileno(),
        stderr=log or sys.stderr.fileno(),
        start_new_session=True,
    )


def main() -> int:
    """Run it; return its status."""
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)  # noqa: S603

    def watch() -> None:
        while os.read(0, 1):
            pass
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()

    threading.Thread(target=watch, daemon=True).start()
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
