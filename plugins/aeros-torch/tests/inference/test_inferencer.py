from functools import partial

import numpy as np
import pytest
import torch

from aeros_core.errors import ConfigError, DataError
from aeros_core.records import Model
from aeros_core.schema import Field, Schema
from aeros_core.testing import InferencerTests
from aeros_torch.inference.inferencer import TorchInferencer
from aeros_torch.modules import models
from aeros_torch.modules.builder import build

CPU = torch.device("cpu")
LABEL = Field("label", "int64", categories=("a", "b", "c"))
IMAGE = Field("image", "float32", (4, 4))
MLP = partial(models.Mlp, hidden=[16], activation="relu", dropout=0.5)
LSTM = partial(models.Lstm, embedding=4, hidden=8, layers=1, dropout=0.5)


def model_of(feature, module, target=LABEL, seed=0):
    schema = Schema((feature, target), target.name)
    return Model("m", build(schema, module, CPU, seed).read(), schema)


def images(rows=7):
    return np.random.default_rng(1).standard_normal((rows, 4, 4)).astype(np.float32)


def made(**options):
    asked = {"device": "cpu", "batch_size": 4, "threads": 1}
    asked |= {"execution": "eager", "quantise": "none"}
    return TorchInferencer(**asked | options)


def loaded(model, module, batch_size=3, **options):
    inferencer = made(batch_size=batch_size, **options)
    inferencer.load(model, module)
    return inferencer


class TestContract(InferencerTests):
    """The contract with an mlp on images, more rows than fit into a batch."""

    feature, build = IMAGE, MLP

    def make(self):
        return made(device="auto", batch_size=3)

    def model(self):
        return model_of(self.feature, self.build)

    def other(self):
        return model_of(self.feature, self.build, seed=1)

    def module(self):
        return self.build

    def batch(self):
        return {"image": images()}


class TestContractOfCodes(TestContract):
    """The contract with an lstm on text."""

    feature, build = Field("text", "int64", (5,), categories=tuple("xyz")), LSTM

    def batch(self):
        return {"text": np.arange(30).reshape(6, 5) % 7 % 3}


def test_scores_are_probabilities_and_label_the_likeliest():
    model = model_of(IMAGE, MLP)
    output = loaded(model, MLP).predict({"image": images()})
    x = images().reshape(7, 16).astype(np.float64)
    w = {name: np.asarray(v, np.float64) for name, v in model.parameters.items()}
    hidden = np.maximum(x @ w["layers.0.weight"].T + w["layers.0.bias"], 0)
    scores = np.exp(hidden @ w["layers.3.weight"].T + w["layers.3.bias"])
    expected = scores / scores.sum(1, keepdims=True)
    np.testing.assert_allclose(output["scores"], expected, rtol=1e-5)
    np.testing.assert_array_equal(output["label"], expected.argmax(1))
    assert (output["scores"].dtype, output["label"].dtype) == (np.float32, np.int64)


@pytest.mark.parametrize("shape", [(), (2,)])
def test_numbers_have_the_shape_of_the_target(shape):
    model = model_of(IMAGE, MLP, Field("value", "float32", shape))
    output = loaded(model, MLP).predict({"image": images()})
    assert output.keys() == {"scores"}
    assert output["scores"].shape == (7, *shape)


def test_answers_what_the_trainer_measures(trainer, data):
    """Accuracy by hand from the answers is the accuracy that evaluation reports."""
    table = data()
    made = trainer(MLP)
    start = made.initialise(table.schema, 3)
    inferencer = loaded(Model("m", start, table.schema), MLP)
    label = inferencer.predict({"x": table.columns["x"]})["label"]
    right = (label == table.columns["label"]).mean()
    assert right == pytest.approx(made.evaluate(start, table)["accuracy"])


def test_target_may_be_in_the_batch():
    inferencer = loaded(model_of(IMAGE, MLP), MLP)
    expected = inferencer.predict({"image": images()})
    output = inferencer.predict({"image": images(), "label": np.zeros(7, np.int64)})
    np.testing.assert_array_equal(output["scores"], expected["scores"])


