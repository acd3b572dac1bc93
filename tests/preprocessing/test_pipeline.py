import numpy as np
import pytest

from aeros_core.data import Dataset, Partition
from aeros_core.errors import ConfigError, DataError
from aeros_core.preprocessing import pipeline
from aeros_core.schema import Field, Schema


@pytest.fixture
def chain(toys):
    """A function that returns toy transformers by name, in this order."""

    def make(*names, nan=False, examples=30):
        made = {
            "blobs": lambda: toys.Blobs(examples=examples, nan=nan),
            "again": lambda: toys.Blobs(examples=examples, nan=False),
            "even": lambda: toys.Even(clients=3),
            "evener": lambda: toys.Even(clients=2),
            "scale": toys.Scale,
            "thin": toys.Thin,
            "break": Breaks,
            "empty": Nothing,
            "group": Group,
            "nobody": Nobody,
        }
        return {name: made[name]() for name in names}

    return make


class Breaks:
    """A step that divides by zero."""

    def transform(self, batch):
        point = batch["point"].copy()
        point[3] = np.inf
        return {**batch, "point": point}

    def output_schema(self, schema):
        return schema


class Nothing:
    def load(self, split):
        return Dataset(Schema(()), {})


class Group:
    """Cuts by a column that only told the clients apart, and drops it."""

    def partition(self, data, rng):
        order = np.argsort(data.columns["label"], kind="stable")
        cuts = np.searchsorted(data.columns["label"][order], [0, 1, 2, 3])
        return Partition(order, cuts, ("a", "b", "c"))

    def output_schema(self, schema):
        return schema.without("label")


class Nobody:
    """Cuts the data into no client at all."""

    def partition(self, data, rng):
        return Partition(np.zeros(0, np.int64), np.zeros(1, np.int64))

    def output_schema(self, schema):
        return schema


def test_data_are_loaded_mapped_and_cut(chain, toys):
    data = pipeline.prepare(chain("blobs", "even", "scale"), 0)
    assert (len(data.train), len(data.test), len(data.partition)) == (30, 30, 3)
    assert sorted(data.partition.rows.tolist()) == list(range(30))
    assert data.schema["point"].range == (-1.0, 1.0)
    raw = toys.Blobs(examples=30, nan=False).load("train").columns["point"]
    np.testing.assert_allclose(data.train.columns["point"], raw / np.abs(raw).max(), rtol=1e-6)


def test_a_step_is_fitted_to_the_training_split_alone_and_its_state_is_kept(chain, toys):
    steps = chain("blobs", "scale")
    data = pipeline.prepare(steps, 0)
    top = float(np.abs(toys.Blobs(examples=30, nan=False).load("train").columns["point"]).max())
    raw = toys.Blobs(examples=30, nan=False).load("test").columns["point"]
    assert data.fitted == {"scale": {"by": top}}
    np.testing.assert_allclose(data.test.columns["point"], raw / np.float32(top))


def test_the_schema_of_a_request_is_that_of_the_source_without_what_told_clients_apart(chain):
    plain = chain("blobs").popitem()[1].load("train").schema
    assert pipeline.prepare(chain("blobs", "even", "scale"), 0).source == plain


def test_the_partition_follows_the_seed(chain):
    rows = [pipeline.prepare(chain("blobs", "even"), s).partition.rows.tolist() for s in (0, 0, 1)]
    assert rows[0] == rows[1] != rows[2]


def test_without_a_partitioner_one_client_holds_everything(chain):
    data = pipeline.prepare(chain("blobs"), 0)
    assert data.partition.sizes.tolist() == [30]
    assert data.partition[0].tolist() == list(range(30))


def test_a_partitioner_that_makes_no_client_is_not_overruled(chain):
    assert len(pipeline.prepare(chain("blobs", "nobody"), 0).partition) == 0


def test_rows_may_change_before_they_are_cut_but_not_after(chain):
    assert len(pipeline.prepare(chain("blobs", "thin", "even"), 0).train) == 15
    with pytest.raises(ConfigError) as refused:
        pipeline.prepare(chain("blobs", "even", "thin"), 0)
    assert str(refused.value) == (
        "transformer 'thin' changes the number of rows after they were cut into clients\n"
        "  next: name 'thin' before the partitioner"
    )


