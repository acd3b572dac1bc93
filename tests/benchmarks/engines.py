"""The learning curve of one experiment under each engine of the trainer.

    python tests/benchmarks/engines.py [--quick] [--rounds N] [--seeds N] [--json FILE]

``experiment=mnist`` with a repository in memory: 100 clients of two label shards, 10 a round,
a CNN. The engines add up floating-point numbers in orders of their own, so their parameters
drift apart as those of two machines would; what must agree is the curve. The last row is by
how much the seed alone moves the accuracy: the engines of one seed should lie closer together.

AEROS_DATA names the folder that holds ``mnist``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from itertools import product
from pathlib import Path

from simulation_aeros import Memory

from aeros_core.config import build
from aeros_core.config.store import load
from aeros_core.parameters import Parameters
from aeros_core.plugins import discovery
from aeros_core.results import Round
from aeros_core.roles.events import Events
from aeros_core.tasks.task import Task

PACKAGES = ("aeros-core", "aeros-torch", "aeros-aggregators", "numpy", "torch")
ENGINES = ("compiled", "workers", "sequential", "cohort")


class Curve(Events):
    """Hears of rounds, and keeps the accuracy of each."""

    def __init__(self) -> None:
        super().__init__()
        self.accuracy: dict[int, float] = {}

    def aeros_after_round(self, task: Task, round: Round, parameters: Parameters) -> None:
        """Keep what a round measured."""
        if "accuracy" in round.metrics:
            self.accuracy[round.number] = 100.0 * round.metrics["accuracy"]


def main() -> None:
    """Run each engine with each seed, and print accuracy at a few rounds."""
    options = _options()
    folder = Path(os.environ.get("AEROS_DATA", "")) / "mnist"
    if not folder.is_dir():
        print(f"skipped: AEROS_DATA names no folder that holds mnist ({folder})")
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          + ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES))  # fmt: skip
    rounds = options.rounds or (4 if options.quick else 40)
    seeds = range(1 if options.quick else options.seeds)
    shown = [rounds // 4, rounds // 2, rounds]
    print(f"\n| engine | seed | {' | '.join(f'round {number}' for number in shown)} |")
    print("|---|---|" + "---|" * len(shown))
    rows = []
    for seed, engine in product(seeds, ENGINES):
        curve = _curve(folder, engine, seed, rounds)
        print(f"| `{engine}` | {seed} | " + " | ".join(f"{curve[r]:.2f} %" for r in shown) + " |")
        rows.append({"engine": engine, "seed": seed, "accuracy": curve})
    _print_spread(rows, shown)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the rounds, one seed")
    parser.add_argument("--rounds", type=int, help="instead of the usual number")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write every figure here, too")
    return parser.parse_args()


def _curve(folder: Path, engine: str, seed: int, rounds: int) -> dict[int, float]:
    registry, curve = discovery.discover(), Curve()
    words = ["experiment=mnist", f"transformer.mnist.path={folder}", f"trainer.engine={engine}"]
    told = [*words, f"task.seed={seed}", f"task.rounds={rounds}"]
    job = build.build(load(told, registry), registry)
    job.controller.run(job.task, replace(job.parts, repository=Memory(), events=curve))
    return curve.accuracy


def _print_spread(rows: Sequence[dict[str, object]], shown: Sequence[int]) -> None:
    by_seed: dict[object, list[dict[int, float]]] = {}
    by_engine: dict[object, list[dict[int, float]]] = {}
    for row in rows:
        by_seed.setdefault(row["seed"], []).append(row["accuracy"])  # type: ignore[arg-type]
        by_engine.setdefault(row["engine"], []).append(row["accuracy"])  # type: ignore[arg-type]
    for name, groups in (("engines of one seed", by_seed), ("seeds of one engine", by_engine)):
        widest = [max(_width([curve[r] for curve in group]) for group in groups.values())
                  for r in shown]  # fmt: skip
        print(f"| widest range: {name} | | " + " | ".join(f"{w:.2f}" for w in widest) + " |")


def _width(figures: Sequence[float]) -> float:
    return max(figures) - min(figures)


if __name__ == "__main__":
    main()