def test_other_floats_and_integers_are_taken():
    inferencer = loaded(model_of(IMAGE, MLP), MLP)
    whole = np.round(images())
    expected = inferencer.predict({"image": whole})["scores"]
    for dtype in (np.float64, np.int32):
        got = inferencer.predict({"image": whole.astype(dtype)})["scores"]
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"picture": images()}, "the batch has no field 'image'; its fields are picture"),
        ({}, "the batch has no field 'image'; its fields are none"),
        ({"image": images(), "age": images()}, "the batch has a field 'age'"),
        ({"image": images()[:, :3]}, r"field 'image' is float32 \(7, 3, 4\)"),
        ({"image": images()[0]}, r"field 'image' is float32 \(4, 4\)"),
        ({"image": images().astype("str")}, r"field 'image' is <U32 \(7, 4, 4\)"),
        ({"image": images().astype("complex64")}, "field 'image' is complex64"),
    ],
)
def test_batches_that_do_not_fit_are_refused(batch, message):
    with pytest.raises(ConfigError, match=message) as caught:
        loaded(model_of(IMAGE, MLP), MLP).predict(batch)
    assert "exists: the model takes image: float32 (4, 4)" in str(caught.value)


@pytest.mark.parametrize("code", [-1, 3])
def test_codes_out_of_range_are_refused(code):
    text = Field("text", "int64", (2,), categories=tuple("xyz"))
    with pytest.raises(DataError, match=f"field 'text' holds codes from .*{code}") as caught:
        loaded(model_of(text, LSTM), LSTM).predict({"text": np.array([[1, code]])})
    assert "next: codes of this model are 0 to 2" in str(caught.value)


def test_floats_are_no_codes():
    text = Field("text", "int64", (2,), categories=tuple("xyz"))
    with pytest.raises(ConfigError, match="field 'text' is float64"):
        loaded(model_of(text, LSTM), LSTM).predict({"text": np.array([[1.0, 2.0]])})


def test_nothing_loaded_is_said():
    with pytest.raises(ConfigError, match="no model is loaded"):
        made().predict({"image": images()})


def test_model_without_a_module_is_refused():
    with pytest.raises(ConfigError, match="model 'm' does not say which module it is"):
        made().load(model_of(IMAGE, MLP))


def test_module_that_does_not_fit_the_parameters_is_refused():
    other = partial(models.Mlp, hidden=[8], activation="relu", dropout=0.0)
    with pytest.raises(ConfigError, match=r"are of another model: 'layers\.0\.weight'"):
        loaded(model_of(IMAGE, MLP), other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "inferencer.batch_size=0 is not possible"),
        ({"threads": 0}, "inferencer.threads=0 is not possible"),
        ({"device": "tpu"}, "inferencer.device=tpu is not on this machine"),
    ],
)
def test_options_out_of_range_are_refused_at_once(options, message):
    with pytest.raises(ConfigError, match=message):
        made(**options)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_the_cpu():
    model = model_of(IMAGE, MLP)
    there = made(device="cuda", batch_size=3)
    there.load(model, MLP)
    expected = loaded(model, MLP).predict({"image": images()})["scores"]
    np.testing.assert_allclose(there.predict({"image": images()})["scores"], expected, rtol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_device_without_room_says_so_and_goes_on():
    wide = partial(models.Mlp, hidden=[2**16], activation="relu", dropout=0)
    inferencer = made(device="cuda", batch_size=2**24)
    inferencer.load(model_of(IMAGE, wide), wide)
    few = inferencer.predict({"image": images()})["scores"]
    rows = (
        torch.cuda.mem_get_info()[1] // (4 * 2**16) + 1
    )  # more than there is, whoever else is there
    with pytest.raises(torch.cuda.OutOfMemoryError, match="CUDA out of memory"):
        inferencer.predict({"image": np.zeros((rows, *IMAGE.shape), np.float32)})
    np.testing.assert_array_equal(inferencer.predict({"image": images()})["scores"], few)


def test_eight_bits_are_not_compiled():
    with pytest.raises(ConfigError, match="int8 does not go with inferencer"):
        made(execution="compile", quantise="int8")


def test_eight_bits_answer_nearly_the_same():
    wide = partial(models.Mlp, hidden=[64], activation="relu", dropout=0)
    model = model_of(IMAGE, wide)
    exact = loaded(model, wide).predict({"image": images(40)})
    output = loaded(model, wide, 512, quantise="int8").predict({"image": images(40)})
    apart = np.abs(output["scores"] - exact["scores"]).max()
    assert 0 < apart < 0.02
    np.testing.assert_allclose(output["scores"].sum(1), 1, rtol=1e-5)


def test_compiled_modules_answer_the_same():
    model = model_of(IMAGE, models.Softmax)
    inferencer = loaded(model, models.Softmax, execution="compile")
    exact = loaded(model, models.Softmax)
    for rows in (7, 1, 0):
        here, there = (i.predict({"image": images(rows)}) for i in (inferencer, exact))
        np.testing.assert_allclose(here["scores"], there["scores"], rtol=1e-5)
        np.testing.assert_array_equal(here["label"], there["label"])
