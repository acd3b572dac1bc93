"""An ``nn.Module`` whose tensors all lie in the flat vectors of `Parameters`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
import torch.utils.dlpack
from torch import Tensor, nn

from aeros_core.arrays import Vector
from aeros_core.errors import ConfigError
from aeros_core.parameters import Layout, Parameters

__all__ = ["FlatModule"]


class FlatModule:
    """A module over flat vectors: loading and reading its parameters is one copy.

    The layout holds the trainable parameters first, then frozen ones, then persistent
    buffers such as BatchNorm's statistics. Trainable parameters are float32, so they
    are the head of one vector.

    Args:
        module: The module; its tensors become views into the vectors.
        device: Where the vectors lie.
        held: Parameters to take up in place of the module's own. On the CPU they are not
            copied where they may be written to, so nobody else may change them.

    Raises:
        ConfigError: It has nothing to train, a tensor of a dtype numpy lacks, or ``held``
            are of another model.
    """

    def __init__(self, module: nn.Module, device: torch.device, held: Parameters | None = None):
        self.module = module.to(device)
        self.device = device
        tensors = dict(_tensors(self.module))
        self.layout = Layout.of({n: (tuple(t.shape), _dtype(n, t)) for n, t in tensors.items()})
        if held is not None:
            self.check(held)
        self._vectors = {
            dtype: _vector(dtype, size, device, None if held is None else held.vectors[dtype])
            for dtype, size in self.layout.sizes.items()
        }
        self._views = {
            spec.name: self._vectors[spec.dtype].narrow(0, spec.offset, spec.size).view(spec.shape)
            for spec in self.layout.tensors
        }
        self._adopt(tensors, copies=held is None)
        self.parameters = _trainable(self.module)
        size = sum(parameter.numel() for parameter in self.parameters)
        self.flat = self._vectors["float32"]
        self.weights = self.flat[:size]
        self.needs_pairs = any(_is_batch_norm(part) for part in module.modules())

    weights: Tensor
    """The trainable parameters, flat: (size,) float32."""

    flat: Tensor
    """All float32 tensors, the trainable ones first."""

    parameters: list[nn.Parameter]
    """The trainable parameters, as views into `weights`, in its order."""

    needs_pairs: bool
    """Whether a batch of one example cannot be trained on."""

    def _adopt(self, tensors: dict[str, Tensor], *, copies: bool) -> None:
        """Move each tensor's values into its view, if asked to, and the view into the module."""
        self._buffers: list[tuple[nn.Module, str, Tensor]] = []
        for name, tensor in tensors.items():
            view = self._views[name]
            if copies:
                view.copy_(tensor.detach())
            if isinstance(tensor, nn.Parameter):
                tensor.data = view
            else:
                path, _, attribute = name.rpartition(".")
                owner = self.module.get_submodule(path)
                setattr(owner, attribute, view)
                self._buffers.append((owner, attribute, view))

    def load(self, parameters: Parameters) -> None:
        """Take up parameters, from the host or any device that speaks DLPack.

        Raises:
            ConfigError: They are of another model.
        """
        self.check(parameters)
        for dtype, vector in self._vectors.items():
            _assign(vector, parameters.vectors[dtype])

    def taken(self, name: str, vectors: Mapping[str, Vector]) -> Tensor | None:
        """Return a vector that came with an instruction, on this network's device.

        Args:
            name: Its name; None is returned if there is none of it.
            vectors: Float32 vectors, from the host or any device that speaks DLPack.

        Raises:
            ConfigError: It is not as long as the trainable parameters.
        """
        if (source := vectors.get(name)) is None:
            return None
        if tuple(source.shape) != tuple(self.weights.shape):
            raise ConfigError(
                f"the vector '{name}' has shape {tuple(source.shape)}",
                exists=f"{len(self.weights)} trainable parameters",
                hint="choose a collector that goes with this trainer/model",
            )
        target = torch.empty_like(self.weights)
        _assign(target, source)
        return target

    def check(self, parameters: Parameters) -> None:
        """Refuse parameters that are not this module's.

        Raises:
            ConfigError: They are of another model.
        """
        if parameters.layout.digest != self.layout.digest:
            raise ConfigError(
                "the parameters are of another model: "
                + _difference(parameters.layout, self.layout),
                hint="choose the trainer/model that they were trained with",
            )

    def read(self) -> Parameters:
        """Return the parameters as they are now, on the host, with vectors of their own."""
        self._collect_buffers()
        vectors = {d: np.array(v.cpu().numpy()) for d, v in self._vectors.items()}
        return Parameters(self.layout, vectors)

    def _collect_buffers(self) -> None:
        """Bring back buffers that a module has replaced instead of changed in place."""
        for owner, attribute, view in self._buffers:
            current = getattr(owner, attribute)
            if current is not view:
                view.copy_(current)
                setattr(owner, attribute, view)


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield trainable parameters, frozen ones and persistent buffers, by name."""
    parameters = dict(module.named_parameters())
    trainable = {name: p for name, p in parameters.items() if p.requires_grad}
    for name, parameter in trainable.items():
        if parameter.dtype != torch.float32:
            raise ConfigError(
                f"parameter '{name}' is {parameter.dtype}", exists="trainable ones are float32"
            )
    if not trainable:
        raise ConfigError(
            "the model has no parameter to train", hint="choose another trainer/model"
        )
    yield from trainable.items()
    yield from ((name, p) for name, p in parameters.items() if name not in trainable)
    persistent = module.state_dict().keys()
    yield from ((name, b) for name, b in module.named_buffers() if name in persistent)


def _dtype(name: str, tensor: Tensor) -> str:
    kind = str(tensor.dtype).removeprefix("torch.")
    try:
        dtype = np.dtype(kind)
    except TypeError:
        dtype = None
    if dtype is None or dtype.isbuiltin != 1:  # another package may have added one of its own
        raise ConfigError(f"tensor '{name}' is {kind}, which numpy does not have")
    return dtype.name


def _trainable(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _is_batch_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm)


def _difference(there: Layout, here: Layout) -> str:
    """Say in words where two layouts first differ."""
    theirs = {t.name: t for t in there.tensors}
    for tensor in here.tensors:
        other = theirs.get(tensor.name)
        if other is None:
            return f"'{tensor.name}' is missing"
        if (other.shape, other.dtype) != (tensor.shape, tensor.dtype):
            return (
                f"'{tensor.name}' is {other.dtype} {other.shape}, not {tensor.dtype} {tensor.shape}"
            )
    extra = [name for name in theirs if name not in {t.name for t in here.tensors}]
    return f"'{extra[0]}' is not in this one" if extra else "its tensors are in another order"


def _vector(dtype: str, size: int, device: torch.device, held: Vector | None) -> Tensor:
    """Return a vector that holds these values, or any."""
    if device.type == "cpu" and isinstance(held, np.ndarray) and held.flags.writeable:
        return torch.from_numpy(held)
    vector = torch.empty(size, dtype=getattr(torch, dtype), device=device)
    if held is not None:
        _assign(vector, held)
    return vector


def _assign(target: Tensor, source: Vector) -> None:
    if not isinstance(source, np.ndarray):
        target.copy_(torch.utils.dlpack.from_dlpack(source))
    elif target.device.type == "cpu":
        np.copyto(target.numpy(), source)
    else:
        target.copy_(torch.tensor(source))
