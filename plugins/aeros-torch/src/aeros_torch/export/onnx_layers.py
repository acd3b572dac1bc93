"""ONNX nodes of layers, one function a kind; each node has its layer's name.

Written here and not through ``torch.onnx``: that takes seconds a model, this milliseconds,
and initialisers keep the names of their parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

__all__ = ["LAYERS", "Nodes", "lstm", "sequence"]


class Nodes:
    """A graph in the making: nodes one behind the other, and their initialisers.

    Attributes:
        values: What each layer of a sequence gives, also one that does nothing, by its path.
    """

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.values: dict[str, str] = {}
        self.initialisers: dict[str, TensorProto] = {}

    def add(self, op: str, layer: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node of one output; return the output's name."""
        output = f"{layer}.{op.lower()}" if any(n.name == layer for n in self.nodes) else layer
        name = layer if output == layer else f"{layer}/{op}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=name, **attributes))
        return output

    def tensor(self, name: str, value: Tensor | Sequence[int] | np.ndarray[Any, Any]) -> str:
        """Keep a tensor under a name, once; return the name."""
        if name not in self.initialisers:
            array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.array(value)
            self.initialisers[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name


def sequence(nodes: Nodes, module: nn.Sequential, path: str, value: str) -> str | None:
    """Add layers one behind the other; None if one of them is of no kind in `LAYERS`."""
    for name, layer in module.named_children():
        inner = f"{path}.{name}" if path else name
        if not isinstance(layer, nn.Dropout | nn.Identity):
            draw = LAYERS.get(type(layer))
            if draw is None:
                return None
            value = draw(nodes, layer, inner, value)
        nodes.values[inner] = value
    nodes.values[path] = value
    return value


def linear(nodes: Nodes, layer: nn.Linear, path: str, value: str) -> str:
    """Add a dense layer."""
    inputs = [value, nodes.tensor(f"{path}.weight", layer.weight)]
    inputs += [nodes.tensor(f"{path}.bias", layer.bias)] if layer.bias is not None else []
    return nodes.add("Gemm", path, inputs, transB=1)


def convolution(nodes: Nodes, layer: nn.Conv2d, path: str, value: str) -> str:
    """Add a convolution; padding ``same`` puts an odd pixel at the end, as torch does."""
    inputs = [value, nodes.tensor(f"{path}.weight", layer.weight)]
    inputs += [nodes.tensor(f"{path}.bias", layer.bias)] if layer.bias is not None else []
    return nodes.add(
        "Conv",
        path,
        inputs,
        kernel_shape=layer.kernel_size,
        strides=layer.stride,
        dilations=layer.dilation,
        group=layer.groups,
        pads=_pads(layer),
    )


def _pads(layer: nn.Conv2d) -> list[int]:
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    if layer.padding == "same":
        total = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        return [*(t // 2 for t in total), *(t - t // 2 for t in total)]
    return [int(n) for n in layer.padding] * 2


def pooling(nodes: Nodes, layer: nn.MaxPool2d, path: str, value: str) -> str:
    """Add the greatest of each window."""
    return nodes.add(
        "MaxPool",
        path,
        [value],
        kernel_shape=_pair(layer.kernel_size),
        strides=_pair(layer.stride),
        pads=_pair(layer.padding) * 2,
        dilations=_pair(layer.dilation),
        ceil_mode=int(layer.ceil_mode),
    )


def _pair(value: int | tuple[int, ...]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def gelu(nodes: Nodes, layer: nn.GELU, path: str, value: str) -> str:
    """Add a GELU, exact or by tanh."""
    return nodes.add("Gelu", path, [value], approximate=layer.approximate)


def silu(nodes: Nodes, _layer: nn.SiLU, path: str, value: str) -> str:
    """Add ``x * sigmoid(x)``."""
    gate = f"{path}.gate"
    nodes.nodes.append(helper.make_node("Sigmoid", [value], [gate], name=f"{path}/Sigmoid"))
    return nodes.add("Mul", path, [value, gate])


def flatten(nodes: Nodes, layer: nn.Flatten, path: str, value: str) -> str:
    """Add the example as one vector."""
    if (layer.start_dim, layer.end_dim) != (1, -1):
        raise NotImplementedError(path)
    return nodes.add("Flatten", path, [value])


def lstm(nodes: Nodes, layer: nn.LSTM, path: str, value: str) -> str:
    """Add an LSTM that reads (examples, steps, features); return all states, likewise.

    ONNX orders the gates i, o, f, c and torch i, f, c, o.
    """
    value = _op(nodes, "Transpose", f"{path}.in", [value], perm=[1, 0, 2])
    axis = nodes.tensor(f"{path}.direction", np.array([1], np.int64))
    for number in range(layer.num_layers):
        names = {"W": "weight_ih", "R": "weight_hh"}
        weights = [
            nodes.tensor(f"{path}.{to}{number}", _gates(layer, f"{name}_l{number}"))
            for to, name in names.items()
        ]
        if layer.bias:
            halves = [_gates(layer, f"bias_{kind}_l{number}") for kind in ("ih", "hh")]
            weights.append(nodes.tensor(f"{path}.B{number}", np.concatenate(halves, axis=1)))
        states = _op(
            nodes, "LSTM", f"{path}.layer{number}", [value, *weights],
            hidden_size=layer.hidden_size,
        )  # fmt: skip
        value = _op(nodes, "Squeeze", f"{path}.states{number}", [states, axis])
    return nodes.add("Transpose", path, [value], perm=[1, 0, 2])


def _op(nodes: Nodes, op: str, output: str, inputs: Sequence[str], **attributes: Any) -> str:
    """Add a node within a layer."""
    name = f"{output.rpartition('.')[0]}/{output.rpartition('.')[2]}"
    nodes.nodes.append(helper.make_node(op, list(inputs), [output], name=name, **attributes))
    return output


def _gates(layer: nn.LSTM, name: str) -> np.ndarray[Any, Any]:
    i, f, c, o = np.split(getattr(layer, name).detach().cpu().numpy(), 4)
    return np.concatenate([i, o, f, c])[None]


def _plain(op: str, **names: str) -> Callable[[Nodes, Any, str, str], str]:
    def draw(nodes: Nodes, layer: nn.Module, path: str, value: str) -> str:
        attributes = {key: float(getattr(layer, name)) for key, name in names.items()}
        return nodes.add(op, path, [value], **attributes)

    return draw


LAYERS: Mapping[type[nn.Module], Callable[[Nodes, Any, str, str], str]] = {
    nn.Linear: linear,
    nn.Conv2d: convolution,
    nn.MaxPool2d: pooling,
    nn.Flatten: flatten,
    nn.ReLU: _plain("Relu"),
    nn.Tanh: _plain("Tanh"),
    nn.Sigmoid: _plain("Sigmoid"),
    nn.ELU: _plain("Elu", alpha="alpha"),
    nn.LeakyReLU: _plain("LeakyRelu", alpha="negative_slope"),
    nn.GELU: gelu,
    nn.SiLU: silu,
}
"""What adds the nodes of each kind of layer."""