def test_what_only_told_clients_apart_is_dropped(chain):
    data = pipeline.prepare(chain("blobs", "group"), 0)
    assert data.schema.names == data.source.names == ("point",)
    assert list(data.train.columns) == list(data.test.columns) == ["point"]
    assert data.partition.name(2) == "c"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            (),
            "no transformer is chosen, so there is no data\n"
            "  next: name a source first, as in transformer=[digits,iid]",
        ),
        (
            ("scale", "blobs"),
            "transformer 'scale' comes first but loads no data\n"
            "  next: name a source first, as in transformer=[digits,iid]",
        ),
        (
            ("blobs", "again", "even"),
            "transformer 'again' loads data, but is not the first\n"
            "  exists: transformer=[blobs,again,even]\n"
            "  next: name one source, and name it first",
        ),
        (
            ("blobs", "even", "evener"),
            "transformer 'evener' is a second partitioner\n  next: name one partitioner alone",
        ),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(chain, names, message):
    with pytest.raises(ConfigError) as refused:
        pipeline.prepare(chain(*names), 0)
    assert str(refused.value) == message


def test_nan_in_the_data_is_told_before_any_step(chain):
    with pytest.raises(DataError, match="field 'point' holds NaN or infinity in 1 of 30 rows"):
        pipeline.prepare(chain("blobs", "scale", nan=True), 0)


def test_what_a_step_makes_is_looked_at_too(chain):
    with pytest.raises(DataError, match="in 1 of 30 rows, first in row 3"):
        pipeline.prepare(chain("blobs", "break"), 0)


def test_a_source_without_an_example_is_refused(chain):
    with pytest.raises(DataError) as refused:
        pipeline.prepare(chain("empty"), 0)
    assert str(refused.value) == "transformer 'empty' loaded no example to train on"


def test_a_model_that_wants_other_data_is_told_both(chain, linear):
    data = pipeline.prepare(chain("blobs", "scale"), 0)
    trainer = linear(features=5)
    with pytest.raises(ConfigError) as refused:
        pipeline.check_schema(trainer, data.schema)
    assert str(refused.value) == (
        "the data do not meet what the model declares: point: length 2 in dimension 0, not 5\n"
        "  exists: the data have\n"
        "       point: float32 (2), -1 to 1\n"
        "    -> label: int64 (), 3 categories\n"
        "  the model declares\n"
        "       point: float32 (5)\n"
        "    -> label: int64 ()\n"
        "  next: change the transformers (reshape, flatten, one_hot, …) or the model"
    )


def test_a_model_that_wants_one_vector_is_told_how_to_make_it(linear):
    columns = Schema((Field("age", "float32"), Field("height", "float32"), Field("label", "int64")))
    trainer = linear(features=2)
    with pytest.raises(ConfigError, match="add the step 'stack' to make one vector of many"):
        pipeline.check_schema(trainer, columns)


def test_a_schema_that_fits_passes(chain, linear):
    data = pipeline.prepare(chain("blobs"), 0)
    pipeline.check_schema(linear(), data.schema)


def test_steps_are_applied_in_order_on_the_path_of_a_request(toys):
    half, quarter = toys.Scale(), toys.Thin()
    half.restore({"by": 2.0})
    batch = {"point": np.array([[2.0, 4.0], [6.0, 8.0]], dtype="float32"), "label": np.arange(2)}
    out = pipeline.transform([half, quarter], batch)
    assert out["point"].tolist() == [[1, 2]]
    assert batch["point"].tolist() == [[2, 4], [6, 8]]


class Behind:
    """A step that goes on behind the model."""

    def __init__(self, factor, shift):
        self.factor, self.shift = factor, shift

    def inverse_transform(self, output):
        return {name: column * self.factor + self.shift for name, column in output.items()}


def test_steps_behind_a_model_are_applied_in_order():
    steps = [Behind(2, 0), Behind(1, 3)]
    assert pipeline.inverse_transform(steps, {"scores": np.array([1.0])})["scores"] == [5.0]
    assert pipeline.inverse_transform([], steps) is steps
