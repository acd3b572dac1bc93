"""The options of the group ``collector/codec``: one dataclass each."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BFloat16", "Float16", "Int8", "RandomK", "TopK"]


@dataclass
class Float16:
    """Half precision: 11 bits of every number, changes within 65,504."""

    _target_: str = "aeros_aggregators.codecs.quantised.Float16"


@dataclass
class BFloat16:
    """The upper half of float32: 8 bits of every number, the range of float32."""

    _target_: str = "aeros_aggregators.codecs.quantised.BFloat16"


@dataclass
class Int8:
    """Whole numbers from -127 to 127, of steps that each block has its own of.

    Args:
        block: Elements that share a step: a power of two from 64 to 65,536. The greatest
            change of a block decides its step; four bytes a block are sent beside.
    """

    _target_: str = "aeros_aggregators.codecs.quantised.Int8"
    block: int = 1024


@dataclass
class TopK:
    """The greatest changes alone; what is left waits on the node for the next time.

    Args:
        fraction: Part of the elements that is sent, above 0, up to 1.
    """

    _target_: str = "aeros_aggregators.codecs.sparse.TopK"
    fraction: float = 0.01


@dataclass
class RandomK:
    """Changes drawn at random, multiplied so that their mean over draws is the change.

    Args:
        fraction: Part of the elements that is sent, above 0, up to 1.
    """

    _target_: str = "aeros_aggregators.codecs.sparse.RandomK"
    fraction: float = 0.1
