"""A graph that runs: sessions of onnxruntime."""

from __future__ import annotations

import re
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, TensorProto, helper

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.errors import ConfigError, RepositoryError

__all__ = ["LARGE", "OnnxSession", "providers", "quantised"]

LARGE = 2**16
"""Bytes from which on an initialiser need not be a part of the graph; shapes and axes, whose values
onnxruntime looks for there, are far smaller."""

_HOST = "CPUExecutionProvider"

_PRODUCTS = ["MatMul", "Gemm", "Attention", "LSTM", "Gather"]
"""Operators that gain by 8 bits; convolutions of onnxruntime lose speed by them."""


class OnnxSession:
    """A graph on a device.

    Args:
        graph: The graph, or its bytes.
        threads: Threads within one operator.
        device: Name of the device, as `providers` takes it.
        fold: Whether to optimise the graph; not before it is trusted.
        weights: Initialisers that are no part of the graph, by name: they are used where they
            lie, without a copy, and not bound by the 2 GB of a serialised graph.

    Raises:
        ConfigError: There is no such device.
        RepositoryError: onnxruntime cannot run the graph.
    """

    def __init__(
        self,
        graph: ModelProto | bytes,
        *,
        threads: int = 1,
        device: str = "cpu",
        fold: bool = True,
        weights: Mapping[str, Array] | None = None,
    ):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4
        options.use_deterministic_compute = True
        if not fold:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._weights, asked = weights or {}, providers(device)
        if self._weights:
            graph = _referring(graph, self._weights)
            self._values = _shared(options, self._weights, on_host=asked == [_HOST])
        try:
            self._session = onnxruntime.InferenceSession(
                graph if isinstance(graph, bytes) else graph.SerializeToString(),
                options,
                providers=asked,
            )
        except Exception as error:  # onnxruntime has a family of its own
            raise RepositoryError(
                f"onnxruntime cannot run the graph: {_first(error)}",
                provider=f"onnxruntime {onnxruntime.__version__}",
                hint=_hint(str(error)),
            ) from error
        self.inputs = {value.name: value for value in self._session.get_inputs()}
        self.output_types = {value.name: value.type for value in self._session.get_outputs()}
        self.outputs = [*self.output_types]

    @property
    def fixed_rows(self) -> int | None:
        """The number of rows that its inputs state, no other; None: any number."""
        first = [value.shape[0] for value in self.inputs.values() if value.shape]
        return next((rows for rows in first if isinstance(rows, int) and rows > 0), None)

    def __call__(self, batch: Batch, *, seconds: float | None = None) -> dict[str, Array]:
        """Return every output for these inputs, by name.

        Args:
            batch: The inputs.
            seconds: When to stop the computation; None: never.

        Raises:
            ConfigError: The graph cannot take them.
            MemoryError: The device has no room for what is computed.
        """
        try:
            with _stopped_after(seconds) as options:
                answers = self._session.run(self.outputs, dict(batch), *options)
        except Exception as error:
            if any(word in str(error).lower() for word in ("allocate memory", "out of memory")):
                raise MemoryError(_first(error)) from error
            raise ConfigError(
                f"the graph cannot take this batch: {_first(error)}",
                exists=", ".join(f"{v.name}: {v.type} {v.shape}" for v in self.inputs.values()),
            ) from error
        return {name: _array(answer) for name, answer in zip(self.outputs, answers, strict=True)}


def _array(answer: Any) -> Array:
    """Return an output as an array: onnxruntime returns a single text as it is."""
    return answer if isinstance(answer, np.ndarray) else np.asarray(answer, dtype=object)


def _shared(
    options: onnxruntime.SessionOptions, weights: Mapping[str, Array], *, on_host: bool
) -> Sequence[onnxruntime.OrtValue]:
    """Let a session compute with these initialisers where they lie.

    The first of the two lets it optimise the graph by their values, with a copy of each for as
    long; without the second it would keep the copy, as it has to on another device.

    Returns:
        What has to live as long as the session, which keeps pointers alone.
    """
    values = {n: onnxruntime.OrtValue.ortvalue_from_numpy(a) for n, a in weights.items()}
    options.add_external_initializers([*values], [*values.values()])
    for name, value in values.items() if on_host else ():
        options.add_initializer(name, value)
    return [*values.values()]


