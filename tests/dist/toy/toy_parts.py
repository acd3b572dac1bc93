"""What the toy plugin's options build."""

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from aeros_core import hookimpl
from aeros_core.data import Dataset, Partition
from aeros_core.roles.disclosure import Disclosure
from aeros_core.encoding import Encoded
from aeros_core.errors import RepositoryError
from aeros_core.messages import Update
from aeros_core.parameters import Layout, Parameters
from aeros_core.records import Checkpoint, Model, ModelInfo, Run
from aeros_core.schema import Field, Schema
from aeros_core.results import Round

SCHEMA = Schema(
    (Field("point", "float32", (2,)), Field("label", "int64", (), categories=("a", "b", "c"))),
    target="label",
)


class Blobs:
    """Three clouds of points."""

    def __init__(self, *, examples, nan):
        self.examples = examples
        self.nan = nan

    def load(self, split):
        rng = np.random.default_rng(0 if split == "train" else 1)
        label = rng.integers(3, size=self.examples)
        centre = np.array([[0, 3], [3, 0], [-3, -3]], dtype="float32")
        point = centre[label] + rng.normal(size=(self.examples, 2)).astype("float32")
        if self.nan:
            point[7, 1] = np.nan
        return Dataset(SCHEMA, {"point": point, "label": label})


class Even:
    def __init__(self, *, clients):
        self.clients = clients

    def partition(self, data, rng):
        cuts = np.linspace(0, len(data), self.clients + 1).astype(np.int64)
        return Partition(rng.permutation(len(data)), cuts)

    def output_schema(self, schema):
        return schema


class Coarse:
    """Sends whole numbers of steps, and keeps what is lost for the next time."""

    def __init__(self, *, step):
        self.step = step

    def encode(self, change, residual, rng):
        due = {d: v + (residual.vectors[d] if residual else 0) for d, v in change.vectors.items()}
        steps = {d: np.rint(v / self.step).astype(np.int16) for d, v in due.items()}
        encoded = Encoded(steps, change.layout.sizes, self)
        lost = {d: v - encoded[d] for d, v in due.items()}
        return encoded, Parameters(change.layout, lost)

    def decode(self, encoded, dtype):
        return (encoded.arrays[dtype] * self.step).astype(dtype)

    def fault(self, encoded):
        lengths = {d: len(a) for d, a in encoded.arrays.items()}
        return None if lengths == dict(encoded.sizes) else f"steps of lengths {lengths}"


class Scale:
    """Divides by the largest absolute value, which is fitted."""

    discloses = frozenset({Disclosure.extremes})

    def __init__(self):
        self.by = 1.0

    def summarise(self, batch):
        return {"top": float(np.abs(batch["point"]).max())}

    def fit(self, summaries):
        self.by = max(s["top"] for s in summaries)

    def state(self):
        return {"by": self.by}

    def restore(self, state):
        self.by = state["by"]

    def transform(self, batch):
        return {**batch, "point": batch["point"] / np.float32(self.by)}

    def output_schema(self, schema):
        return schema.with_field(replace(schema["point"], range=(-1.0, 1.0)))


class Thin:
    """Keeps every other row."""

    def transform(self, batch):
        return {name: column[::2] for name, column in batch.items()}

    def output_schema(self, schema):
        return schema


class Steep:
    """A model that learns faster: its slope multiplies the learning rate."""

    def __init__(self, *, inputs, outputs, slope):
        self.inputs = inputs
        self.outputs = outputs
        self.slope = slope


