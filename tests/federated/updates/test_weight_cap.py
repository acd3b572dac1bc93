"""No node has more than `task.max_share` of a round, solved exactly."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeros_core.errors import ConfigError
from aeros_core.federated.updates.weight_cap import cap, capped, weights
from aeros_core.messages import Update
from aeros_core.tasks.task import Task

SIZES = st.lists(
    st.one_of(st.integers(1, 9), st.integers(1, 1000), st.just(10**15)), min_size=1, max_size=12
)
SHARES = st.sampled_from([0.05, 0.1, 0.29, 0.3, 1 / 3, 0.34, 0.5, 0.9, 1.0])


def oracle(sizes, share):
    """Return the greatest whole cap that keeps the share, by bisection over whole numbers."""
    part = max(Fraction(repr(share)), Fraction(1, len(sizes)))

    def keeps(limit):
        counted = [min(size, limit) for size in sizes]
        return max(counted) <= part * sum(counted)

    if keeps(max(sizes)):
        return None
    low, high = 0, max(sizes)  # keeps(low), not keeps(high): the condition is concave
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if keeps(middle) else (low, middle)
    return low


def sent(sizes, nodes=None):
    names = nodes or [f"n{i}" for i in range(len(sizes))]
    return [Update(name, 1, None, size) for name, size in zip(names, sizes, strict=True)]


@settings(max_examples=8 * settings().max_examples, deadline=None, derandomize=True)
@given(sizes=SIZES, share=SHARES)
def test_the_cap_is_the_greatest_that_keeps_the_share(sizes, share):
    assert cap(sizes, share) == oracle(sizes, share)


@pytest.mark.parametrize(
    ("sizes", "share", "counted"),
    [
        ([10, 10, 10], 0.5, [10, 10, 10]),
        ([20, 10, 10], 0.5, [20, 10, 10]),
        ([21, 10, 10], 0.5, [20, 10, 10]),
        ([10**15, 10, 10], 0.5, [20, 10, 10]),
        ([10**15, 10**14, 10], 0.5, [10**14 + 10, 10**14, 10]),
        ([900, 800, 10, 10, 10], 0.3, [22, 22, 10, 10, 10]),  # capping one changes the total
        ([100, 50, 1], 0.1, [1, 1, 1]),  # three nodes cannot have a tenth each
        ([10**15, 1], 0.5, [1, 1]),
        ([10**15, 10, 10], 1.0, [10**15, 10, 10]),
        ([7], 0.5, [7]),
    ],
)
def test_examples_that_count(sizes, share, counted):
    assert [u.examples for u in capped(sent(sizes), share, lambda *_: None)] == counted


@settings(max_examples=6 * settings().max_examples, deadline=None, derandomize=True)
@given(sizes=SIZES, share=SHARES, known=st.booleans())
def test_what_passes_never_exceeds_and_the_order_stays_where_nobody_does(sizes, share, known):
    told = {}
    out = list(capped(sent(sizes), share, told.__setitem__, sizes if known else ()))
    limit = cap(sizes, share)
    by_node = {update.node: update.examples for update in out}
    assert by_node == {u.node: min(u.examples, limit or u.examples) for u in sent(sizes)}
    if limit is None:
        assert [u.node for u in out] == [f"n{i}" for i in range(len(sizes))]
        assert told == {}
    else:
        assert told == {u.node: limit for u in sent(sizes) if u.examples > limit}
    total = sum(by_node.values())
    assert max(by_node.values()) <= max(Fraction(repr(share)), Fraction(1, len(sizes))) * total


def test_a_node_that_sends_several_times_has_one_share():
    updates = sent([6, 6, 6, 2, 2], ["a", "a", "a", "b", "c"])
    told = {}
    out = list(capped(updates, 0.5, told.__setitem__))
    assert told == {"a": 4}
    assert sum(u.examples for u in out if u.node == "a") <= 4 + 2  # each counts for one at least
    assert [u.examples for u in out if u.node != "a"] == [2, 2]


def test_updates_pass_before_all_have_come():
    came = []

    def coming():
        for update in sent([30, 20, 20] + [10] * 50):
            came.append(update.node)
            yield update

    passing = capped(coming(), 0.5, lambda *_: None)
    assert next(passing).node == "n0"
    assert len(came) == 3
    assert next(passing).node == "n1"
    assert len(came) <= 4


def test_who_exceeds_by_what_was_stated_holds_up_nobody():
    sizes, came = [10**6] + [10] * 50, []

    def coming():
        for update in sent(sizes):
            came.append(update.node)
            yield update

    passing = capped(coming(), 0.5, lambda *_: None, sizes)
    assert next(passing).node == "n1"
    assert len(came) <= 4
    assert [u.node for u in passing][-1] == "n0"


def test_one_or_two_nodes_are_not_capped():
    assert weights({"a": 10**15, "b": 1}, 0.5, 2) == {"a": 10**15, "b": 1}
    assert weights({"a": 10**15, "b": 1}, 0.5, 3) == {"a": 1, "b": 1}
    assert weights({}, 0.5, 9) == {}


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, float("nan"), float("inf")])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ConfigError) as refused:
        Task(max_share=share)
    assert "max_share" in str(refused.value)
    assert "above 0, up to 1" in str(refused.value)
