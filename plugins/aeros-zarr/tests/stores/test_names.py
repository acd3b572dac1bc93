import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.errors import ConfigError
from aeros_zarr.stores.names import check, spelled


@pytest.mark.parametrize("name", ["a", "7", "mnist-1", "A.b_c-9", "x" * 128])
def test_a_good_name_comes_back(name):
    assert check("run", name) == name


@pytest.mark.parametrize(
    ("name", "instead"),
    [("my task", "my-task"), ("../up", "up"), ("a/b", "a-b"), ("", "mnist-1"), ("a\n", "a")],
)
def test_a_bad_name_says_what_would_do(name, instead):
    with pytest.raises(ConfigError) as caught:
        check("task", name)
    assert str(caught.value) == (
        f"{name!r} is not a valid name of a task\n"
        "  exists: up to 128 letters, digits, '.', '_' and '-', a letter or digit first\n"
        f"  next: for instance {instead}"
    )
    assert check("task", instead) == instead


@given(st.text())
def test_a_name_that_is_taken_stays_in_its_folder(name):
    try:
        check("run", name)
    except ConfigError:
        return
    assert "/" not in name
    assert not name.startswith(".")
    assert name.isascii()


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "no run at all"),
        (["a"], "run a"),
        (["a", "b"], "runs a, b"),
        (range(1, 11), "runs 1, 2, 3, 4, 5, 6, 7, 8, 9, 10"),
        (range(1, 100), "runs 1, …, 91, 92, 93, 94, 95, 96, 97, 98, 99"),
    ],
)
def test_names_are_spelled(names, text):
    assert spelled("run", names) == text
