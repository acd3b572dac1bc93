import numpy as np
import pytest

from aeros_core.errors import ConfigError
from aeros_onnx.export import written
from aeros_onnx.session import OnnxSession, quantised


class Full:
    """A session of a device without room; the words are those of onnxruntime."""

    def __init__(self, words):
        self.words = words

    def run(self, outputs, batch):
        raise RuntimeError(self.words)


@pytest.mark.parametrize(
    "words",
    [
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: "
        "bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 9",
        "Non-zero status code: CUDA failure 2: out of memory ; GPU=0",
    ],
)
def test_a_device_without_room_is_no_fault_of_the_request(model, words):
    running = OnnxSession(written(model))
    running._session = Full(words)
    with pytest.raises(MemoryError, match=r"allocate memory|out of memory"):
        running({})


def test_a_batch_that_cannot_be_is_one(model):
    with pytest.raises(ConfigError, match="the graph cannot take this batch"):
        OnnxSession(written(model))({"nothing": np.zeros((1, 1))})


def test_eight_bits_are_made_without_a_word(model, caplog):
    OnnxSession(quantised(written(model)))
    assert caplog.text == ""
