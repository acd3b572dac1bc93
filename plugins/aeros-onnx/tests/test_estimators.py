import sys

import numpy as np
import pytest

from aeros_core.errors import ConfigError, PluginError
from aeros_core.schema import Field, Schema

pytest.importorskip("skl2onnx")
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aeros_onnx.inferencer import OnnxInferencer
from aeros_onnx.sklearn import model

X = Field("x", "float32", (4,))
CLASSES = Schema((X, Field("y", "int64", categories=("a", "b", "c"))), "y")
NUMBERS = Schema((X, Field("y", "float32")), "y")


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((120, 4)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0.5)


def answers(made, x):
    inferencer = OnnxInferencer(device="cpu", threads=1, batch_size=50, quantise="none")
    inferencer.load(made)
    return inferencer.predict({"x": x})


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        RandomForestClassifier(10, max_depth=4, random_state=0),
    ],
    ids=["logistic", "pipeline", "forest"],
)
def test_classifiers_answer_as_they_do_themselves(data, estimator):
    x, y = data
    estimator.fit(x, y)
    output = answers(model("m", estimator, CLASSES), x)
    np.testing.assert_allclose(output["scores"], estimator.predict_proba(x), atol=1e-4)
    np.testing.assert_array_equal(output["label"], estimator.predict(x))
    assert output["label"].dtype == np.int64


def test_rows_of_ones_own_are_compared_and_kept(data):
    x, y = data
    made = model("m", LogisticRegression().fit(x, y), CLASSES, samples={"x": x[:3]})
    np.testing.assert_array_equal(made.samples["x"], x[:3])


def test_regressors_answer_as_they_do_themselves(data):
    x, _ = data
    estimator = LinearRegression().fit(x, x @ np.arange(4) + 1)
    output = answers(model("m", estimator, NUMBERS, round=3), x)
    assert output["scores"].shape == (120,)
    np.testing.assert_allclose(output["scores"], estimator.predict(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "estimator",
    [KernelDensity(), LogisticRegression(), object()],
    ids=["unknown", "not-fitted", "none"],
)
def test_what_cannot_be_converted(estimator):
    with pytest.raises(ConfigError, match="estimator 'm' cannot be written as ONNX: "):
        model("m", estimator, CLASSES)


def test_a_schema_of_many_columns(data):
    many = Schema((Field("a", "float32"), Field("b", "float32")))
    with pytest.raises(ConfigError, match="estimator 'm' takes one float32 vector"):
        model("m", LogisticRegression(), many)


def test_without_skl2onnx_what_brings_it_is_told(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(PluginError, match="estimator 'm' cannot be written as ONNX: ") as caught:
        model("m", LogisticRegression().fit(*data), CLASSES)
    assert caught.value.hint == "pip install 'aeros-onnx[sklearn]'"
