"""Simulating many clients: aeros beside pfl-research and loops written by hand.

    python tests/benchmarks/simulation.py [--quick] [--json FILE] [--only WORD] [--no-pfl]
        [--no-flwr] [--cache FOLDER]

Every subject trains the same clients on the same examples with the same rate, batches and
rounds; local epochs are 1. A time is that of a round from its end to the next one's end, the
median over all rounds but the first, in which caches fill; subjects take turns, twice.
Nothing is measured centrally before the last round, and nothing is written to disk: aeros
runs its whole round loop (selection, instructions, checks of every update, fedavg), with a
repository in memory. A ratio is pfl's figure, the better of one and two processes, over the
subject's own: 8.0 is eight times as fast. ``busy`` is what the processors were kept busy with
in a round, which a machine shared with others disturbs less.

Data are real digits and Shakespeare by speaker if AEROS_DATA names a folder with ``mnist`` and
``tinyshakespeare``, else made ones of the same shape. pfl and flwr are installed on first use
into environments of their own, ``--cache``; flwr, which is slow, does fewer rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import simulation_aeros as aeros
import simulation_loops as loops
from simulation_work import Work, works

HERE = Path(__file__).parent
CACHE = Path.home() / ".cache" / "aeros-benchmarks"
PFL = "0.6.0"
FLWR = "1.41.0"
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
PACKAGES = ("aeros-core", "aeros-torch", "aeros-aggregators", "numpy", "numba", "torch")

Timed = tuple[list[float], float, float]
"""Seconds of each round but the first; seconds that all processors together were busy with
one; accuracy on the test examples at the end."""


def subjects(work: Work, peers: dict[str, Path], saved: Path) -> dict[str, Callable[[], Timed]]:
    """Return what does a work, by name."""
    found: dict[str, Callable[[], Timed]] = {}
    if (pfl := peers.get("pfl")) is not None:
        found["pfl, one process"] = partial(in_pfl, pfl, saved, 1)
        found["pfl, two processes"] = partial(in_pfl, pfl, saved, 2)
    if (flwr := peers.get("flwr")) is not None and work.flwr:
        found["flwr simulation"] = partial(in_flwr, flwr, saved, work.flwr)
    found["plain torch loop"] = partial(loops.naive, work)
    found["torch loop, tuned"] = partial(loops.tuned, work)
    found["kernel alone, 1 worker"] = partial(aeros.kernel, work, 1)
    found["kernel alone, 2 workers"] = partial(aeros.kernel, work, 2)
    if not work.codes:  # torch.func cannot map an LSTM
        found["aeros cohort"] = partial(aeros.engine, work, "cohort")
    found["aeros sequential"] = partial(aeros.engine, work, "sequential")
    if len(work.inputs) > 1 or work.codes:
        found["aeros workers"] = partial(aeros.engine, work, "workers")
        found["aeros compiled"] = partial(aeros.engine, work, "compiled")
    found["aeros auto"] = partial(aeros.engine, work, "auto")
    return found


def in_pfl(python: Path, saved: Path, processes: int) -> Timed:
    """Do a saved work with pfl, and return what its program prints."""
    program = [str(HERE / "simulation_pfl.py"), str(saved)]
    launch = [str(python)]
    if processes > 1:
        there = ["torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        launch += ["-m", *there]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, *program], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"pfl failed:\n{done.stderr[-2000:]}")
    return printed(done.stdout)


def in_flwr(python: Path, saved: Path, rounds: int) -> Timed:
    """Do some rounds of a saved work with flwr's simulation, and return what it prints."""
    program = [str(python), str(HERE / "simulation_flwr.py"), str(saved), str(rounds)]
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "OMP_NUM_THREADS": "1", "FLWR_HOME": home, **QUIET}
        kept = {"capture_output": True, "text": True, "check": False, "timeout": 1200}
        done = subprocess.run(program, env=env, **kept)
    if done.returncode:
        sys.exit(f"flwr failed:\n{done.stderr[-2000:]}")
    return printed(done.stdout)