class Linear:
    """Softmax regression, full batch, plus noise from the instruction's seed."""

    discloses = frozenset({Disclosure.counts, Disclosure.sums, Disclosure.updates})

    def __init__(self, *, lr, pause, fail, poison, features, model):
        self.model = None if model is None else model(inputs=(2,), outputs=3)
        self.lr = lr * (1.0 if self.model is None else self.model.slope)
        self.pause = pause
        self.fail = fail
        self.poison = poison
        self.features = features

    def expects(self, schema):
        point = Field("point", "float32", (self.features,))
        return Schema((point, Field("label", "int64")), target="label")

    def initialise(self, schema, seed):
        layout = Layout.of({"weight": ((2, 3), "float32"), "bias": ((3,), "float32")})
        parameters = Parameters.zeros(layout)
        parameters.vector[:] = np.random.default_rng(seed).normal(size=9) * 0.01
        return parameters

    def train(self, instruction, data):
        if mark := os.environ.get("TOY_TRAINS"):
            Path(mark).touch()
        time.sleep(self.pause)
        if instruction.node in self.fail:
            raise RuntimeError("the sensor is unplugged")
        batch = data.batch()
        new = instruction.parameters.copy()
        for _ in range(5):
            error = _softmax(new, batch)
            error[np.arange(len(error)), batch["label"]] -= 1
            error /= len(error)
            new["weight"][...] -= np.float32(self.lr) * (batch["point"].T @ error)
            new["bias"][...] -= np.float32(self.lr) * error.sum(axis=0)
        noise = np.random.default_rng(instruction.seed).normal(size=9) * 1e-3
        new.vector[:] += noise.astype("float32")
        if instruction.node in self.poison:
            new.vector[3] = np.nan
        metrics = self.evaluate(instruction.parameters, data)
        return Update(instruction.node, instruction.round, new, len(data), metrics)

    def evaluate(self, parameters, data):
        batch = data.batch()
        scores = _softmax(parameters, batch)
        own = scores[np.arange(len(scores)), batch["label"]]
        hits = scores.argmax(axis=1) == batch["label"]
        return {"loss": float(-np.log(own + 1e-12).mean()), "accuracy": float(hits.mean())}


def _softmax(parameters, batch):
    logits = batch["point"] @ parameters["weight"] + parameters["bias"]
    logits -= logits.max(axis=1, keepdims=True)
    exp = np.exp(logits)
    return exp / exp.sum(axis=1, keepdims=True)


class Scores:
    """Answers with the scores of a model that ``Linear`` trained."""

    def load(self, model, module=None):
        self.parameters = model.parameters
        self.module = module

    def predict(self, batch):
        scores = _softmax(self.parameters, batch)
        return {"scores": scores, "label": scores.argmax(axis=1)}


class Mean:
    """The weighted mean, with server momentum: a collector with a state."""

    def __init__(self, *, momentum):
        self.momentum = momentum
        self.velocity = None

    def aggregate(self, parameters, updates):
        total, weight = np.zeros(len(parameters.vector)), 0
        for update in updates:
            total += update.examples * update.parameters.vector.astype("float64")
            weight += update.examples
        if not weight:
            return parameters
        step = total / weight - parameters.vector
        if self.velocity is not None:
            step += self.momentum * self.velocity
        self.velocity = step
        vector = (parameters.vector + step).astype("float32")
        return Parameters(parameters.layout, {"float32": vector})

    def state(self):
        return {} if self.velocity is None else {"velocity": self.velocity}

    def restore(self, state):
        self.velocity = state.get("velocity")