def _referring(graph: ModelProto | bytes, weights: Mapping[str, Array]) -> bytes:
    """Return a graph in which these initialisers are said to lie elsewhere."""
    whole = ModelProto()
    whole.ParseFromString(graph) if isinstance(graph, bytes) else whole.CopyFrom(graph)
    for name, array in weights.items():
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor = whole.graph.initializer.add(name=name, data_type=kind, dims=array.shape)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="given by add_external_initializers")
    data: bytes = whole.SerializeToString()
    return data


@contextmanager
def _stopped_after(seconds: float | None) -> Iterator[Sequence[onnxruntime.RunOptions]]:
    """Stop a computation that takes longer, between two of its nodes."""
    if seconds is None:
        yield ()
        return
    options = onnxruntime.RunOptions()
    options.log_severity_level = 4
    timer = threading.Timer(seconds, setattr, (options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        yield (options,)
    finally:
        timer.cancel()


def providers(device: str) -> Sequence[str | tuple[str, Mapping[str, int]]]:
    """Return what onnxruntime calls a device: auto, cpu, cuda or cuda:<number>.

    Raises:
        ConfigError: This onnxruntime does not have it.
    """
    cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    kind, _, number = device.partition(":")
    if device == "cpu" or (device == "auto" and not cuda):
        return [_HOST]
    if not cuda or kind not in ("auto", "cuda") or (number and not number.isdecimal()):
        raise ConfigError(
            f"inferencer.device={device} is not on this machine",
            exists="auto, cpu, cuda:0" if cuda else "auto, cpu",
            provider=f"onnxruntime {onnxruntime.__version__}",
            hint="inferencer.device=auto" if cuda else "pip install onnxruntime-gpu",
        )
    return [("CUDAExecutionProvider", {"device_id": int(number or 0)}), _HOST]


def quantised(proto: ModelProto) -> ModelProto:
    """Return a graph whose matrix products are those of 8-bit integers; changes the argument."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # Else the root logger is told to prepare the graph, of which a drawn one has no need.
    proto.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")
    quantise: Callable[..., None] = quantize_dynamic
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it says concerns other kinds of graphs
        path = Path(folder) / "int8.onnx"
        quantise(
            proto, path, op_types_to_quantize=_PRODUCTS, weight_type=QuantType.QInt8,
            per_channel=True,
        )  # fmt: skip
        return onnx.load(path)


_PREFIX = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : |^Load model from \S+ failed:|"
    r"^Exception during initialization: |^\S*onnxruntime_src\S*:\d+ .*?[)>] (?=[A-Z])"
)
"""What precedes the words of an error: its code, and the place in the source of onnxruntime."""

_OPSET = re.compile(r"Opset (\d+) is under development.* till opset (\d+)")
"""What it says of an opset that it does not have yet, in many words."""


def _first(error: Exception) -> str:
    """Return what onnxruntime says in one line, without the place in its source."""
    said = " ".join(str(error).split())
    while (cut := _PREFIX.sub("", said)) != said:
        said = cut
    if found := _OPSET.search(said):
        return f"it is of opset {found[1]}, and onnxruntime has opsets up to {found[2]}"
    return said[:300] or type(error).__name__


def _hint(said: str) -> str:
    """Return what to do about a graph that onnxruntime does not take."""
    if "pset" in said or "IR version" in said:
        return "export it with an older opset, or: pip install --upgrade onnxruntime"
    if "Could not find an implementation" in said:
        return (
            "onnxruntime has it in another opset or dtype; to convert the opset:"
            " onnx.version_converter.convert_version(onnx.load(FILE), 18)"
        )
    return "export it with standard operators of an older opset, in float32"
