"""What `simulation.py` has every subject do, and the data it is done on."""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aeros_core.data import Partition
from aeros_transforms.sources.text import Text


@dataclass
class Work:
    """What every subject does.

    Args:
        name: Name in the table.
        clients: Clients there are.
        examples: Examples of each.
        cohort: Clients in a round.
        hidden: Width of each hidden layer.
        rounds: Rounds in all.
        inputs: Shape of an example.
        codes: Characters that there are in a text; 0 for digits. Its clients are the
            speakers who say enough, whatever ``clients`` says.
        flwr: Rounds of flwr's simulation, which is slow; 0: too slow.
    """

    name: str
    clients: int
    examples: int
    cohort: int
    hidden: list[int]
    rounds: int
    inputs: tuple[int, ...] = (784,)
    codes: int = 0
    flwr: int = 0
    lr: float = 0.03
    batch: int = 10
    x: Any = field(init=False)
    y: Any = field(init=False)
    test_x: Any = field(init=False)
    test_y: Any = field(init=False)
    partition: Partition = field(init=False)

    def __post_init__(self) -> None:
        if self.codes:
            self._read()
            return
        count = self.clients * self.examples
        self.x, self.y = digits("train", count, self.inputs)
        self.test_x, self.test_y = digits("t10k", 2000, self.inputs)
        rows = np.random.default_rng(0).permutation(count)
        self.partition = Partition(rows, np.arange(self.clients + 1) * self.examples)

    def _read(self) -> None:
        self.x, self.y = characters("train", self.examples, self.inputs[0], self.codes)
        self.test_x, self.test_y = characters("test", 20, self.inputs[0], self.codes)
        self.clients = len(self.y) // self.examples
        offsets = np.arange(self.clients + 1) * self.examples
        self.partition = Partition(np.arange(len(self.y)), offsets)

    def save(self, path: Path) -> None:
        """Write everything for a subject in another process."""
        names = ("x", "y", "test_x", "test_y", "inputs", "codes", "rounds", "cohort", "lr", "batch")
        arrays = {name: np.array(getattr(self, name)) for name in names}
        rows, offsets = self.partition.rows, self.partition.offsets
        hidden = np.array(self.hidden, np.int64)
        np.savez(path, rows=rows, offsets=offsets, hidden=hidden, **arrays)


def digits(split: str, count: int, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Return ``count`` examples, real ones where there are some."""
    folder = Path(os.environ.get("AEROS_DATA", "")) / "mnist"
    if os.environ.get("AEROS_DATA") and folder.is_dir():
        pixels = gzip.decompress((folder / f"{split}-images-idx3-ubyte.gz").read_bytes())
        labels = gzip.decompress((folder / f"{split}-labels-idx1-ubyte.gz").read_bytes())
        x = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, *shape)[:count]
        y = np.frombuffer(labels, np.uint8, offset=8)[:count]
        return (x / np.float32(255)).astype(np.float32), y.astype(np.int64)
    rng = np.random.default_rng(1)
    strokes = rng.random((10, 784), np.float32) > np.float32(0.8)
    rng = np.random.default_rng(len(split))
    y = rng.integers(0, 10, count)
    x = strokes[y] * rng.random((count, 784), np.float32)
    return x.reshape(-1, *shape).astype(np.float32), y


def characters(split: str, count: int, window: int, codes: int) -> tuple[Any, Any]:
    """Return windows of text and the character after each, ``count`` of each speaker."""
    path = Path(os.environ.get("AEROS_DATA", "")) / "tinyshakespeare" / "input.txt.gz"
    if os.environ.get("AEROS_DATA") and path.is_file():
        cut: dict[str, Any] = {
            "window": window,
            "stride": 10,
            "min_characters": 2000,
            "test_fraction": 0.2,
        }
        cut |= {"alphabet": "", "unknown": "refuse"}
        data = Text(path=str(path), **cut).load("train" if split == "train" else "test")
        if data is not None:
            sizes = np.bincount(data.columns["speaker"])
            first = np.cumsum(sizes)[sizes >= count] - sizes[sizes >= count]
            rows = (first[:, None] + np.arange(count)).ravel()
            return data.columns["text"][rows], data.columns["next"][rows]
    rng = np.random.default_rng(len(split))
    x = rng.integers(0, codes, (80 * count, window))
    return x, (x[:, -1] * 7 + 3) % codes


def works(quick: bool, only: str) -> list[Work]:
    """Return the works whose name holds ``only``."""
    some = 2 if quick else 1
    offered = {
        "LR-MNIST 10 of 1,000": (1000, 8, 10, [], 100 // some, (784,), 0, 10),
        "LR-MNIST 100 of 1,000": (1000, 8, 100, [], 40 // some, (784,), 0, 3),
        "LR-MNIST 1,000 of 1,000": (1000, 8, 1000, [], 14 // some),
        "MLP 10 of 100": (100, 600, 10, [200], 12 // some, (784,), 0, 6),
        "2NN 10 of 100": (100, 600, 10, [200, 200], 12 // some, (784,), 0, 6),
        "CNN 10 of 100": (100, 600, 10, [128], 10 // some, (28, 28), 0, 4),
        "LSTM, 10 speakers": (0, 300, 10, [128], 8 // some, (80,), 65, 4, 1.0),
    }
    return [Work(name, *rest) for name, rest in offered.items() if only.lower() in name.lower()]
