import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError, DataError
from aeros_core.schema import Field, Schema
from aeros_core.testing import TransformerTests
from aeros_transforms.config.steps import Per
from aeros_transforms.steps.scaling.standardise import Standardise


def make(**options):
    return Standardise(**{"fields": [], "per": Per.feature, **options})


def table():
    rng = np.random.default_rng(0)
    schema = Schema(
        (
            Field("speed", "float32", (), (900.0, 1100.0), "rpm"),
            Field("image", "float32", (2, 3), (0.0, 255.0)),
            Field("count", "int64"),
            Field("site", "str", categories=("a", "b")),
            Field("y", "float32"),
        ),
        "y",
    )
    return Dataset(
        schema,
        {
            "speed": rng.uniform(900, 1100, 30).astype(np.float32),
            "image": rng.uniform(0, 255, (30, 2, 3)).astype(np.float32),
            "count": np.arange(30),
            "site": np.array(["a", "b"] * 15),
            "y": rng.random(30, dtype=np.float32),
        },
    )


class TestStandardise(TransformerTests):
    def make(self):
        return make()

    def example(self):
        return table()


class TestStandardiseFieldsByName(TransformerTests):
    def make(self):
        return make(fields=["image", "count", "y"], per="field")

    def example(self):
        return table()


def fitted(step, data):
    step.output_schema(data.schema)
    step.fit([step.summarise(data.batch())])
    return step.transform(data.batch())


def test_equals_standard_scaler():
    data = table()
    found = fitted(make(), data)
    for name in ("speed", "image"):
        flat = data.columns[name].reshape(30, -1)
        peer = StandardScaler().fit_transform(flat.astype(np.float64))
        np.testing.assert_allclose(found[name].reshape(30, -1), peer, atol=2e-5)
    for name in ("count", "site", "y"):
        assert found[name] is data.columns[name]


def test_per_field_equals_standard_scaler_on_all_values():
    data = table()
    peer = StandardScaler().fit_transform(data.columns["image"].reshape(-1, 1).astype(np.float64))
    found = fitted(make(per=Per.field), data)["image"]
    np.testing.assert_allclose(found.reshape(-1, 1), peer, atol=2e-5)


def test_constant_features_become_zero():
    schema = Schema((Field("x", "float32", (2,)),))
    rows = np.array([[0.1, 1], [0.1, 2], [0.1, 3]], np.float32)
    found = fitted(make(), Dataset(schema, {"x": rows}))["x"]
    np.testing.assert_array_equal(found[:, 0], 0)
    np.testing.assert_allclose(found[:, 1], [-1.2247448, 0, 1.2247448], rtol=1e-6)


def test_schema_forgets_range_and_unit():
    schema = make().output_schema(table().schema)
    assert schema["speed"] == Field("speed", "float32")
    assert schema["image"] == Field("image", "float32", (2, 3))
    assert schema["y"] == table().schema["y"]


def test_order_of_nodes_changes_no_bit():
    data, states = table(), []
    for order in ([0, 1, 2], [2, 0, 1]):
        step = make()
        step.output_schema(data.schema)
        parts = [data.take(np.arange(i * 10, i * 10 + 10)).batch() for i in order]
        step.fit([step.summarise(part) for part in parts])
        states.append(step.state())
    for name, value in states[0].items():
        np.testing.assert_array_equal(states[1][name], value)


def test_before_the_schema_is_known():
    with pytest.raises(ConfigError) as caught:
        make().transform(table().batch())
    assert str(caught.value) == (
        "transformer.standardise does not know its fields yet\n"
        "  next: call output_schema with the data's schema, or restore a state"
    )
    assert make().state() == {}


def test_before_it_is_fitted():
    step = make()
    step.output_schema(table().schema)
    with pytest.raises(ConfigError) as caught:
        step.transform(table().batch())
    assert str(caught.value) == (
        "transformer.standardise is not fitted\n  next: fit it, or restore a state"
    )
    again = make()
    again.restore(step.state())
    with pytest.raises(ConfigError, match="is not fitted"):
        again.transform(table().batch())


def test_fit_to_no_rows():
    step = make()
    step.output_schema(table().schema)
    empty = {name: column[:0] for name, column in table().batch().items()}
    for summaries in ([step.summarise(empty)], []):
        with pytest.raises(DataError) as caught:
            step.fit(summaries)
        assert str(caught.value) == "transformer.standardise has no row to be fitted to"


def test_request_of_another_shape():
    step = make(fields=["image"])
    fitted(step, table())
    with pytest.raises(DataError) as caught:
        step.transform({"image": np.zeros((1, 5), np.float32)})
    assert str(caught.value) == ("field 'image' has 5 values a row; the step was fitted to 6")


@pytest.mark.parametrize("per", ["feature", "field"])
@pytest.mark.parametrize("shape", [(), (4,)])
def test_an_answer_is_in_the_units_of_the_target(per, shape):
    rng = np.random.default_rng(1)
    y = rng.normal(50, 20, (30, *shape)).astype(np.float32)
    schema = Schema((Field("x", "float32"), Field("y", "float32", shape)), "y")
    data = Dataset(schema, {"x": rng.random(30, dtype=np.float32), "y": y})
    step = make(fields=["x", "y"], per=per)
    fitted(step, data)
    again = make(fields=["x", "y"], per=per)
    again.restore(step.state())
    scaled = step.transform(data.batch())["y"]
    answer = again.inverse_transform({"scores": scaled, "other": scaled})
    np.testing.assert_allclose(answer["scores"], y, rtol=1e-5)
    assert answer["scores"].dtype == np.float32
    assert answer["other"] is scaled
    hidden = {"hidden": scaled}
    assert again.inverse_transform(hidden) is hidden


def test_an_answer_is_left_alone_where_the_target_was():
    step = make()
    fitted(step, table())
    output = {"scores": np.ones(3, np.float32)}
    assert step.inverse_transform(output) is output


def test_an_answer_of_another_length():
    schema = Schema((Field("x", "float32"), Field("y", "float32", (2,))), "y")
    rng = np.random.default_rng(0)
    step = make(fields=["y"])
    fitted(step, Dataset(schema, {"x": rng.random(4), "y": rng.random((4, 2))}))
    with pytest.raises(DataError, match="field 'y' has 3 values a row; the step was fitted to 2"):
        step.inverse_transform({"scores": np.zeros((1, 3), np.float32)})
