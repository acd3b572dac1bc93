"""Where the kernels of `convnet` find the numbers of each convolution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aeros_core.arrays import Array
from aeros_torch.engines.compiled.architecture import Convolutions
from aeros_torch.kernels.gemm_panels import LANES, ROWS

__all__ = ["COLUMNS", "ROOMS", "Plan", "plan"]

COLUMNS = (
    "inputs", "outputs", "step", "wide", "height", "width", "before", "high", "broad",
    "flat", "image", "square", "down", "packed", "turned", "gradient", "bias", "forth", "back",
    "within",
)  # fmt: skip
"""Of a convolution: channels in and out; both as they are kept, rounded up to whole vectors but
for those of the data; height and width of its image; pixels of border before it; height and
width of what it makes; and where begin its parameters in the flat vector, its image in the
room of an example, its squares there, its gradient within its border, its packed and turned
weights, their gradient, its bias, and the tables of
pixels forth and back and of those within the border of the gradient."""

ROOMS = ("image", "square", "down", "packed", "turned", "gradient", "bias", "made")
"""Lengths of the rooms for these; the last for what one convolution makes of one image."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What kernels are told.

    Args:
        layers: int64 (convolutions, columns).
        rooms: int64, lengths of the rooms.
        tables: int64, tables of pixels one behind the other.
        work: Multiplications that a training step takes for an example.
        flat: Parameters of all convolutions.
    """

    layers: Array
    rooms: Array
    tables: Array
    work: float
    flat: int


def plan(found: Convolutions) -> Plan:
    """Lay convolutions out."""
    rooms, tables = dict.fromkeys(ROOMS, 0), [np.empty(0, np.int64)]
    depth, height, width = found.image
    rows, work, flat, step, side = [], 0.0, 0, depth, found.side
    for outputs in found.channels:
        row = _shape(found, depth, outputs, step, height, width)
        row |= {name: rooms[name] for name in ROOMS if name != "made"} | {"flat": flat}
        tall, long = row["high"] + side - 1, row["broad"] + side - 1
        forth = _pixels(row["high"], row["broad"], long * step, step)
        back = _pixels(height, width, (width + side - 1) * row["wide"], row["wide"])
        row["forth"] = sum(map(len, tables))
        row["back"] = row["forth"] + len(forth)
        within = _pixels(row["high"], row["broad"], (width + side - 1) * row["wide"], row["wide"])
        row["within"] = row["back"] + len(back)
        tables += [forth, back, within]
        squares = -(-row["high"] // 2) * -(-row["broad"] // 2)
        rooms["image"] += tall * long * step
        rooms["square"] += squares * row["wide"]
        rooms["down"] += (height + side - 1) * (width + side - 1) * row["wide"]
        rooms["packed"] += side * side * step * row["wide"]
        rooms["turned"] += side * side * _up(step, LANES) * row["wide"]
        rooms["gradient"] += side * _up(side * step, ROWS) * row["wide"]
        rooms["bias"] += row["wide"]
        rooms["made"] = max(rooms["made"], len(forth) * row["wide"], len(back) * step)
        flat += outputs * (depth * side * side + 1)
        work += 3.0 * row["high"] * row["broad"] * side * side * depth * outputs
        rows.append(row)
        depth, step = outputs, row["wide"]
        height, width = -(-row["high"] // 2), -(-row["broad"] // 2)
    rooms["image"] += ROWS  # the last tile of a run reads this far beyond
    layers = np.array([[row[name] for name in COLUMNS] for row in rows], np.int64)
    lengths = np.array([rooms[name] for name in ROOMS], np.int64)
    return Plan(layers, lengths, np.concatenate(tables), work, flat)


def _shape(
    found: Convolutions, inputs: int, outputs: int, step: int, height: int, width: int
) -> dict[str, int]:
    """Return the columns of a convolution that do not depend on the others."""
    less = found.side - 1
    return {
        "inputs": inputs,
        "outputs": outputs,
        "step": step,
        "wide": _up(outputs, LANES),
        "height": height,
        "width": width,
        "before": less // 2 if found.same else 0,
        "high": height if found.same else height - less,
        "broad": width if found.same else width - less,
    }


def _pixels(height: int, width: int, line: int, step: int) -> Array:
    """Return where the pixels under the first corner of a kernel lie, in bytes.

    Args:
        height: Of what a convolution makes.
        width: Of what it makes.
        line: Numbers in a line of the image with its border.
        step: Numbers in a pixel of it.
    """
    places = np.minimum(np.arange(_up(height * width, ROWS)), height * width - 1)
    y, x = np.divmod(places, width)
    bytes_: Array = 4 * (y * line + x * step)
    return bytes_


def _up(count: int, to: int) -> int:
    return -(-count // to) * to
