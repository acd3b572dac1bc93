"""Encoded updates beside float32: added up on the task side, made on a node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from aggregation_subjects import Vectors, as_updates, copier, draw, rounds_of, size
from table import Goal, Work

from aeros_aggregators.codecs.quantised import BFloat16, Float16, Int8
from aeros_aggregators.codecs.sparse import RandomK, TopK
from aeros_aggregators.rules.fedavg import FedAvg
from aeros_core.messages import Update
from aeros_core.parameters import Parameters

CODECS = {
    "float16": Float16(),
    "bfloat16": BFloat16(),
    "int8": Int8(block=1024),
    "topk": TopK(fraction=0.01),
    "randomk": RandomK(fraction=0.1),
}


def codecs(scale: int) -> Iterator[Work]:
    """Means of encoded updates, decoded as they are added, beside float32."""
    for count in (10, 50):
        vectors = draw(count, 10_000_000 // scale)
        start, updates = as_updates(vectors)
        changes = [replace(update, delta=True) for update in updates]  # as codes always are
        calls = {"aeros float32": rounds_of(FedAvg(personal=()), start, changes)}
        for name, codec in CODECS.items():
            sent = [_encoded(codec, update) for update in updates]
            calls[f"aeros {name}"] = rounds_of(FedAvg(personal=()), start, sent)
        for name in ("float16", "int8"):
            calls[f"torch {name}, then add"] = _torch_mean_of(getattr(torch, name), vectors)
        yield Work.of(
            f"decode, mean {count} x {size(vectors)}",
            calls,
            sum(v.nbytes for v in vectors),
            [
                Goal("aeros int8", 1.8, ("aeros float32",)),
                Goal("aeros float16", 1.4, ("aeros float32",)),
            ],
        )


def encodings(scale: int) -> Iterator[Work]:
    """A change made ready to be sent, on a node."""
    vectors = draw(2, 10_000_000 // scale)
    (change, _), rng = as_updates(vectors), np.random.default_rng(0)
    tensor = torch.from_numpy(vectors[0])
    calls: dict[str, Callable[[], object]] = {"copy": copier(vectors[0], 1.0)}
    for name, codec in CODECS.items():
        calls[f"aeros {name}"] = lambda c=codec: c.encode(change, None, rng)
    calls["torch to float16"] = lambda: tensor.to(torch.float16)
    calls["torch to bfloat16"] = lambda: tensor.to(torch.bfloat16)
    calls["torch topk"] = lambda: tensor.abs().topk(tensor.numel() // 100)
    yield Work.of(f"encode {size(vectors)}", calls, vectors[0].nbytes)


def _encoded(codec: Any, update: Update) -> Update:
    parameters = update.parameters
    encoded, _ = codec.encode(parameters, None, np.random.default_rng(0))
    return Update(
        update.node, 1, Parameters(parameters.layout, encoded), update.examples, delta=True
    )


def _torch_mean_of(dtype: torch.dtype, vectors: Vectors) -> Callable[[], object]:
    codes = [(32.0 * torch.from_numpy(v)).to(dtype) for v in vectors]

    def mean() -> torch.Tensor:
        total = torch.zeros(codes[0].numel())
        for code in codes:
            total.add_(code.to(torch.float32), alpha=0.1)
        return total

    return mean
