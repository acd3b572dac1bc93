import pytest

from aeros_core.errors import ConfigError
from aeros_transforms import options


@pytest.mark.parametrize(
    ("check", "arguments", "text"),
    [
        (options.at_least, ("a.b", 0, 1), "a.b must be at least 1, got 0\n  exists: at least 1"),
        (options.above, ("a.b", 0.0, 0), "a.b must be above 0, got 0.0\n  exists: above 0"),
        (
            options.above,
            ("a.b", float("nan"), 0),
            "a.b must be above 0, got nan\n  exists: above 0",
        ),
        (
            options.above,
            ("a.b", float("inf"), 0),
            "a.b must be above 0, got inf\n  exists: above 0",
        ),
        (
            options.fraction,
            ("a.b", 1.0),
            "a.b must be 0 to below 1, got 1.0\n  exists: 0 to below 1",
        ),
        (
            options.fraction,
            ("a.b", -0.1),
            "a.b must be 0 to below 1, got -0.1\n  exists: 0 to below 1",
        ),
    ],
)
def test_out_of_range(check, arguments, text):
    with pytest.raises(ConfigError) as caught:
        check(*arguments)
    assert str(caught.value) == text


def test_in_range():
    options.at_least("a", 1, 1)
    options.above("a", 0.001, 0)
    options.fraction("a", 0.0)
    options.known("a", "x", ["y", "x"], "the data")


def test_unknown_name_with_a_near_one():
    with pytest.raises(ConfigError) as caught:
        options.known("t.label", "machine failure", ["UDI", "Machine failure"], "f.csv")
    assert str(caught.value) == (
        "t.label=machine failure is not in f.csv\n"
        "  exists: UDI, Machine failure\n"
        "  next: 't.label=\"Machine failure\"'"
    )


def test_unknown_name_without_a_near_one():
    with pytest.raises(ConfigError) as caught:
        options.known("t.label", "zzz", ["a", "b"], "f.csv")
    assert str(caught.value) == (
        "t.label=zzz is not in f.csv\n  exists: a, b\n  next: t.label=<one of these>"
    )


def test_name_that_is_not_set():
    with pytest.raises(ConfigError) as caught:
        options.known("t.label", "", [], "f.csv")
    assert str(caught.value) == (
        "t.label is not set\n  exists: nothing at all\n  next: t.label=<one of these>"
    )


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["label"], "a=label"),
        (["Air temperature [K]"], "'a=\"Air temperature [K]\"'"),
        (["x", "y"], "'a=[x,y]'"),
    ],
)
def test_override_can_be_typed(values, text):
    assert options.override("a", *values) == text
