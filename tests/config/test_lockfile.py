import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aeros_core.config import lockfile
from aeros_core.errors import ConfigError
from aeros_core.tasks.algorithm_pin import AlgorithmPin
from aeros_core.tasks.task import Task

GOOD = {"toy-half": {"version": "1.0rc1", "sha256": "a" * 64}}


@pytest.fixture
def file(tmp_path):
    """A function that writes a lock file."""

    def write(text):
        path = tmp_path / "lock"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_lock_is_read(file):
    assert lockfile.read(file(json.dumps(GOOD))) == {"toy-half": AlgorithmPin("1.0rc1", "a" * 64)}
    assert lockfile.read(file("{}")) == {}


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"a": {}}', '{"a": {"version": "1"}}', '{"a": 1}', "[" * 100_000, b"\xff",
     '{"a": {"version": 1, "sha256": "0"}}'],
)  # fmt: skip
def test_a_lock_that_is_none(file, text):
    with pytest.raises(ConfigError, match="is not the lock of a task"):
        lockfile.read(file(text))


WRONG = [
    ("../up", "1.0", "a" * 64, "name"),
    ("Toy", "1.0", "a" * 64, "name"),
    ("toy", "1/../..", "a" * 64, "version"),
    ("toy", "1.0'}", "a" * 64, "version"),
    ("toy", "1.0", "A" * 64, "sha256"),
    ("toy", "1.0", "a" * 63, "sha256"),
]


@pytest.mark.parametrize(("name", "version", "sha256", "what"), WRONG)
def test_a_pin_of_another_form(file, name, version, sha256, what):
    said = rf"cannot be the {what} of an algorithm\n  exists: .*\n  next: aeros algorithms lock"
    with pytest.raises(ConfigError, match=said):
        lockfile.read(file(json.dumps({name: {"version": version, "sha256": sha256}})))
    with pytest.raises(ConfigError, match=said):
        Task(algorithms={name: AlgorithmPin(version, sha256)})


def test_a_file_is_spelled_out_as_what_it_says(file):
    path = file(json.dumps(GOOD))
    digest = "a" * 64
    said = f"++task.algorithms={{toy-half:{{version:'1.0rc1',sha256:'{digest}'}}}}"
    for word in (f"task.algorithms={path}", f"++task.algorithms={path}"):
        assert lockfile.spelled(word) == said
    for word in ("task.rounds=3", "task.algorithms={}", "task.algorithms=${x}", "task.algorithms",
                 "task.algorithms=null", said):  # fmt: skip
        assert lockfile.spelled(word) == word


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere is not the lock of a task: No such file"):
        lockfile.spelled(f"task.algorithms={tmp_path / 'nowhere'}")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
nearly = st.dictionaries(
    st.sampled_from(["toy", "", "a b", "../x"]),
    st.fixed_dictionaries({"version": json_values, "sha256": json_values}),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | (json_values | nearly).map(lambda v: json.dumps(v).encode()))
def test_whatever_a_file_says_it_is_a_lock_or_refused(file, data):
    try:
        pins = lockfile.read(file(data))
    except ConfigError:
        return
    for name, pin in pins.items():
        pin.check(name)
