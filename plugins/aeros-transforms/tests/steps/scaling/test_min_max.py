import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError, DataError
from aeros_core.schema import Field, Schema
from aeros_core.testing import TransformerTests
from aeros_transforms.config.steps import Limits, Per
from aeros_transforms.steps.scaling.min_max import MinMax


def make(**options):
    return MinMax(
        **{"fields": [], "limits": Limits.auto, "per": Per.feature, "clip": True, **options}
    )


def table():
    rng = np.random.default_rng(0)
    schema = Schema(
        (
            Field("image", "float32", (2, 3), (0.0, 255.0)),
            Field("features", "float32", (4,)),
            Field("y", "float32", (), (0.0, 1.0)),
        ),
        "y",
    )
    return Dataset(
        schema,
        {
            "image": rng.integers(10, 240, (30, 2, 3)).astype(np.float32),
            "features": rng.normal(5, 3, (30, 4)).astype(np.float32),
            "y": rng.random(30, dtype=np.float32),
        },
    )


class Cases(TransformerTests):
    def example(self):
        return table()


class TestAuto(Cases):
    def make(self):
        return make()


class TestDeclared(Cases):
    def make(self):
        return make(fields=["image", "y"], limits="declared")


class TestFittedPerField(Cases):
    def make(self):
        return make(limits="fitted", per="field", clip=False)


def fitted(step, data):
    schema = step.output_schema(data.schema)
    step.fit([step.summarise(data.batch())])
    return step.transform(data.batch()), schema


def test_fitted_equals_min_max_scaler():
    data = table()
    found, _ = fitted(make(limits=Limits.fitted), data)
    for name in ("image", "features"):
        peer = MinMaxScaler().fit_transform(data.columns[name].reshape(30, -1))
        np.testing.assert_allclose(found[name].reshape(30, -1), peer, atol=1e-6)


def test_auto_takes_the_declared_range_and_fits_the_rest():
    data = table()
    found, schema = fitted(make(), data)
    np.testing.assert_array_equal(found["image"], data.columns["image"] / np.float32(255))
    assert found["features"].min(axis=0).tolist() == [0] * 4
    assert schema["image"] == Field("image", "float32", (2, 3), (0.0, 1.0))
    assert schema["features"] == Field("features", "float32", (4,), (0.0, 1.0))
    assert schema["y"] == data.schema["y"]


def test_declared_limits_are_not_summarised():
    step = make(fields=["image"])
    step.output_schema(table().schema)
    assert step.summarise(table().batch()) == {}


def test_values_beyond_the_limits():
    schema = Schema((Field("x", "float32", (), (0.0, 10.0)),))
    far = {"x": np.array([-5, 0, 5, 10, 20], np.float32)}
    for clip, wanted in ((True, [0, 0, 0.5, 1, 1]), (False, [-0.5, 0, 0.5, 1, 2])):
        step = make(clip=clip)
        assert step.output_schema(schema)["x"].range == ((0, 1) if clip else None)
        assert step.transform(far)["x"].tolist() == wanted


def test_constant_features_become_zero():
    data = Dataset(Schema((Field("x", "float32", (1,)),)), {"x": np.full((3, 1), 7, np.float32)})
    assert fitted(make(), data)[0]["x"].tolist() == [[0]] * 3


def test_declared_range_that_is_not_known():
    with pytest.raises(ConfigError) as caught:
        make(limits=Limits.declared).output_schema(table().schema)
    assert str(caught.value) == (
        "transformer.min_max.limits=declared: the range of field 'features' is not known\n"
        "  next: transformer.min_max.limits=fitted"
    )


def test_before_it_is_fitted():
    step = make()
    step.output_schema(table().schema)
    with pytest.raises(ConfigError) as caught:
        step.transform(table().batch())
    assert str(caught.value) == (
        "transformer.min_max is not fitted\n  next: fit it, or restore a state"
    )
    assert make().state() == {}


def test_fit_to_no_rows():
    step = make()
    step.output_schema(table().schema)
    empty = {name: column[:0] for name, column in table().batch().items()}
    for summaries in ([step.summarise(empty)], []):
        with pytest.raises(DataError) as caught:
            step.fit(summaries)
        assert str(caught.value) == "transformer.min_max has no row to be fitted to"


@pytest.mark.parametrize("limits", ["fitted", "declared"])
def test_an_answer_is_in_the_units_of_the_target(limits):
    rng = np.random.default_rng(1)
    y = rng.uniform(100, 300, 30).astype(np.float32)
    schema = Schema((Field("x", "float32"), Field("y", "float32", (), (100.0, 300.0))), "y")
    step = make(fields=["y"], limits=limits, clip=False)
    scaled, _ = fitted(step, Dataset(schema, {"x": y, "y": y}))
    again = make(fields=["y"], limits=limits, clip=False)
    again.restore(step.state())
    np.testing.assert_allclose(
        again.inverse_transform({"scores": scaled["y"]})["scores"], y, rtol=1e-5
    )
    hidden = {"hidden": y}
    assert again.inverse_transform(hidden) is hidden


def test_an_answer_is_left_alone_where_the_target_was():
    step = make(fields=["image"])
    fitted(step, table())
    output = {"scores": np.ones(3, np.float32)}
    assert step.inverse_transform(output) is output
