"""A graph that runs: sessions of onnxruntime."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import onnx
import onnxruntime
from onnx import ModelProto

from aeros_core.data import Batch
from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.parameters import Array

__all__ = ["Running", "providers", "quantised"]

_PRODUCTS = ["MatMul", "Gemm", "Attention", "LSTM", "Gather"]
"""Operators that gain by 8 bits; convolutions of onnxruntime lose speed by them."""


class Running:
    """A graph on a device.

    Args:
        graph: The graph, or its bytes.
        threads: Threads within one operator.
        device: Name of the device, as `providers` takes it.
        fold: Whether to optimise the graph; not before it is trusted.

    Raises:
        ConfigError: There is no such device.
        RepositoryError: onnxruntime cannot run the graph.
    """

    def __init__(
        self, graph: ModelProto | bytes, *, threads: int = 1, device: str = "cpu", fold: bool = True
    ):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4
        options.use_deterministic_compute = True
        if not fold:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            self._session = onnxruntime.InferenceSession(
                graph if isinstance(graph, bytes) else graph.SerializeToString(),
                options,
                providers=providers(device),
            )
        except ConfigError:
            raise
        except Exception as error:  # onnxruntime has a family of its own
            raise RepositoryError(
                f"onnxruntime cannot run the graph: {_first(error)}",
                hint=f"onnxruntime {onnxruntime.__version__}; export it with an older opset",
            ) from error
        self.inputs = {value.name: value for value in self._session.get_inputs()}
        self.outputs = [value.name for value in self._session.get_outputs()]

    def __call__(self, batch: Batch) -> dict[str, Array]:
        """Return every output for these inputs, by name.

        Raises:
            ConfigError: The graph cannot take them.
            MemoryError: The device has no room for what is computed.
        """
        try:
            answers = self._session.run(self.outputs, dict(batch))
        except Exception as error:
            if any(word in str(error).lower() for word in ("allocate memory", "out of memory")):
                raise MemoryError(_first(error)) from error
            raise ConfigError(
                f"the graph cannot take this batch: {_first(error)}",
                exists=", ".join(f"{v.name}: {v.type} {v.shape}" for v in self.inputs.values()),
            ) from error
        return dict(zip(self.outputs, answers, strict=True))


def providers(device: str) -> Sequence[str | tuple[str, Mapping[str, int]]]:
    """Return what onnxruntime calls a device: auto, cpu, cuda or cuda:<number>.

    Raises:
        ConfigError: This onnxruntime does not have it.
    """
    cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    kind, _, number = device.partition(":")
    if device == "cpu" or (device == "auto" and not cuda):
        return ["CPUExecutionProvider"]
    if not cuda or kind not in ("auto", "cuda") or (number and not number.isdecimal()):
        raise ConfigError(
            f"inferencer.device={device} is not on this machine",
            exists="auto, cpu, cuda:0" if cuda else "auto, cpu",
            provider=f"onnxruntime {onnxruntime.__version__}",
            hint="inferencer.device=auto" if cuda else "pip install onnxruntime-gpu",
        )
    return [("CUDAExecutionProvider", {"device_id": int(number or 0)}), "CPUExecutionProvider"]


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


def _first(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
