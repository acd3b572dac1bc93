"""Steps of one shape, captured once and then replayed as a CUDA graph."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

__all__ = ["CudaGraphs"]

_log = logging.getLogger(__name__)

_USUAL = 3
"""Steps of a shape that are taken as usual before it is captured: libraries set up in them."""

_Shapes = tuple[torch.Size, ...]


class CudaGraphs:
    """Takes steps, by replaying a graph where the shape of their inputs is known.

    What a step reads and writes beside its inputs must stay where it is. Where a capture
    fails, steps are taken as usual from then on.

    Args:
        step: Takes a step, given tensors.
        device: A CUDA device.
    """

    def __init__(self, step: Callable[..., None], device: torch.device):
        self._step = step
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._taken: Counter[_Shapes] = Counter()
        self._captured: dict[_Shapes, tuple[torch.cuda.CUDAGraph, list[Tensor]]] = {}
        self._works = True

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Do what is within on the stream that graphs are captured on, as they need it."""
        outside = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(outside)
        with torch.cuda.stream(self._stream):
            yield
        outside.wait_stream(self._stream)

    def __call__(self, *inputs: Tensor) -> None:
        """Take a step, within `stream`."""
        shapes = tuple(tensor.shape for tensor in inputs)
        self._taken[shapes] += 1
        if shapes not in self._captured and self._works and self._taken[shapes] > _USUAL:
            self._capture(shapes, inputs)
        if shapes not in self._captured:
            self._step(*inputs)
            return
        graph, places = self._captured[shapes]
        for place, tensor in zip(places, inputs, strict=True):
            place.copy_(tensor)
        graph.replay()

    def _capture(self, shapes: _Shapes, inputs: tuple[Tensor, ...]) -> None:
        graph, places = torch.cuda.CUDAGraph(), [tensor.clone() for tensor in inputs]
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                self._step(*places)
        except RuntimeError as error:
            self._works = False
            _log.info("steps are not captured as a CUDA graph: %s", error)
            return
        self._captured[shapes] = graph, places
