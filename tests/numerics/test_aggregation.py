"""The weighted mean of updates, against exact fractions and by dtype."""

import tracemalloc
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_core import (
    ConfigError,
    DataError,
    Encoded,
    Layout,
    Parameters,
    Update,
    WeightedMean,
    weighted_mean,
)
from aeros_core.numerics.dtypes import AVERAGED, is_real

REAL = [dtype for dtype in AVERAGED if is_real(dtype)]
WHOLE = [dtype for dtype in AVERAGED if not is_real(dtype)]


def model(dtype, *values):
    return Parameters.of({"w": np.array(values, dtype)})


def update(parameters, examples=1, **more):
    return Update("n", 1, parameters, examples, **more)


def drawn(data, dtype, size):
    """Return numbers of a dtype whose differences and sums it represents exactly."""
    if dtype == "bool":
        return np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    low, high = (-1024, 1024) if is_real(dtype) else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    numbers = st.integers(max(low, -(2**40)), min(high, 2**40))
    return np.array(data.draw(st.lists(numbers, min_size=size, max_size=size)), dtype)


def oracle(base, values, weights, dtype):
    """Return the mean by fractions, one number at a time."""
    total = sum(map(Fraction, weights))
    means = []
    for column in zip(*values, strict=True):
        pairs = zip(column, weights, strict=True)
        mean = sum(Fraction(w) * Fraction(v.item()) for v, w in pairs) / total
        if dtype == "bool":
            means.append(mean > Fraction(1, 2))
        else:
            means.append(float(mean) if is_real(dtype) else round(mean))
    return np.array(means, base.dtype)


@pytest.mark.parametrize("dtype", AVERAGED)
@given(data=st.data())
def test_means_are_those_of_fractions(dtype, data):
    size, count = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    base = drawn(data, dtype, size)
    values = [drawn(data, dtype, size) for _ in range(count)]
    weights = [data.draw(st.integers(1, 1000)) for _ in values]
    updates = []
    for value, weight in zip(values, weights, strict=True):
        delta = data.draw(st.booleans())
        sent = value - base if delta and is_real(dtype) else value  # integers are values
        updates.append(update(model(dtype, *sent), weight, delta=delta))
    mean = weighted_mean(model(dtype, *base), iter(updates)).vectors[dtype]
    wanted = oracle(base, values, weights, dtype)
    assert mean.dtype == dtype
    if is_real(dtype):
        tiny = np.finfo(dtype)
        np.testing.assert_allclose(mean, wanted, rtol=tiny.eps, atol=1024 * 2.0**-52)
    else:
        np.testing.assert_array_equal(mean, wanted)


def test_half_precision_is_added_in_double():
    updates = [update(model("float16", 60000.0, 1.0)) for _ in range(1000)]
    updates.append(update(model("float16", 60000.0, 3.0), 1000))
    mean = weighted_mean(model("float16", 0.0, 0.0), updates).vectors["float16"]
    assert mean.tolist() == [60000.0, 2.0]


def test_a_thousand_float32_models_are_rounded_once():
    values = np.random.default_rng(0).standard_normal(1000).astype("float32")
    mean = weighted_mean(model("float32", 0), (update(model("float32", v)) for v in values))
    exact = sum(map(Fraction, values.tolist())) / 1000
    assert mean.vector[0] == np.float32(float(exact))


def test_differences_are_added_to_the_global_parameters():
    start = model("float32", 10.0, 20.0)
    both = [
        update(model("float32", 1.0, -1.0), 3, delta=True),
        update(model("float32", 12.0, 24.0), 1),
    ]
    assert weighted_mean(start, both).vector.tolist() == [11.25, 20.25]


def test_integers_of_a_difference_are_values():
    start = Parameters.of({"w": np.float32([1.0]), "seen": np.uint8([250])})
    sent = Parameters.of({"w": np.float32([0.5]), "seen": np.uint8([252])})
    mean = weighted_mean(start, [update(sent, delta=True)])
    assert (mean["w"][0], mean["seen"][0]) == (1.5, 252)


@dataclass
class Halves:
    """Stores float32 numbers in float16."""

    def decode(self, encoded, dtype):
        return encoded.arrays[dtype].astype(dtype)

    def fault(self, encoded):
        return None


def test_compressed_updates_are_decoded_by_their_codec():
    start = model("float32", 1.0, 2.0)
    arrays = {"float32": np.float16([0.5, 0.25])}
    coded = Parameters(start.layout, Encoded(arrays, {"float32": 2}, Halves()))
    mean = weighted_mean(start, [update(coded, delta=True), update(start)])
    assert mean.vector.tolist() == [1.25, 2.125]


class Elsewhere:
    """A vector of another library: DLPack on the host, and nothing of numpy's."""

    def __init__(self, vector):
        self._vector = vector

    def __len__(self):
        return len(self._vector)

    def __dlpack__(self, **options):
        return self._vector.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._vector.__dlpack_device__()


def test_vectors_of_other_libraries_are_read_by_dlpack():
    start = model("float32", 1.0, 2.0)
    other = Parameters(start.layout, {"float32": Elsewhere(np.float32([3.0, 4.0]))})
    assert weighted_mean(start, [update(other)]).vector.tolist() == [3.0, 4.0]
    assert weighted_mean(other, [update(start, delta=True)]).vector.tolist() == [4.0, 6.0]


def test_long_vectors_are_averaged_to_their_end():
    size = 3 * 2**16 + 5
    rows = np.random.default_rng(1).standard_normal((3, size))
    start = model("float64", *np.zeros(size))
    mean = weighted_mean(start, [update(model("float64", *row), 2) for row in rows])
    np.testing.assert_allclose(mean.vectors["float64"], rows.mean(0), rtol=0, atol=1e-15)