def printed(text: str) -> Timed:
    """Return the figures among what a program printed."""
    last = json.loads(next(line for line in text.splitlines() if line.startswith('{"seconds"')))
    return last["seconds"], last["busy"], last["accuracy"]


def environment(cache: Path, name: str, *packages: str) -> Path:
    """Return the Python of an environment with a peer, made on first use."""
    folder = cache / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"installing {' '.join(packages)} into {folder}", flush=True)
        venv.create(folder, with_pip=True)
        torch = f"torch=={metadata.version('torch').partition('+')[0]}"
        install = [str(python), "-m", "pip", "install", "-q", *packages, torch]
        subprocess.run(install, check=True)
        (folder / "ready").touch()
    return python


def measure(work: Work, found: dict[str, Callable[[], Timed]], turns: int) -> list[dict[str, Any]]:
    """Let subjects take turns; return a row for each."""
    seconds: dict[str, list[float]] = {name: [] for name in found}
    busy: dict[str, list[float]] = {name: [] for name in found}
    accuracy: dict[str, float] = {}
    for _ in range(turns):
        for name, call in found.items():
            some, worked, accuracy[name] = call()
            seconds[name] += some
            busy[name].append(worked)
    return [
        {
            "work": work.name,
            "subject": name,
            "median_ms": statistics.median(seconds[name]) * 1e3,
            "busy_ms": statistics.median(busy[name]) * 1e3,
            "ratio": _ratio({n: statistics.median(s) for n, s in seconds.items()}, name),
            "busy_ratio": _ratio({n: statistics.median(s) for n, s in busy.items()}, name),
            "accuracy": accuracy[name],
        }
        for name in found
    ]


def _ratio(figures: dict[str, float], name: str) -> float:
    """Return the better of pfl's figures over a subject's; NaN without pfl."""
    best = min((f for n, f in figures.items() if n.startswith("pfl")), default=float("nan"))
    return best / figures[name]


def main() -> None:
    options = arguments()
    peers = {}
    if not options.no_pfl:
        peers["pfl"] = environment(options.cache, f"pfl-{PFL}", f"pfl=={PFL}")
    if not options.no_flwr:
        wanted = f"flwr[simulation]=={FLWR}"
        peers["flwr"] = environment(options.cache, f"flwr-{FLWR}", wanted)
    print(f"{machine()}\n{', '.join(f'{k} {v}' for k, v in versions().items())}\n")
    print(
        f"{'work':24} {'subject':24} {'median ms':>10} {'x pfl':>6}"
        f" {'busy ms':>10} {'x pfl':>6} {'accuracy':>8}"
    )
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for work in works(options.quick, options.only):
            saved = Path(folder) / "work.npz"
            work.save(saved)
            found = subjects(work, peers, saved)
            for row in measure(work, found, 1 if options.quick else 2):
                rows.append(row)
                print(
                    f"{row['work']:24} {row['subject']:24} {row['median_ms']:10.2f}"
                    f" {row['ratio']:6.1f} {row['busy_ms']:10.2f} {row['busy_ratio']:6.1f}"
                    f" {row['accuracy']:8.3f}",
                    flush=True,
                )
    if options.json:
        document = {"machine": machine(), "versions": versions(), "rows": rows}
        Path(options.json).write_text(json.dumps(document, indent=1))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="half the rounds, one turn")
    parser.add_argument("--json", metavar="FILE", help="write the rows there too")
    parser.add_argument("--only", default="", metavar="WORD", help="works with this in their name")
    parser.add_argument("--no-pfl", action="store_true", help="leave pfl out, and its ratios")
    parser.add_argument("--no-flwr", action="store_true", help="leave flwr's simulation out")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where peers are installed")
    return parser.parse_args()


def machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in PACKAGES} | {"pfl": PFL, "flwr": FLWR}


if __name__ == "__main__":
    main()
