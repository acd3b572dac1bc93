import numpy as np
import pytest

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError, DataError
from aeros_core.schema import Field, Schema
from aeros_core.testing import TransformerTests
from aeros_transforms.steps.reshape import Reshape


def images():
    pixels = np.arange(5 * 64, dtype=np.float32).reshape(5, 8, 8)
    schema = Schema(
        (Field("image", "float32", (8, 8), (0.0, 319.0), "lux"), Field("y", "int64")), "y"
    )
    return Dataset(schema, {"image": pixels, "y": np.arange(5)})


class TestReshape(TransformerTests):
    def make(self):
        return Reshape(field="image", shape=[1, 8, -1])

    def example(self):
        return images()


class TestFlatten(TransformerTests):
    def make(self):
        return Reshape(field="", shape=[-1])

    def example(self):
        return images()


@pytest.mark.parametrize(
    ("shape", "wanted"), [([1, 8, 8], (1, 8, 8)), ([-1], (64,)), ([2, -1, 16], (2, 2, 16))]
)
def test_shape_changes_and_nothing_else(shape, wanted):
    step = Reshape(field="", shape=shape)
    field = step.output_schema(images().schema)["image"]
    assert field == Field("image", "float32", wanted, (0.0, 319.0), "lux")
    found = step.transform(images().batch())["image"]
    np.testing.assert_array_equal(found, images().columns["image"].reshape(5, *wanted))


def test_scalar_and_back():
    schema = Schema((Field("x", "str", (), categories=("a",)),))
    assert Reshape(field="", shape=[1]).output_schema(schema)["x"].shape == (1,)
    longer = Schema((Field("x", "str", (1,), categories=("a",)),))
    assert Reshape(field="", shape=[]).output_schema(longer)["x"].shape == ()


@pytest.mark.parametrize("shape", [[0], [-2], [-1, -1]])
def test_shape_that_is_not_possible(shape):
    with pytest.raises(ConfigError) as caught:
        Reshape(field="", shape=shape)
    assert str(caught.value) == (
        f"transformer.reshape.shape={shape} is not possible\n"
        "  exists: lengths of at least 1, one of them may be -1"
    )


@pytest.mark.parametrize("shape", [[8, 9], [-1, 7], [], [32]])
def test_shape_of_another_size(shape):
    with pytest.raises(ConfigError) as caught:
        Reshape(field="image", shape=shape).output_schema(images().schema)
    assert str(caught.value) == (
        f"transformer.reshape.shape={shape} does not hold the 64 values"
        " of field 'image' of shape [8, 8]"
    )


def test_several_fields_to_choose_from():
    schema = images().schema.with_field(Field("other", "float32"))
    with pytest.raises(ConfigError) as caught:
        Reshape(field="", shape=[-1]).output_schema(schema)
    assert str(caught.value) == (
        "transformer.reshape.field is not set, and the data have 2 fields to choose from\n"
        "  exists: image, other\n  next: transformer.reshape.field=image"
    )


def test_field_that_does_not_exist():
    with pytest.raises(ConfigError, match=r"^transformer\.reshape\.field=img is not in the data"):
        Reshape(field="img", shape=[-1]).output_schema(images().schema)


def test_request_of_another_size():
    step = Reshape(field="", shape=[-1])
    step.output_schema(images().schema)
    with pytest.raises(DataError) as caught:
        step.transform({"image": np.zeros((2, 7, 8))})
    assert str(caught.value) == "field 'image' has 56 values a row, not 64"
