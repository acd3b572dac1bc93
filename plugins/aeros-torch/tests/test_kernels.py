"""Tests of what users are told of kernels."""

import logging

import numba
import pytest

from aeros_torch import kernels


def test_the_first_compilation_is_announced_once(caplog: pytest.LogCaptureFixture) -> None:
    kernels.watch.cache_clear()
    kernels.watch()
    with caplog.at_level(logging.WARNING, "aeros_torch.kernels"):
        numba.njit(lambda x: x + 1)(1)
        numba.njit(lambda x: x + 2)(1)
    told = [record.message for record in caplog.records if "compiling kernels" in record.message]
    assert len(told) == 1
    assert "trainer.engine=sequential" in told[0]


def test_what_is_compiled_already_is_not_announced(caplog: pytest.LogCaptureFixture) -> None:
    add = numba.njit(lambda x: x + 3)
    add(1)
    kernels.watch.cache_clear()
    kernels.watch()
    with caplog.at_level(logging.WARNING, "aeros_torch.kernels"):
        add(1)
    assert not caplog.records
