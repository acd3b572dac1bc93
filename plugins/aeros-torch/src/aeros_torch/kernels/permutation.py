"""The permutations of numpy's ``default_rng(seed)``, for many seeds without the GIL.

Making a generator in Python takes longer than a small client's training. What numpy does
is told here again: `SeedSequence` (O'Neill 2015, https://www.pcg-random.org/posts/
developing-a-seed_seq-alternative.html), PCG64 XSL-RR (O'Neill 2014) and the shuffle of
Fisher and Yates. numpy may change its stream in a later version: `agrees` tells whether
this is still the same one.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from aeros_torch.kernels.jit import inner, kernel

__all__ = ["agrees", "shuffle"]

_Numbers = NDArray[np.int64]
_Words = NDArray[np.uint64]

_U16, _U32, _LOW = np.uint64(16), np.uint64(32), np.uint64(0xFFFFFFFF)
_ONE, _HALF_WORD, _WORD = np.uint64(1), np.uint64(32), np.uint64(64)
_HIGH_FACTOR, _LOW_FACTOR = np.uint64(0x2360ED051FC65DA4), np.uint64(0x4385DF649FCCF645)


@functools.cache
def agrees() -> bool:
    """Tell whether `shuffle` gives what this numpy gives."""
    for seed, count in ((3, 5), (2**62 + 12345, 1000)):
        rng = np.random.default_rng(seed)
        expected = np.concatenate([rng.permutation(count) for _ in range(3)])
        found = np.empty(3 * count, np.int64)
        shuffle(found, np.arange(count), np.array([count]), np.array([seed], np.uint64), 3)
        if not np.array_equal(found, expected):
            return False
    return True


@kernel
def shuffle(out: _Numbers, rows: _Numbers, counts: _Numbers, seeds: _Words, epochs: int) -> None:
    """Write each client's rows in the order of training.

    Args:
        out: Filled: all epochs of a client one behind the other, and the clients one
            behind the other.
        rows: Rows of the clients, one client behind the other.
        counts: Rows of each client.
        seeds: Seed of each client; each epoch is the next permutation of its generator.
        epochs: Passes over a client's rows.
    """
    state = np.empty(6, np.uint64)
    begin, first = 0, 0
    for client in range(len(counts)):
        count = counts[client]
        order = np.arange(count)
        _start(state, seeds[client])
        for _ in range(epochs):
            for k in range(count):
                order[k] = k
            for last in range(count - 1, 0, -1):
                other = np.int64(_below(state, np.uint64(last)))
                order[last], order[other] = order[other], order[last]
            for k in range(count):
                out[begin + k] = rows[first + order[k]]
            begin += count
        first += count


@inner
def _start(state: _Words, seed: np.uint64) -> None:
    """Set a generator up: state high and low, increment high and low, half a word kept."""
    pool, words = np.zeros(4, np.uint64), np.zeros(8, np.uint64)
    pool[0], pool[1] = seed & _LOW, seed >> _HALF_WORD
    factor = np.uint64(0x43B0D7E5)
    for k in range(4):
        pool[k], factor = _hashed(pool[k], factor, np.uint64(0x931E8875))
    for source in range(4):
        for to in range(4):
            if source != to:
                value, factor = _hashed(pool[source], factor, np.uint64(0x931E8875))
                mixed = np.uint64(0xCA01F9DD) * pool[to] - np.uint64(0x4973F715) * value
                mixed &= _LOW
                pool[to] = mixed ^ (mixed >> _U16)
    factor = np.uint64(0x8B51F9DD)
    for k in range(8):
        words[k], factor = _hashed(pool[k % 4], factor, np.uint64(0x58F38DED))
    first, second, third, fourth = (
        words[0] | (words[1] << _U32),
        words[2] | (words[3] << _U32),
        words[4] | (words[5] << _U32),
        words[6] | (words[7] << _U32),
    )
    state[0], state[1] = np.uint64(0), np.uint64(0)
    state[2] = (third << _ONE) | (fourth >> np.uint64(63))
    state[3] = (fourth << _ONE) | _ONE
    state[4], state[5] = np.uint64(0), np.uint64(0)
    _advance(state)
    low = state[1] + second
    state[0] += first + np.uint64(low < second)
    state[1] = low
    _advance(state)


@inner
def _hashed(value: np.uint64, factor: np.uint64, by: np.uint64) -> tuple[np.uint64, np.uint64]:
    value ^= factor
    factor = (factor * by) & _LOW
    value = (value * factor) & _LOW
    return value ^ (value >> _U16), factor


@inner
def _advance(state: _Words) -> None:
    """Multiply the 128 bits of the state by a constant, and add the increment."""
    high, low = state[0], state[1]
    product = low * _LOW_FACTOR
    top = _product_high(low, _LOW_FACTOR) + high * _LOW_FACTOR + low * _HIGH_FACTOR
    state[1] = product + state[3]
    state[0] = top + state[2] + np.uint64(state[1] < product)


@inner
def _product_high(a: np.uint64, b: np.uint64) -> np.uint64:
    """Return the upper 64 bits of a product."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _U32, b & _LOW, b >> _U32
    first = a_low * b_low
    second = a_high * b_low + (first >> _U32)
    third = a_low * b_high + (second & _LOW)
    return a_high * b_high + (second >> _U32) + (third >> _U32)


@inner
def _half_word(state: _Words) -> np.uint64:
    """Return the next 32 random bits; each 64 serve twice, the lower half first."""
    if state[4]:
        state[4] = np.uint64(0)
        return np.uint64(state[5])
    _advance(state)
    value, turn = state[0] ^ state[1], state[0] >> np.uint64(58)
    value = (value >> turn) | (value << ((_WORD - turn) & np.uint64(63)))
    state[4], state[5] = _ONE, value >> _U32
    return np.uint64(value & _LOW)


@inner
def _below(state: _Words, last: np.uint64) -> np.uint64:
    """Return a random number from 0 to ``last``: draw its bits until they are no more."""
    mask = last
    for shift in (1, 2, 4, 8, 16):
        mask |= mask >> np.uint64(shift)
    while True:
        value = _half_word(state) & mask
        if value <= last:
            return np.uint64(value)
