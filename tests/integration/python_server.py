"""A Python that has imported what commands need, and forks one process for each command.

Started anew, each command of a test spends seconds of processor time on imports. Run as a
program, this module is the server; it speaks with `spawn` over one socket.
"""

import atexit
import importlib
import json
import os
import random
import runpy
import signal
import socket
import struct
import sys
import tempfile
import threading
import traceback

AHEAD = (
    "aeros_core.cli.main", "aeros_core.controllers.local", "aeros_core.reporting.curves",
    "hydra.main", "matplotlib.figure", "matplotlib.backends.backend_agg", "numba", "numpy",
    "torch", "flwr.supernode.runtime.run_clientapp", "aeros_flower.executor.executor",
    "aeros_flower.controller", "aeros_flower.superlink.embedded", "aeros_torch.trainer",
    "aeros_transforms", "aeros_zarr.repository", "aeros_aggregators", "aeros_onnx",
    "aeros_serving.server",
)  # fmt: skip
"""Modules that are imported before the first command; those that are not here are left out."""

REQUEST = 2**17
"""Bytes of a request, at most: the words and the environment of a command."""

STATUS = struct.Struct("i")


def main() -> None:
    """Serve requests from the socket whose number is the only argument, until it is closed."""
    server = socket.socket(fileno=int(sys.argv[1]))
    keepers: set[int] = set()
    for name in AHEAD:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    while True:
        data, files, _, _ = socket.recv_fds(server, REQUEST, 8)
        if not data:
            return
        request = json.loads(data)
        if (keeper := os.fork()) == 0:
            server.close()
            _keep(request, files)
        for each in files:
            os.close(each)
        keepers = {one for one in keepers | {keeper} if os.waitpid(one, os.WNOHANG)[0] == 0}


def _keep(request: dict, files: list[int]) -> None:
    """Start a command, report its process and then its status."""
    *streams, report = files
    if (command := os.fork()) == 0:
        os.close(report)
        code = 1
        try:
            code = _command(request, streams)
        finally:
            os._exit(code)
    for each in streams:
        os.close(each)
    os.write(report, STATUS.pack(command))
    _, status = os.waitpid(command, 0)
    os.write(report, STATUS.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _command(request: dict, streams: list[int]) -> int:
    """Be the process of a command; return its exit code."""
    for number, each in enumerate(streams):
        os.dup2(each, number)
    os.closerange(3, 4096)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, "rw"[n > 0]) for n in range(3))
    sys.stderr.reconfigure(line_buffering=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    random.seed()
    sys.path[0] = request["cwd"]
    sys.path[1:1] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return _ended(request["words"])


def _ended(words: list[str]) -> int:
    """Run words of a Python's command line, and what is to be done at its exit."""
    code: object = 0
    try:
        _run(words)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or 120
    if isinstance(code, str):
        print(code, file=sys.stderr)
    return code if isinstance(code, int) else int(code is not None)


def _run(words: list[str]) -> None:
    if words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
            file.write(words[1])
            file.flush()
            runpy.run_path(file.name, run_name="__main__")
    elif words[1] == "aeros_core.cli.main":
        from aeros_core.cli.main import main

        sys.argv = ["aeros", *words[2:]]
        sys.exit(main())
    else:
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
