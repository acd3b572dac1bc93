import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.seeding import seed, stream

NAMES = st.lists(st.integers(-(2**40), 2**40) | st.text(st.characters(exclude_characters="\x1f")))


@pytest.mark.parametrize(
    ("task_seed", "name", "text"),
    [
        (0, (), "0"),
        (0, ("model",), "0\x1fstr:model"),
        (7, ("train", 12, "client-7"), "7\x1fstr:train\x1fint:12\x1fstr:client-7"),
        (-1, ("select", 3), "-1\x1fstr:select\x1fint:3"),
    ],
)
def test_a_seed_is_63_bits_of_the_hash_of_its_name(task_seed, name, text):
    digest = hashlib.sha256(text.encode()).hexdigest()
    eight = bytes.fromhex(digest[:16])
    assert seed(task_seed, *name) == int.from_bytes(eight, "little") // 2
    assert seed(task_seed, *name) < 2**63


def test_a_stream_is_the_pcg64_of_its_seed():
    expected = np.random.Generator(np.random.PCG64(seed(5, "select", 1))).integers(1000, size=8)
    np.testing.assert_array_equal(stream(5, "select", 1).integers(1000, size=8), expected)


def test_what_was_drawn_before_changes_nothing():
    expected = stream(0, "model").random(4)
    np.random.Generator(np.random.PCG64(1)).random(100)
    stream(0, "other").random(100)
    np.testing.assert_array_equal(stream(0, "model").random(4), expected)


@given(NAMES, NAMES)
def test_other_names_have_other_seeds(one, other):
    assert (seed(0, *one) == seed(0, *other)) == (one == other)


def test_a_number_is_not_its_text_and_parts_are_not_run_together():
    names = [("a", "bc"), ("ab", "c"), ("abc",), ("1",), (1,), ("a", 1), ("a", "1"), ()]
    assert len({seed(0, *name) for name in names}) == len(names)
    assert seed(1, 0) != seed(0, 1)


def test_streams_do_not_follow_one_another():
    names = [("train", number, f"client-{node}") for number in (1, 2) for node in (0, 1, 2)]
    draws = [stream(0, *name).random(10_000) for name in names]
    for one, other in itertools.combinations(draws, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.05  # five standard errors
