"""A model in memory that several processes map: sealed, aligned, and freed at the end."""

import os
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from aeros_core.parameters import Parameters
from aeros_core.records import Model
from aeros_core.schema import Field, Schema
from aeros_serving.workers.model_file import ModelFile, map_model


def model(**changes):
    rng = np.random.default_rng(0)
    tensors = {
        "weight": rng.random((7, 3), np.float32),
        "count": np.int64(5),
        "half": rng.random(5).astype(np.float16),
        "mask": np.array([True, False]),
        "empty": np.zeros((0, 4), np.float32),
    }
    schema = Schema((Field("x", "float32", (3,)), Field("y", "str", categories=("a", "b"))), "y")
    said = {
        "schema": schema,
        "inputs": schema,
        "module": {"_target_": "a.B", "hidden": [1, 2]},
        "transformers": {"scale": {"_target_": "a.C"}},
        "fitted": {
            "scale": {
                "mean": rng.random(3),
                "words": np.array(["ä", "bc"]),
                "empty": np.zeros((0, 2)),
                "scalar": np.array(2.5),
                "sparse": np.arange(6.0)[::2],
                "count": 3,
                "name": "z",
                "least": float("-inf"),
            }
        },
        "run": "r",
        "round": 4,
        "metrics": {"accuracy": 0.5, "loss": float("nan")},
        "versions": {"aeros-core": "0.1"},
        "parents": ("p",),
        "behind": ("scale",),
        "samples": {"x": rng.random((2, 3), np.float32)},
    }
    tensors = {name: np.asarray(tensor) for name, tensor in tensors.items()}
    return Model("digits", Parameters.of(tensors), **(said | changes))


def mapped(file):
    return map_model(os.dup(file.fileno()))


def same(one, other):
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype == float)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return (type(one), repr(one)) == (type(other), repr(other))


def test_a_mapped_model_is_the_one_that_was_stored():
    before = model()
    after = mapped(ModelFile(before))
    assert after.parameters.digest == before.parameters.digest
    for each in fields(Model):
        if each.name != "parameters":
            assert same(getattr(before, each.name), getattr(after, each.name)), each.name
    assert mapped(ModelFile(model(inputs=None))).inputs is None


def test_arrays_begin_at_multiples_of_64_bytes():
    after = mapped(ModelFile(model()))
    arrays = [*after.parameters.vectors.values(), *after.samples.values()]
    assert {array.ctypes.data % 64 for array in arrays} == {0}


def test_writes_stay_in_the_process():
    file = ModelFile(model())
    one, other = mapped(file), mapped(file)
    assert one.parameters.vector.flags.writeable  # torch takes no others without a warning
    one.parameters.vector[...] = 7
    assert not (other.parameters.vector == 7).any()
    assert not (mapped(file).parameters.vector == 7).any()


def test_the_file_cannot_be_changed():
    file = ModelFile(model())
    with pytest.raises(PermissionError):
        os.pwrite(file.fileno(), b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(file.fileno(), 9)


def test_a_file_that_others_could_change_is_refused():
    descriptor = os.memfd_create("other", os.MFD_ALLOW_SEALING)
    os.write(descriptor, bytes(64))
    with pytest.raises(ValueError, match="not sealed"):
        map_model(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_model_that_is_more_than_plain_data_is_not_mapped():
    for changes in (
        {"samples": {"x": np.array(["a", None], object)}},
        {"module": {"_target_": "a.B", "option": object()}},
    ):
        with pytest.raises(TypeError):
            ModelFile(model(**changes))


def opened():
    """Return how many files in memory this process has open or mapped."""
    links = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    maps = Path("/proc/self/maps").read_text().splitlines()
    return sum("aeros-model" in each for each in [*(str(link.readlink()) for link in links), *maps])


def test_nothing_remains_of_a_model_that_is_not_used():
    before = opened()
    file = ModelFile(model())
    after = mapped(file)
    assert opened() > before + 1
    del file
    assert after.parameters["count"] == 5
    del after
    assert opened() == before
