"""Tests of what users are told of kernels."""

import logging

import numba
import pytest

from aeros_torch.engines.compiled import kernel_set


def test_the_first_compilation_is_announced_once(caplog: pytest.LogCaptureFixture) -> None:
    kernel_set.watch.cache_clear()
    kernel_set.watch()
    with caplog.at_level(logging.WARNING, "aeros_torch.engines.compiled.kernel_set"):
        numba.njit(lambda x: x + 1)(1)
        numba.njit(lambda x: x + 2)(1)
    told = [record.message for record in caplog.records if "compiling kernels" in record.message]
    assert len(told) == 1
    assert "trainer.engine=sequential" in told[0]


def test_what_is_compiled_already_is_not_announced(caplog: pytest.LogCaptureFixture) -> None:
    add = numba.njit(lambda x: x + 3)
    add(1)
    kernel_set.watch.cache_clear()
    kernel_set.watch()
    with caplog.at_level(logging.WARNING, "aeros_torch.engines.compiled.kernel_set"):
        add(1)
    assert not caplog.records
