from dataclasses import dataclass

import numpy as np
import pytest

from aeros_core.encoding import Encoded
from aeros_core.errors import ConfigError
from aeros_core.messages import Update
from aeros_core.parameters import Layout, Parameters

LAYOUT = Layout.of({"w": ((2, 3), "float32"), "n": ((2,), "int64"), "b": ((4,), "float32")})


@dataclass(frozen=True)
class Halves:
    """Sends every number as a byte of halves, and counts how often it decodes."""

    asked: list

    def decode(self, encoded, dtype):
        self.asked.append(dtype)
        return (encoded.arrays[dtype] / 2).astype(dtype)

    def fault(self, encoded):
        return None


def halves():
    arrays = {"float32": np.arange(10, dtype=np.int8), "int64": np.array([2, -4], np.int8)}
    return Encoded(arrays, LAYOUT.sizes, Halves([]))


def test_parameters_and_updates_are_made_and_measured_without_decoding():
    encoded = halves()
    parameters = Parameters(LAYOUT, encoded)
    update = Update("a", 1, parameters, 3, vectors={"mask": np.zeros(2, np.float32)}, delta=True)
    assert parameters.nbytes == 12
    assert update.nbytes == 20
    assert set(parameters.vectors) == {"float32", "int64"}
    assert len(parameters.vectors) == 2
    assert "float32" in parameters.vectors
    assert encoded.codec.asked == []


def test_parameters_of_encoded_vectors_are_parameters():
    plain = Parameters.of(
        {
            "w": np.arange(6, dtype=np.float32).reshape(2, 3) / 2,
            "n": np.array([1, -2]),
            "b": np.arange(6, 10, dtype=np.float32) / 2,
        }
    )
    encoded = Parameters(plain.layout, halves())
    assert encoded.digest == plain.digest
    assert encoded.copy().digest == plain.digest
    assert encoded["b"].tolist() == [3.0, 3.5, 4.0, 4.5]
    assert {name: a.tolist() for name, a in encoded.items()} == {
        name: a.tolist() for name, a in plain.items()
    }
    assert encoded.vector.dtype == np.float32


def test_every_look_decodes_anew_and_keeps_nothing():
    encoded = halves()
    first = encoded["int64"]
    assert encoded["int64"] is not first
    assert encoded.codec.asked == ["int64", "int64"]


def test_a_dtype_that_is_not_there():
    with pytest.raises(KeyError, match="float64"):
        halves()["float64"]


def test_encoded_vectors_of_another_length_do_not_fit_a_layout():
    encoded = Encoded(halves().arrays, {"float32": 11, "int64": 2}, Halves([]))
    with pytest.raises(ConfigError, match=r"lengths \{'float32': 11, 'int64': 2\} do not fit"):
        Parameters(LAYOUT, encoded)
