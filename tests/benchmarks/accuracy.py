"""The accuracy that every aggregation rule reaches, alone and under attack.

    python tests/benchmarks/accuracy.py [--quick] [--attacked | --personal | --published]
        [--rounds N] [--seeds N] [--only WORD] [--keep FOLDER] [--json FILE]

Real MNIST, 100 clients whose labels are skewed by a Dirichlet distribution of 0.3, and a
small MLP. A run is a task as ``aeros run`` makes it, whole round loop and all, but for a
repository in memory; each rule has the same seeds, clients, rate, batches and number of
updates. The figure is the mean accuracy on the 10,000 test examples after the last round,
over the seeds, with the range.

Under attack all clients take part, and a fifth of them lie. They know each other and
what the honest send: they are no part of the product, but of this program.

A third table has what stays on its node: a model with batch normalisation, all clients in a
round, measured on each node over a fifth of its data that it does not train on (the mean
weighted by examples), as there is no one model to measure.

``--published`` runs Fashion-MNIST as in Li et al., Federated Learning on Non-IID Data Silos
(2022), and its NIID-Bench: 10 clients, Dirichlet 0.5, 10 local epochs, batches of 64, SGD
with momentum 0.9, a rate of 0.01 and a decay of 1e-5, two convolutions of 5x5 without padding
and 6 and 16 channels, dense layers of 120 and 84, 50 rounds; FedProx with mu 0.01.
It takes hours: a round was 40 s of CPU time (one core of the machine in docs/benchmarks.md),
so a run 33 minutes and the four rules with three seeds about 7 hours, half that on two cores.
With ``--keep FOLDER`` every round is committed there, and the same command goes on after
whatever ended it; ``--rounds 10`` first and then without is the same run in two parts, and
``--only fedavg --seeds 1`` is a part that ``--seeds 3`` builds on.

AEROS_DATA names the folder that holds ``mnist`` and ``fashion-mnist``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from statistics import mean

from accuracy_attacks import ATTACKS, Infiltrated
from accuracy_models import added
from simulation_aeros import Clock, Memory

from aeros_core.config import build
from aeros_core.config.store import load
from aeros_core.plugins import discovery

PACKAGES = ("aeros-core", "aeros-torch", "aeros-aggregators", "numpy", "torch")

MNIST = [
    "transformer=[mnist,min_max,dirichlet]", "transformer.dirichlet.clients=100",
    "transformer.dirichlet.alpha=0.3", "transformer.dirichlet.min_examples=20",
    "trainer.model.hidden=[32]", "trainer.lr=0.1", "trainer.batch_size=32",
]  # fmt: skip

FASHION = [
    "transformer=[fashion_mnist,min_max,dirichlet]", "transformer.dirichlet.clients=10",
    "transformer.dirichlet.alpha=0.5", "transformer.dirichlet.min_examples=10",
    "trainer/model=lenet", "trainer.model.padding=valid", "trainer.lr=0.01",
    "trainer.momentum=0.9", "trainer.weight_decay=1e-5", "trainer.batch_size=64",
    "trainer.epochs=10",
]  # fmt: skip

RULES = {
    # every rule with what the task asks it to be told; nothing was searched for
    "fedavg": [],
    "fedprox": ["collector.mu=0.01"],
    "fedavgm": ["collector.server_lr=0.5", "collector.momentum=0.5"],
    "fedadagrad": ["collector.server_lr=0.03"],
    "fedadam": ["collector.server_lr=0.01"],
    "fedyogi": ["collector.server_lr=0.01"],
    "fedexp": [],
    "fednova": [],
    "qfedavg": ["collector.q=0.1", "collector.client_lr=0.1"],
    "scaffold": ["collector.clients=100"],
    "feddyn": ["collector.alpha=0.1", "collector.clients=100"],
    "fedbuff": ["collector.buffer=20"],
    "fedasync": ["collector.alpha=0.1"],
    "ema": ["collector.decay=0.8"],
    "swa": ["collector.start=31"],
    "tree": ["collector.groups=5"],
}

LIARS = 0.2
ROBUST = {
    "fedavg": [],
    "norm_clip": ["collector.bound=1.0"],
    "centred_clip": ["collector.tau=1.0"],
    "median": [],
    "trimmed_mean": ["collector.trim=0.2"],
    "geometric_median": ["collector.iterations=8"],
    "krum": ["collector.byzantine=20"],
    "multikrum": ["collector.byzantine=20"],
    "bulyan": ["collector.byzantine=20"],
}

PERSONAL = {
    "fedavg": ("all is shared", []),
    "fedbn": ("normalisation stays", []),
    "fedavg, personal": ("the last layer stays", ["collector.personal=['head.*']"]),
    "scaffold, personal": (
        "the last layer stays", ["collector.personal=['head.*']", "collector.clients=100"],
    ),
}  # fmt: skip

PUBLISHED = {
    "fedavg": (88.1, []),
    "fedprox": (88.2, ["collector.mu=0.01"]),
    "scaffold": (88.4, ["collector.clients=10"]),
    "fednova": (88.2, []),
}

COHORT = 20


def main() -> None:
    """Run what was asked for, and print the tables."""
    options = _options()
    folder = os.environ.get("AEROS_DATA", "")
    wanted = "fashion-mnist" if options.published else "mnist"
    if not (folder and (Path(folder) / wanted).is_dir()):
        print(f"skipped: AEROS_DATA={folder or '<nothing>'} holds no folder {wanted}")
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          + ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES))  # fmt: skip
    asked = {_attacked: options.attacked, _personal: options.personal}
    tables = [table for table, chosen in asked.items() if chosen] or [_alone, *asked]
    rows = [row for table in ([_published] if options.published else tables)
            for row in table(options)]  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the rounds, one seed")
    parser.add_argument("--published", action="store_true", help="Fashion-MNIST; long")
    parser.add_argument("--attacked", action="store_true", help="the second table alone")
    parser.add_argument("--personal", action="store_true", help="the third table alone")
    parser.add_argument("--keep", type=Path, help="commit rounds here; go on from them")
    parser.add_argument("--json", type=Path, help="write every figure here, too")
    parser.add_argument("--only", default="", help="rules whose name holds this")
    parser.add_argument("--rounds", type=int, help="instead of the usual number")
    parser.add_argument("--seeds", type=int, default=3)
    return parser.parse_args()


def _alone(options: argparse.Namespace) -> list[dict[str, object]]:
    rounds = options.rounds or (10 if options.quick else 60)
    print(f"\n100 clients, Dirichlet 0.3, {COHORT} in a round, {rounds} rounds\n")
    print("| rule | accuracy | range | s a run |\n|---|---|---|---|")
    rows = []
    for rule, extra in _chosen(RULES | {r: [] for r in ROBUST if r not in RULES}, options):
        steps = rounds * (COHORT if rule == "fedasync" else 1)  # each step takes one update
        told = [*MNIST, *(extra or _byzantine(rule, 4)), f"task.cohort={COHORT}"]
        row = _row(rule, "none", _run(rule, [*told, f"task.rounds={steps}"], _seeds(options)))
        print(f"| `{rule}` | {row['accuracy']:.1f} % | {_range(row)} | {row['seconds']:.1f} |")
        rows.append(row)
    return rows


def _byzantine(rule: str, number: int) -> list[str]:
    return [f"collector.byzantine={number}"] if rule in ("krum", "multikrum", "bulyan") else []


def _attacked(options: argparse.Namespace) -> list[dict[str, object]]:
    rounds = options.rounds or (5 if options.quick else 30)
    print(f"\n100 clients, Dirichlet 0.3, all in a round, {LIARS:.0%} attackers, {rounds} rounds\n")
    print(f"| rule | nobody | {' | '.join(ATTACKS)} |\n|---|{'---|' * (len(ATTACKS) + 1)}")
    rows = []
    for rule, extra in _chosen(ROBUST, options):
        told, found = [*MNIST, *extra, f"task.rounds={rounds}"], []
        for attack in (None, *ATTACKS):
            runs = _run(rule, told, _seeds(options), attack)
            found.append(_row(rule, attack or "nobody", runs))
        print(f"| `{rule}` | " + " | ".join(f"{row['accuracy']:.1f} %" for row in found) + " |")
        rows += found
    return rows


def _personal(options: argparse.Namespace) -> list[dict[str, object]]:
    rounds = options.rounds or (3 if options.quick else 30)
    print(f"\n100 clients, Dirichlet 0.3, batch normalisation, {rounds} rounds; on each node\n")
    print("| rule | | accuracy of nodes | range |\n|---|---|---|---|")
    shared = [word for word in MNIST if not word.startswith("trainer.model.")]
    told = [*shared, "trainer/model=normalised", f"task.rounds={rounds}",
            "task.evaluation.central=false", "task.evaluation.federated=true"]  # fmt: skip
    rows = []
    for name, (what, extra) in PERSONAL.items():
        if options.only in name:
            rule = name.partition(",")[0]
            row = _row(name, "none", _run(rule, [*told, *extra], _seeds(options)))
            print(f"| `{rule}` | {what} | {row['accuracy']:.1f} % | {_range(row)} |")
            rows.append(row)
    return rows


def _published(options: argparse.Namespace) -> list[dict[str, object]]:
    rounds = options.rounds or (1 if options.quick else 50)
    print(f"\nFashion-MNIST, 10 clients, Dirichlet 0.5, {rounds} rounds\n")
    print("| rule | accuracy | range | published | s a run |\n|---|---|---|---|---|")
    rows = []
    for rule, (expected, extra) in PUBLISHED.items():
        if options.only in rule:
            told = [*FASHION, *extra, f"task.rounds={rounds}"]
            row = _row(rule, "none", _run(rule, told, _seeds(options), keep=options.keep))
            print(f"| `{rule}` | {row['accuracy']:.1f} % | {_range(row)} | {expected} % "
                  f"| {row['seconds']:.0f} |", flush=True)  # fmt: skip
            rows.append(row)
    return rows


def _chosen(
    rules: dict[str, list[str]], options: argparse.Namespace
) -> list[tuple[str, list[str]]]:
    return [(rule, extra) for rule, extra in rules.items() if options.only in rule]


def _seeds(options: argparse.Namespace) -> Sequence[int]:
    return range(1 if options.quick else options.seeds)


def _run(
    rule: str, told: Sequence[str], seeds: Sequence[int], attack: str | None = None,
    keep: Path | None = None,
) -> list[tuple[float, float]]:  # fmt: skip
    """Return accuracy in per cent and seconds of a run with each seed."""
    registry, found = added(discovery.discover()), []
    for seed in seeds:
        words = [f"collector={rule}", *told, f"task.seed={seed}", "task.evaluation.every=1000000"]
        if keep:
            words += [f"repository.path={keep}", f"task.name={rule}-{seed}", "task.resume=true"]
        job = build.build(load(words, registry), registry)
        parts = replace(job.parts, events=Clock())
        if not keep:
            parts = replace(parts, repository=Memory())
        if attack:
            parts = replace(parts, trainer=Infiltrated(parts.trainer, ATTACKS[attack], LIARS, seed))
        result = job.controller.run(job.task, parts)
        found.append((100.0 * result.metrics["accuracy"], result.seconds))
    return found


def _row(rule: str, attack: str, runs: list[tuple[float, float]]) -> dict[str, float | str]:
    figures = [accuracy for accuracy, _ in runs]
    return {
        "rule": rule,
        "attack": attack,
        "accuracy": mean(figures),
        "least": min(figures),
        "most": max(figures),
        "seconds": mean(seconds for _, seconds in runs),
    }


def _range(row: dict[str, float | str]) -> str:
    return f"{row['least']:.1f} to {row['most']:.1f}"


if __name__ == "__main__":
    sys.exit(main())
