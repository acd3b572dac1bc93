"""The options of batches, for all models and for one."""

import pytest

from aeros_core.errors import ConfigError
from aeros_serving.config import Mode, Serving
from aeros_serving.models.batching import Batching

SECONDS = "a number of seconds, 0 or more"


@pytest.mark.parametrize(
    ("options", "asked", "exists"),
    [
        ({"max_batch": 0}, "serving.max_batch=0", "a whole number, 1 or more"),
        ({"delay": -1.0}, "serving.delay=-1.0", SECONDS),
        ({"delay": float("nan")}, "serving.delay=nan", SECONDS),
        ({"max_queue": 0}, "serving.max_queue=0", "a whole number, 1 or more"),
        ({"deadline": -1.0}, "serving.deadline=-1.0", SECONDS),
        ({"preferred": [90]}, "serving.preferred=[90]", "1 to serving.max_batch=64"),
        ({"models": {"a": {"delay": "abc"}}}, "serving.models.a.delay=abc", SECONDS),
        ({"models": {"a": {"delay": -1}}}, "serving.models.a.delay=-1", SECONDS),
        (
            {"models": {"a": {"max_batch": 1.5}}},
            "serving.models.a.max_batch=1.5",
            "a whole number, 1 or more",
        ),
        (
            {"models": {"a": {"max_queue": True}}},
            "serving.models.a.max_queue=True",
            "a whole number, 1 or more",
        ),
        (
            {"models": {"a": {"preferred": 5}}},
            "serving.models.a.preferred=5",
            "a list of whole numbers",
        ),
        (
            {"models": {"a": {"preferred": ["x"]}}},
            "serving.models.a.preferred=['x']",
            "a list of whole numbers",
        ),
        (
            {"models": {"a": {"preferred": [8], "max_batch": 4}}},
            "serving.models.a.preferred=[8]",
            "1 to serving.models.a.max_batch=4",
        ),
        (
            {"models": {"a": 5}},
            "serving.models.a=5",
            "options: batching, deadline, delay, max_batch, max_queue, preferred",
        ),
    ],
)
def test_values_that_cannot_be_are_refused(options, asked, exists):
    with pytest.raises(ConfigError) as refused:
        Batching.of(Serving(**options), "a")
    assert (refused.value.asked, refused.value.exists) == (f"{asked} is not possible", exists)


def test_a_list_is_typed_as_one():
    with pytest.raises(ConfigError) as refused:
        Batching.of(Serving(models={"a": {"preferred": 5}}), "a")
    assert refused.value.hint == "+serving.models.a.preferred=[8,32]"


def test_a_model_may_have_options_of_its_own():
    options = Serving(models={"a": {"delay": 0.5, "preferred": [9, 3]}, "b": {"dlay": 1}})
    assert Batching.of(options, "a") == Batching(64, (3, 9), 0.5, 1024, 0.0)
    assert Batching.of(options, "c").delay == 0.0
    with pytest.raises(ConfigError, match=r"serving\.models\.b\.dlay"):
        Batching.of(options, "b")


@pytest.mark.parametrize(
    ("options", "independent", "dependent"),
    [
        ({}, False, True),
        ({"batching": Mode.always}, False, False),
        ({"batching": Mode.never}, True, True),
        ({"models": {"a": {"batching": "never"}}}, True, True),
        ({"batching": Mode.never, "models": {"a": {"batching": "auto"}}}, False, True),
    ],
)
def test_requests_go_one_by_one_as_rows_depend_on_each_other_or_by_an_option(
    options, independent, dependent
):
    batching = Batching.of(Serving(**options), "a")
    assert (batching.single(""), batching.single("rows mix")) == (independent, dependent)


@pytest.mark.parametrize("value", ["sometimes", True, None, ["never"]])
def test_the_mode_of_batching_is_one_of_three(value):
    with pytest.raises(ConfigError) as refused:
        Batching.of(Serving(models={"a": {"batching": value}}), "a")
    told = f"serving.models.a.batching must be one of auto, always, never, got {value}"
    assert refused.value.asked == told


@pytest.mark.parametrize(
    ("fixed", "largest", "preferred"),
    [(None, 32, (4, 16)), (1, 1, ()), (4, 4, (4,)), (20, 20, (4, 16)), (100, 32, (4, 16))],
)
def test_batches_are_no_larger_than_what_is_computed_at_a_time(fixed, largest, preferred):
    options = Serving(max_batch=32, preferred=[16, 4])
    batching = Batching.of(options, "m").within(fixed)
    assert (batching.max_batch, batching.preferred) == (largest, preferred)
    assert batching.delay == options.delay
