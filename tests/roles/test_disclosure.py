"""What parts declare to send from a node."""

import pytest

from aeros_core.inference import statistics
from aeros_core.roles.disclosure import Disclosure, SupportsDisclosure, disclosed_by

UNKNOWN = frozenset({Disclosure.undeclared})


class Declared:
    discloses = frozenset({Disclosure.counts, Disclosure.sums})


def test_a_part_discloses_what_it_declares():
    assert isinstance(Declared(), SupportsDisclosure)
    assert disclosed_by(Declared()) == {Disclosure.counts, Disclosure.sums}


@pytest.mark.parametrize("declared", [None, "sums", ["sums"], frozenset({"everything"})])
def test_a_part_that_declares_nothing_usable_is_undeclared(declared):
    part = type("Part", (), {"discloses": declared})()
    assert disclosed_by(part) == UNKNOWN
    assert disclosed_by(object()) == UNKNOWN


def test_a_part_may_declare_that_nothing_leaves():
    part = type("Part", (), {"discloses": frozenset()})()
    assert disclosed_by(part) == frozenset()


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("examples", Disclosure.counts),
        ("share.spam", Disclosure.counts),
        ("share.min", Disclosure.counts),
        ("accuracy", Disclosure.sums),
        ("confidence", Disclosure.sums),
        ("rmse", Disclosure.sums),
        ("scores.mean", Disclosure.sums),
        ("scores.std", Disclosure.sums),
        ("scores.min", Disclosure.extremes),
        ("scores.max", Disclosure.extremes),
    ],
)
def test_every_metric_of_an_inference_has_its_kind(metric, kind):
    assert statistics.disclosure_of(metric) is kind
