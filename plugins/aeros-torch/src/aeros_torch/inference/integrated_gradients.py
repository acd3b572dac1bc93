"""Integrated gradients of a module, through captum.

Sundararajan, Taly and Yan 2017, "Axiomatic Attribution for Deep Networks", arXiv:1703.01365.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from aeros_core.errors import PluginError

__all__ = ["integrated"]


def integrated(
    score: Callable[[Tensor], Tensor],
    examples: Tensor,
    baseline: Tensor,
    columns: Tensor,
    *,
    steps: int,
    at_once: int,
) -> tuple[Tensor, Tensor]:
    """Return what each value of the examples contributed to one of their scores.

    Args:
        score: Maps (n, ...) to (n, scores).
        examples: (rows, ...), float32.
        baseline: Where the lines to them begin, of the same shape.
        columns: Which score of each row (rows,), int64.
        steps: Points of the Gauss-Legendre rule on each line.
        at_once: Examples that go through the module together, at most.

    Returns:
        The shares (rows, ...), and the scores at the baseline (rows,).

    Raises:
        PluginError: captum is not installed.
    """
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise PluginError(
            "explanations need captum, which is not installed",
            hint="pip install 'aeros-torch[explain]'",
        ) from error
    method = IntegratedGradients(score)
    shares, base = torch.empty_like(examples), examples.new_empty(len(examples))
    rows = max(1, at_once // steps)
    for start in range(0, len(examples), rows):
        part = slice(start, start + rows)
        # cuDNN has no gradients of an LSTM that is not being trained; torch itself has.
        calm = torch.backends.cudnn.flags(enabled=False)
        with torch.enable_grad(), calm:
            shares[part] = method.attribute(
                examples[part],
                baseline[part],
                target=columns[part],
                n_steps=steps,
                internal_batch_size=max(rows, at_once),
            ).detach()
        with torch.no_grad():
            base[part] = score(baseline[part]).gather(1, columns[part, None])[:, 0]
    return shares, base
