"""The 149 models of onnx's own suite that are files: each answers as was recorded with it.

They are those of the kinds ``simple``, ``pytorch-converted`` and ``pytorch-operator``, written by
exporters of 2017 to 2020, and the architectures of the model zoo with constant weights (``light``).
"""

from pathlib import Path

import numpy as np
import onnx.backend.test
import pytest
from graphs import by_onnxruntime
from onnx import TensorProto, numpy_helper

from aeros_core.errors import AerosError, ConfigError
from aeros_onnx import file_format
from aeros_onnx.inferencer import OnnxInferencer
from aeros_onnx.traversal import required_inputs

SUITE = Path(onnx.backend.test.__file__).parent / "data"
KINDS = ("simple", "pytorch-converted", "pytorch-operator")
FOLDERS = sorted(path.parent for kind in KINDS for path in (SUITE / kind).glob("*/model.onnx"))
LIGHT = sorted((SUITE / "light").glob("*.onnx"))

DRAWN = {"test_sequence_model8"}
"""Those that compute only rows that fit each other, which drawn ones do not."""


def test_the_suite_has_149_models():
    assert len(FOLDERS) + len(LIGHT) == 149


def imported(path):
    """Return an inferencer that has loaded a file, None if refused; whether it is served whole."""
    for whole in (False, True):
        try:
            model, _ = file_format.load_graph(path, "m", unbatched=whole)
        except AerosError as error:
            hint = error.hint or ""
            if isinstance(error, ConfigError) and "--unbatched" in hint:
                continue
            return None, whole
        inferencer = OnnxInferencer(device="cpu", threads=1, batch_size=512, quantise="none")
        inferencer.load(model)
        return inferencer, whole
    return None, True


def recorded(path):
    proto = TensorProto.FromString(path.read_bytes())
    return numpy_helper.to_array(proto)


def answered(inferencer, batch, *, whole):
    if not whole:
        return inferencer.predict(batch)
    return {k: v[0] for k, v in inferencer.predict({k: v[None] for k, v in batch.items()}).items()}


def check(answer, expected):
    assert answer.shape == expected.shape
    if expected.dtype.kind == "f":
        assert answer.dtype == expected.dtype
        np.testing.assert_allclose(answer, expected, rtol=1e-3, atol=1e-6)
    else:
        assert answer.tolist() == expected.astype(answer.dtype).tolist()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_model_answers_as_recorded_or_onnxruntime_cannot_run_it(folder):
    path, proto = folder / "model.onnx", onnx.load(folder / "model.onnx")
    sets = sorted(folder.glob("test_data_set_*"))
    names = [value.name for value in required_inputs(proto)]
    inferencer, whole = imported(path)
    assert sets
    for data in sets:
        batch = {name: recorded(data / f"input_{n}.pb") for n, name in enumerate(names)}
        if inferencer is None and folder.name not in DRAWN:
            with pytest.raises(Exception, match=r"onnxruntime|ONNXRuntime|Gradient"):
                by_onnxruntime(path, **batch)
        elif inferencer is not None:
            outputs = answered(inferencer, batch, whole=whole)
            for n, value in enumerate(proto.graph.output):
                check(outputs[value.name], recorded(data / f"output_{n}.pb"))


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: path.stem)
def test_architectures_of_the_zoo_answer_several_rows_as_recorded_for_one(path):
    inferencer, whole = imported(path)
    value, *_ = required_inputs(onnx.load(path))
    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    assert (whole, inferencer.fixed_rows, shape[0]) == (False, 1, 1)
    size = int(np.prod(shape))
    one = (np.arange(size).reshape(shape) / size).astype(np.float32)  # as the suite has it
    expected = recorded(path.with_name(f"{path.stem}_output_0.pb"))
    (answer,) = inferencer.predict({value.name: np.concatenate([one, one])}).values()
    check(answer[:1], expected)
    check(answer[1:], expected)


def test_most_of_the_suite_is_served():
    served = [folder for folder in FOLDERS if imported(folder / "model.onnx")[0] is not None]
    assert len(served) >= 95
