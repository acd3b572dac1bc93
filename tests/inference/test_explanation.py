"""Shares in an answer come back to the request: through every step, in the answer's units."""

import numpy as np
import pytest

from aeros_core.errors import ConfigError, PluginError
from aeros_core.inference.explanation import explain
from aeros_core.inference.service import Service
from aeros_core.parameters import Parameters
from aeros_core.records import Model
from aeros_core.schema import Field, Schema

WEIGHTS = np.array([[1.0, -2.0], [0.5, 3.0], [4.0, 0.25]])
NAMED = Field("y", "int64", categories=("cat", "dog"))
NUMBERS = Field("y", "float32", (2,))


class Linear:
    """Scores are ``v @ WEIGHTS``; labels where it answers classes."""

    def __init__(self, classes=True):
        self.classes, self.asked = classes, []

    def load(self, model, module=None):
        pass

    def predict(self, batch):
        scores = batch["v"] @ WEIGHTS
        return {"scores": scores, "label": scores.argmax(1)} if self.classes else {"scores": scores}

    def explain(self, batch, columns, *, steps, baseline):
        self.asked.append(steps)
        start = np.zeros_like(batch["v"]) if baseline is None else baseline["v"]
        return {"v": (batch["v"] - start) * WEIGHTS.T[columns]}, (start @ WEIGHTS)[
            np.arange(len(columns)), columns
        ]


class Doubled:
    """A step that maps values one by one."""

    def transform(self, batch):
        return {name: 2 * column for name, column in batch.items()}

    def output_schema(self, schema):
        return schema

    def attributed(self, shares, batch):
        return shares


class Joined:
    """A step that makes the vector of a number and a pair."""

    def transform(self, batch):
        return {"v": np.concatenate([batch["a"][:, None], batch["b"]], axis=1)}

    def output_schema(self, schema):
        return schema

    def attributed(self, shares, batch):
        return {"a": shares["v"][:, 0], "b": shares["v"][:, 1:]}


class Mute:
    """A step that brings nothing back."""

    def transform(self, batch):
        return batch

    def output_schema(self, schema):
        return schema


class Scaled:
    """A step that goes on behind the model: ``power`` 1 is linear."""

    def __init__(self, power=1):
        self.power = power

    def inverse_transform(self, output):
        return {**output, "scores": output["scores"] ** self.power * [10.0, 100.0] + 7}


class Silent:
    """Events that nobody hears, but counts."""

    count = 0

    def aeros_after_predict(self, **_):
        self.count += 1


def service(*steps, target=NAMED, after=(), inferencer=None):
    schema = Schema((Field("v", "float32", (3,)), target), "y")
    inferencer = inferencer or Linear(classes=target is NAMED)
    return Service(Model("m", Parameters.of({}), schema), steps, inferencer, Silent(), after)


def rows(count=4):
    rng = np.random.default_rng(0)
    return {"a": rng.standard_normal(count), "b": rng.standard_normal((count, 2))}


def test_shares_come_back_to_the_fields_of_the_request():
    made, batch = service(Doubled(), Joined()), rows()
    told = explain(made, batch)
    assert set(told) == {"scores", "label", "a.attribution", "b.attribution", "base.attribution"}
    weight = 2 * WEIGHTS.T[told["label"]]
    np.testing.assert_allclose(told["a.attribution"], batch["a"] * weight[:, 0], rtol=1e-6)
    np.testing.assert_allclose(told["b.attribution"], batch["b"] * weight[:, 1:], rtol=1e-6)
    added = told["a.attribution"] + told["b.attribution"].sum(1)
    best = told["scores"].max(1)
    np.testing.assert_allclose(added + told["base.attribution"], best, rtol=1e-5)
    assert told["a.attribution"].dtype == np.float32
    assert made.events.count == 1
    np.testing.assert_array_equal(told["scores"], made.predict(batch)["scores"])


@pytest.mark.parametrize(("target", "column"), [(0, 0), (1, 1), ("cat", 0), ("dog", 1)])
def test_a_class_is_named_by_code_or_name(target, column):
    told = explain(service(Joined()), rows(), target=target, steps=7)
    np.testing.assert_allclose(told["a.attribution"], rows()["a"] * WEIGHTS[0, column], rtol=1e-6)


def test_a_baseline_is_prepared_as_rows_are():
    made, batch = service(Doubled(), Joined()), rows()
    told = explain(made, batch, target=1, baseline=0.5)
    np.testing.assert_allclose(told["base.attribution"], WEIGHTS[:, 1].sum(), rtol=1e-6)
    weight = 2 * WEIGHTS[0, 1]
    np.testing.assert_allclose(told["a.attribution"], (batch["a"] - 0.5) * weight, rtol=1e-6)


def test_shares_are_in_the_units_of_the_answer():
    made = service(Joined(), target=NUMBERS, after=[Scaled()])
    for column, factor in enumerate((10.0, 100.0)):
        told = explain(made, rows(), target=column)
        whole = told["a.attribution"] + told["b.attribution"].sum(1) + told["base.attribution"]
        np.testing.assert_allclose(whole, told["scores"][:, column], rtol=1e-5)
        expected = rows()["a"] * WEIGHTS[0, column] * factor
        np.testing.assert_allclose(told["a.attribution"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"method": "shap"}, "method 'shap' does not exist\n  exists: integrated_gradients"),
        ({"steps": 0}, "0 steps are not possible\n  exists: 1 or more"),
        ({"target": 2}, "target 2 does not exist\n  exists: 0 to 1, or cat, dog"),
        ({"target": -1}, "target -1 does not exist\n  exists: 0 to 1, or cat, dog"),
        ({"target": "cow"}, "target 'cow' does not exist\n  exists: 0 to 1, or cat, dog"),
    ],
)
def test_what_cannot_be_asked(how, said):
    with pytest.raises(ConfigError) as caught:
        explain(service(Joined()), rows(), **how)
    assert str(caught.value) == said


def test_names_that_are_the_codes_are_told_once():
    digits = Field("y", "int64", categories=("0", "1"))
    with pytest.raises(ConfigError) as caught:
        explain(service(Joined(), target=digits), rows(), target=2)
    assert caught.value.exists == "0 to 1"


def test_of_several_numbers_one_has_to_be_named():
    with pytest.raises(ConfigError, match="a target has to be named: the model answers 2 values"):
        explain(service(Joined(), target=NUMBERS), rows())


def test_a_baseline_is_no_value_of_text():
    with pytest.raises(ConfigError, match="a baseline of 1 is no value of field 't', which holds"):
        explain(service(), {"v": np.ones((1, 3)), "t": np.array(["x"])}, baseline=1.0)


def test_what_cannot_be_explained_is_told():
    class Plain:
        def load(self, model, module=None):
            pass

        def predict(self, batch):
            return {}

    with pytest.raises(PluginError, match="Plain cannot explain: its answers have no gradients"):
        explain(service(inferencer=Plain()), rows())
    with pytest.raises(PluginError, match="the step Mute does not say what its fields were made"):
        explain(service(Mute(), Joined()), rows())
    with pytest.raises(PluginError, match="the steps behind the model are not linear"):
        explain(service(Joined(), target=NUMBERS, after=[Scaled(2)]), rows(), target=0)