def test_nothing_that_is_given_is_changed():
    start, sent = model("float32", 1.0, 2.0), model("float32", 3.0, 5.0)
    for each in (start, sent):
        each.vector.flags.writeable = False
    mean = weighted_mean(start, [update(sent)])
    assert not np.shares_memory(mean.vector, sent.vector)
    assert start.vector.tolist() == [1.0, 2.0]


def test_without_an_update_the_global_parameters_come_back():
    start = model("float32", 1.0)
    assert weighted_mean(start, []) is start
    assert WeightedMean(start).result() is start


def test_weights_replace_the_numbers_of_examples():
    start, one, other = (model("float32", v) for v in (0.0, 1.0, 5.0))
    updates = [update(one, 1000), update(other)]
    assert weighted_mean(start, updates, [0.75, 0.25]).vector.tolist() == [2.0]
    assert weighted_mean(start, updates, iter([0, 2])).vector.tolist() == [5.0]
    assert weighted_mean(start, updates, np.array([0.5, 0.5])).vector.tolist() == [3.0]


def test_an_update_of_weight_0_changes_nothing_whatever_it_holds():
    start = model("float32", 0.0)
    updates = [update(model("float32", np.inf)), update(model("float32", 7.0))]
    assert weighted_mean(start, updates, [0.0, 1.0]).vector.tolist() == [7.0]


@pytest.mark.parametrize(
    "weight", [np.nan, np.inf, -np.inf, -1.0, np.float32("nan"), 10**309], ids=lambda w: f"{w!s:.9}"
)
def test_a_weight_that_is_negative_or_not_finite_is_refused(weight):
    mean = WeightedMean(model("float32", 0.0))
    mean.add(update(model("float32", 2.0)))
    with pytest.raises(DataError, match="the weight of an update must be a finite number from 0"):
        mean.add(update(model("float32", 3.0)), weight)
    assert mean.result().vector.tolist() == [2.0]


@pytest.mark.parametrize("weights", [[0.0], [0, 0], [1e308, 1e308]])
def test_weights_that_add_up_to_0_or_beyond_float64_are_refused(weights):
    start = model("float32", 1.0)
    with pytest.raises(DataError, match="must add up to a finite number above 0"):
        weighted_mean(start, [update(start)] * len(weights), weights)


def test_as_many_weights_as_updates_are_wanted():
    start = model("float32", 1.0)
    with pytest.raises(ValueError, match="shorter"):
        weighted_mean(start, [update(start)] * 2, [1.0])


@pytest.mark.parametrize("dtype", ["complex64", "longdouble"])
def test_dtypes_that_are_not_averaged_are_refused(dtype):
    start = Parameters.of({"w": np.ones(1, dtype)})
    with pytest.raises(ConfigError, match="aggregation rules do not average"):
        weighted_mean(start, [update(start)])


def test_another_layout_is_refused_and_the_mean_stays():
    mean = WeightedMean(model("float32", 0.0))
    mean.add(update(model("float32", 2.0)))
    other = Parameters.of({"v": np.float32([9.0])})
    with pytest.raises(DataError, match="the update of node 'n' has another layout"):
        mean.add(update(other))
    assert mean.result().vector.tolist() == [2.0]


def test_a_codec_that_fails_leaves_the_mean_as_it_was():
    class Broken(Halves):
        def decode(self, encoded, dtype):
            if dtype == "float64":
                raise DataError("damaged")
            return super().decode(encoded, dtype)

    start = Parameters.of({"a": np.float32([1.0]), "b": np.float64([1.0])})
    arrays = {"float32": np.float16([1.0]), "float64": np.float16([1.0])}
    coded = Parameters(start.layout, Encoded(arrays, dict(start.layout.sizes), Broken()))
    mean = WeightedMean(start)
    mean.add(update(start))
    with pytest.raises(DataError, match="damaged"):
        mean.add(update(coded, delta=True))
    assert mean.result()["a"] == [1.0]


def test_a_mean_may_be_read_and_gone_on_with():
    start = model("float32", 0.0)
    mean = WeightedMean(start)
    mean.add(update(model("float32", 2.0)))
    first = mean.result()
    mean.add(update(model("float32", 4.0)))
    assert (first.vector[0], mean.result().vector[0]) == (2.0, 3.0)


def peak_of(action):
    """Return the most bytes that were allocated during an action beyond those before it."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_it_holds_one_accumulator_however_many_updates_come():
    size = 2**20
    start = Parameters.zeros(Layout.of({"w": ((size,), "float32")}))
    sent = Parameters(start.layout, {"float32": np.ones(size, "float32")})
    peak = peak_of(lambda: weighted_mean(start, (update(sent) for _ in range(20))))
    assert peak < 8 * size + 4 * size + 4 * 2**20  # float64 sums, the result, and blocks


@pytest.mark.parametrize("dtype", REAL)
def test_the_distance_is_that_of_all_floating_point_numbers(dtype):
    one = Parameters.of({"w": np.array([[1, 2]], dtype), "n": np.int64([0]), "b": np.float32([0])})
    two = Parameters.of({"w": np.array([[3, 4]], dtype), "n": np.int64([9]), "b": np.float32([1])})
    assert one.distance(two) == two.distance(one) == 3.0
    assert one.distance(one) == 0.0


def test_distances_of_half_precision_do_not_overflow():
    one, two = (model("float16", *[v] * 100000) for v in (-60000.0, 60000.0))
    assert one.distance(two) == pytest.approx(120000 * 100000**0.5)


def test_a_distance_wants_one_layout():
    with pytest.raises(DataError, match="one layout"):
        model("float32", 1.0).distance(model("float64", 1.0))