class Files:
    """JSON and .npy files; each written aside and renamed."""

    def __init__(self, *, path):
        self.path = Path(path)

    def _put(self, path, data):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_suffix(f".{os.getpid()}.tmp")
            aside.write_text(json.dumps(data))
            aside.replace(path)
        except OSError as error:
            raise RepositoryError(f"{path} cannot be written: {error.strerror}") from error

    def _folder(self, run):
        return self.path / "runs" / run

    def begin(self, run):
        self._put(self._folder(run.id) / "run.json", asdict(run))

    def runs(self, task=None):
        paths = sorted(self.path.glob("runs/*/run.json"), key=lambda p: p.stat().st_mtime_ns)
        runs = [Run(**json.loads(path.read_text())) for path in paths]
        return [run for run in runs if task in (None, run.task)]

    def commit(self, run, checkpoint):
        state = {
            role: {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in s.items()}
            for role, s in checkpoint.state.items()
        }
        data = {
            "round": checkpoint.round.to_json(),
            "layout": checkpoint.parameters.layout.to_json(),
            "vector": checkpoint.parameters.vector.tolist(),
            "state": state,
            "seconds": checkpoint.seconds,
        }
        self._put(self._folder(run) / f"round-{checkpoint.round.number:05}.json", data)

    def latest(self, run):
        paths = sorted(self._folder(run).glob("round-*.json"))
        if not paths:
            return None
        data = json.loads(paths[-1].read_text())
        parameters = Parameters(
            Layout.from_json(data["layout"]), {"float32": np.array(data["vector"], dtype="float32")}
        )
        state = {
            role: {k: np.array(v) if isinstance(v, list) else v for k, v in s.items()}
            for role, s in data["state"].items()
        }
        return Checkpoint(Round.from_json(data["round"]), parameters, state, data["seconds"])

    def history(self, run):
        paths = sorted(self._folder(run).glob("round-*.json"))
        return [Round.from_json(json.loads(path.read_text())["round"]) for path in paths]

    def finish(self, run, result):
        self._put(self._folder(run) / "result.json", result.to_json())

    def result(self, run):
        path = self._folder(run) / "result.json"
        try:
            return json.loads(path.read_text()) if path.exists() else None
        except ValueError as error:
            raise RepositoryError(f"{path} is damaged") from error

    def publish(self, model, version=None):
        following = len(self.models(model.name)) + 1
        if version not in (None, following):
            raise RepositoryError(f"the next version of {model.name} is {following}")
        version = following
        info = ModelInfo(
            name=model.name,
            version=version,
            digest=model.parameters.digest,
            run=model.run,
            round=model.round,
            metrics=dict(model.metrics),
            created="2026-01-01T00:00:00+00:00",
            nbytes=model.parameters.nbytes,
            tags=("latest",),
            parents=tuple(model.parents),
        )
        data = {
            "info": asdict(info),
            "layout": model.parameters.layout.to_json(),
            "vector": model.parameters.vector.tolist(),
            "schema": model.schema.to_json(),
            "inputs": model.inputs and model.inputs.to_json(),
            "module": dict(model.module),
            "transformers": {k: dict(v) for k, v in model.transformers.items()},
            "fitted": {k: dict(v) for k, v in model.fitted.items()},
        }
        self._put(self.path / "models" / model.name / f"{version}.json", data)
        return info

    def _models(self, name):
        return [
            json.loads(p.read_text())
            for p in sorted(self.path.glob(f"models/{name or '*'}/*.json"))
        ]

    def models(self, name=None):
        return [
            ModelInfo(**{**data["info"], "tags": ("latest",), "parents": tuple(data["info"]["parents"])})
            for data in self._models(name)
        ]

    def model(self, name, version="latest"):
        stored = self._models(name)
        if not stored:
            raise RepositoryError(f"model {name} is not stored")
        data = stored[-1] if version == "latest" else stored[int(version) - 1]
        vector = np.array(data["vector"], dtype="float32")
        parameters = Parameters(Layout.from_json(data["layout"]), {"float32": vector})
        schema = Schema.from_json(data["schema"])
        return Model(
            name, parameters, schema, data["module"], data["transformers"], data["fitted"],
            parents=tuple(data["info"]["parents"]),
            inputs=data["inputs"] and Schema.from_json(data["inputs"]),
        )  # fmt: skip


class Tally:
    """Writes down every event it hears."""

    def __init__(self, *, path):
        self.path = Path(path)

    def _note(self, text):
        with self.path.open("a") as file:
            file.write(text + "\n")

    @hookimpl
    def aeros_before_task(self, task):
        self._note(f"before_task {task.name}")

    @hookimpl
    def aeros_on_status(self, status):
        self._note(f"status {status}")

    @hookimpl
    def aeros_before_round(self, number, cohort):
        self._note(f"before_round {number} {len(cohort)}")

    @hookimpl
    def aeros_after_update(self, update):
        self._note(f"update {update.node}")

    @hookimpl
    def aeros_after_round(self, round):
        self._note(f"after_round {round.number}")

    @hookimpl
    def aeros_after_task(self, result):
        self._note(f"after_task {result.status}")

    @hookimpl
    def aeros_on_error(self, error):
        self._note(f"error {type(error).__name__}")
