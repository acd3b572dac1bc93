"""Where and how tensors are computed: the device, its threads, its random numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from aeros_core.errors import ConfigError

__all__ = ["cores", "device_of", "reproducible"]


def device_of(option: str, name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` is CUDA where there is one.

    Raises:
        ConfigError: There is no such device here.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda", torch.cuda.current_device()) if count else torch.device("cpu")
    here = ["cpu", *(f"cuda:{number}" for number in range(count))]
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in here:
        raise ConfigError(
            f"{option}={name} is not on this machine",
            exists=", ".join(["auto", *here]),
            provider=f"torch {torch.__version__}",
            hint=f"{option}=auto",
        )
    return torch.device(wanted)


def cores() -> int:
    """Return how many cores this process may use."""
    there = getattr(os, "sched_getaffinity", None)
    return len(there(0)) if there else os.cpu_count() or 1


@contextmanager
def reproducible(device: torch.device, seed: int, threads: int = 0) -> Iterator[None]:
    """Compute with a seed and a number of threads of one's own, and leave no trace.

    On CUDA, convolutions and products are those of float32, not TF32, and algorithms that
    give other bits each time are left out.

    Args:
        device: Where the work will be done.
        seed: Seed of torch's random numbers within; those outside go on undisturbed.
        threads: Threads within one operator; 0: as many as the process has.
    """
    before = torch.get_num_threads()
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=_devices(device)))
        stack.callback(torch.set_num_threads, before)
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            stack.enter_context(torch.cuda.device(device))
            stack.enter_context(
                torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
            )
            matmul = torch.backends.cuda.matmul
            stack.callback(setattr, matmul, "allow_tf32", matmul.allow_tf32)
            matmul.allow_tf32 = False
            torch.cuda.manual_seed(seed)
        if threads:
            torch.set_num_threads(threads)
        yield


def _devices(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []
