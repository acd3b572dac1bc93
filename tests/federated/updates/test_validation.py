from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from aeros_core.encoding import Encoded
from aeros_core.federated.updates.validation import change, fault, finite
from aeros_core.messages import Evaluation, Failure, Update
from aeros_core.parameters import Parameters

FLOATS = arrays.arrays(np.float32, 5, elements=st.floats(-100, 100, width=32))


def packed(*values):
    return Parameters.of({"w": np.array(values, dtype="float32")})


BASE = packed(1, 2)


def update(**changed):
    return replace(Update("a", 3, packed(4, 6), 10, {"loss": 0.5}), **changed)


def refused(reply, **options):
    found = fault(reply, BASE, options.get("longest"))
    return None if found is None else (found.kind, found.text)


def test_a_good_update_has_no_fault():
    assert refused(update()) is None
    assert refused(update(scalars={"steps": 4.0}, vectors={"mask": np.ones(2)})) is None


@pytest.mark.parametrize(
    ("bad", "kind", "text"),
    [
        (Failure("a", 3, "the sensor is unplugged"), "failed", "the sensor is unplugged"),
        (Evaluation("a", 3, 1, {}), "not an update", "an evaluation, not an update"),
        (
            update(parameters=packed(1, 2, 3)),
            "layout",
            "another layout than the global parameters",
        ),
        (update(examples=0), "examples", "0 examples"),
        (update(parameters=packed(1, np.nan)), "not finite", "NaN or infinity"),
        (update(vectors={"m": np.array([np.inf])}), "not finite", "NaN or infinity"),
        (update(scalars={"lr": np.nan}), "not finite", "NaN or infinity among its scalars"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said_and_has_a_kind(bad, kind, text):
    assert refused(bad) == (kind, text)


def test_numbers_of_another_type_than_the_layout_says_are_refused():
    wrong = Parameters(BASE.layout, {"float32": np.ones(2)})
    text = "numbers of float64 where float32 was asked for"
    assert refused(update(parameters=wrong)) == ("dtype", text)


def test_a_change_is_refused_above_the_norm_that_is_allowed_and_not_at_it():
    assert refused(update(), longest=5.0) is None
    assert refused(update(), longest=4.9) == (
        "norm",
        "a change of norm 5, above task.max_norm=4.9",
    )
    assert refused(update(parameters=packed(3, 4), delta=True), longest=5.0) is None


@given(FLOATS, FLOATS, st.booleans())
def test_the_norm_of_a_change_is_that_of_numpy(start, end, delta):
    sent = update(parameters=packed(*(end - start if delta else end)), delta=delta)
    expected = np.linalg.norm(end.astype(float) - start)
    assert change(sent, packed(*start)) == pytest.approx(expected, rel=1e-5, abs=1e-4)


def test_whole_numbers_do_not_count_as_change():
    steps = {"w": np.zeros(2, "float32"), "seen": np.array([7])}
    there = Parameters.of(steps)
    moved = Parameters.of(steps | {"seen": np.array([9000])})
    assert change(update(parameters=moved), there) == 0.0


class Refusing:
    """A codec that finds fault, and must not be asked to decode."""

    def fault(self, encoded):
        return "an index out of range" if "bad" in encoded.arrays else None

    def decode(self, encoded, dtype):
        raise AssertionError("decoded")


@pytest.mark.parametrize(
    ("name", "found"), [("good", None), ("bad", ("encoding", "an index out of range"))]
)
def test_encoded_updates_are_looked_at_by_their_codec(name, found):
    encoded = Encoded({name: np.ones(1)}, {"float32": 2}, Refusing())
    assert refused(update(parameters=Parameters(BASE.layout, encoded), delta=True)) == found


def test_what_is_encoded_is_a_difference():
    """Whole parameters in compressed form would be read as a change; nobody sends them."""
    encoded = Encoded({"good": np.ones(1)}, {"float32": 2}, Refusing())
    found = refused(update(parameters=Parameters(BASE.layout, encoded), delta=False))
    assert found == ("encoding", "compressed, but not a difference")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    ("values", "good"),
    [
        ([], True),
        ([1, 2], True),
        (["max", "max"], True),
        (["max", "-max", "max", "max"], True),
        ([1, np.nan], False),
        ([np.inf, 1], False),
        ([np.inf, -np.inf], False),
        ([-np.inf, np.nan], False),
    ],
)
def test_finite_is_finite_element_by_element(values, good, dtype):
    top = float(np.finfo(dtype).max)
    numbers = [{"max": top, "-max": -top}.get(v, v) for v in values]
    assert finite(np.array(numbers, dtype=dtype)) is good


def test_whole_numbers_are_finite():
    assert finite(np.array([2**62, 2**62, 2**62]))


class Far:
    """A vector on a device: nothing reads its numbers but its own methods."""

    def __init__(self, *values):
        self.values = np.array(values, np.float32)
        self.dtype, self.shape = self.values.dtype, self.values.shape

    def __len__(self):
        return len(self.values)

    def __getitem__(self, key):
        return Far(*self.values[key])

    def __array__(self, *args, **options):
        raise TypeError("can't convert a device's tensor to numpy")

    def sum(self):
        return self.values.sum()

    def cpu(self):
        return self.values


@pytest.mark.parametrize(
    ("vector", "kind"),
    [(Far(4, 6), None), (Far(np.nan, 6), "not finite"), (Far(400, 6), "norm")],
)
def test_vectors_on_a_device_are_checked_too(vector, kind):
    sent = update(parameters=Parameters(BASE.layout, {"float32": vector}))
    found = fault(sent, BASE, 10.0)
    assert (found and found.kind) == kind
    assert Parameters(BASE.layout, {"float32": vector}).copy().vector.dtype == np.float32
