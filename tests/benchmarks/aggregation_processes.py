"""What takes a process of its own: the first round after a start, and the peak of memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from table import Row, Work


def starts(scale: int) -> Iterator[Work]:
    """From an empty process to the end of the first round, kernels kept on disk."""
    code = (
        "import numpy as np;"
        "from aeros_core.messages import Update;from aeros_core.parameters import Parameters;"
        "from aeros_aggregators.rules.fedavg import FedAvg;"
        "p = Parameters.of({{'w': np.ones({0}, np.float32)}});"
        "FedAvg(personal=()).aggregate(p, [Update('a', 1, p, 1)])"
    )
    programs = {
        "import numpy": "import numpy",
        "aeros fedavg, small model": code.format(1000),
        "aeros fedavg, large model": code.format(1_000_000),
        "import numba": "import numba",
        "import torch": "import torch",
        "import flwr.serverapp": "import flwr.serverapp",
    }
    calls = {name: lambda p=program: _python(p) for name, program in programs.items()}
    yield Work.of("start to first round", calls)


def peak_memory(scale: int) -> list[Row]:
    """Memory that a round takes beside the parameters, in models, by number of clients."""
    code = """
import sys
import numpy as np
from aeros_aggregators.rules.fedavg import FedAvg
from aeros_core.messages import Update
from aeros_core.parameters import Layout, Parameters
count, size = int(sys.argv[1]), int(sys.argv[2])
layout = Layout.of({"w": ((size,), "float32")})
def model(value):
    return Parameters(layout, {"float32": np.full(size, value, np.float32)})
def resident(field):
    with open("/proc/self/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(field))
FedAvg(personal=()).aggregate(model(0), [Update("a", 1, model(1), 1)])
start = model(0)
before = resident("VmRSS")
FedAvg(personal=()).aggregate(start, (Update(f"{i}", 1, model(i), 1) for i in range(count)))
print((resident("VmHWM") - before) / layout.nbytes)
"""
    rows = []
    for count in (2, 20, 200, 1000 // scale):
        models = float(_python(code, str(count), "10000000"))
        row = {"work": "peak memory", "subject": f"{count} clients", "models": models}
        print("{work:24} {subject:30} {models:10.1f} models beside the parameters".format(**row))
        rows.append(row)
    return rows


def _python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
