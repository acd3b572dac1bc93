"""A repository with something of every kind, all that can be asked of it, and its answers."""

import hashlib
import json
import logging
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from aeros_core.errors import AerosError
from aeros_core.parameters import Parameters
from aeros_core.records import Algorithm
from aeros_core.results import Result, Status

WHEEL = bytes(range(256)) * 3


def parameters(seed):
    rng = np.random.default_rng(seed)
    return Parameters.of(
        {"w": rng.standard_normal(1500, dtype=np.float32), "n": np.arange(1500, dtype=np.int64)}
    )


def fill(store, examples):
    """Store something of every kind."""
    store.begin(examples.run())
    for number in (1, 2):
        state = {"collector": {"m": np.full(5, number), "t": number}}
        made = examples.checkpoint(number, state=state)
        store.commit("a", replace(made, parameters=parameters(number), seconds=1.5))
    store.finish("a", Result("task", Status.FINISHED, 2, {"loss": 0.5}, {}, 2.0, 1, 2, {}))
    for seed in (7, 8):  # the second shares a layer with the first
        store.publish(replace(examples.model(), parameters=parameters(seed), metrics={"a": 0.5}))
    store.tag("model", "best", 1)
    sha256 = hashlib.sha256(WHEEL).hexdigest()
    store.store_algorithm(Algorithm("rule", "1.0", sha256, len(WHEEL), "k", "s"), WHEEL)
    store._models.index()


def questions(store):
    """Return what is asked of a store with run ``a``, model ``model`` and algorithm ``rule``."""
    asked = {
        "runs": lambda: [run.id for run in store.runs()],
        "run": lambda: [run for run in store.runs() if run.id == "a"],
        "history": lambda: [done.to_json() for done in store.history("a")],
        "latest": lambda: checkpoint(store.latest("a")),
        "result": lambda: store.result("a"),
        "models": lambda: listed(store.models()),
        "page": lambda: [listed(found) if n == 0 else found for n, found in
                         enumerate(store.page("model", limit=50, newest=True))],
        "algorithms": store.algorithms,
        "algorithm": lambda: store.algorithm("rule", "1.0"),
    }  # fmt: skip
    for version in (1, 2, "latest", "best"):
        asked[f"model {version}"] = lambda version=version: model(store.model("model", version))
    return asked


def checkpoint(found):
    states = {f"{owner} {name}": getattr(value, "tolist", lambda value=value: value)()
              for owner, state in found.state.items() for name, value in state.items()}  # fmt: skip
    return found.round.to_json(), found.parameters.digest, states, found.seconds


def model(found):
    return found.parameters.digest, found.metrics, found.round, found.parents, found.run


def listed(infos):
    return [(info.name, info.version, info.digest, info.metrics, info.tags) for info in infos]


def answers(store):
    """Return what each question is answered with, a value or an error of ours."""
    found = {}
    for name, ask in questions(store).items():
        try:
            found[name] = json.dumps(ask(), default=repr)
        except AerosError as error:
            found[name] = error
    return found


@contextmanager
def told():
    """Yield a list that takes every warning that is logged."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    log = logging.getLogger("aeros_zarr")
    log.addHandler(handler)
    try:
        yield lines
    finally:
        log.removeHandler(handler)
