"""What each value of a request contributed to its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.errors import ConfigError, PluginError
from aeros_core.inference.service import Service
from aeros_core.preprocessing import pipeline
from aeros_core.roles.inferencer import SupportsExplanation
from aeros_core.roles.transformer import SupportsAttribution, Transformer
from aeros_core.schema import Field

__all__ = ["BASE", "METHODS", "SUFFIX", "explain"]

METHODS = ("integrated_gradients",)
"""How answers can be explained."""

SUFFIX = ".attribution"
"""What the attributions of a field are called, behind the field's name."""

BASE = f"base{SUFFIX}"
"""What the answer at the baseline is called."""


def explain(
    service: Service,
    batch: Batch,
    *,
    method: str = METHODS[0],
    target: int | str | None = None,
    steps: int = 50,
    baseline: float | None = None,
) -> Batch:
    """Return the answer to raw rows, with what each of their values contributed to a score.

    Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365) are taken of the score
    that is answered, along the straight line from the prepared baseline to the prepared row,
    and brought back through the model's transformers: a step that maps values one by one
    leaves them as they are, one that makes several of one adds them up. So those of a row,
    all fields together, add up to its score less the score at the baseline, within the
    method's error.

    Args:
        service: The model, ready to answer.
        batch: Raw rows.
        method: One of `METHODS`.
        target: Which score: a class by code or name, or the number of a value; None: the
            label of each row, or the only value.
        steps: Points along the line at which gradients are taken, at least 1.
        baseline: What every number of a row is replaced by; None: zeros of what the module
            takes, which are the mean of training where data were standardised.

    Returns:
        The answer; ``<field>.attribution``, float32 in the field's shape, for every field of
        ``batch``; ``base.attribution`` (rows,), the score at the baseline.

    Raises:
        ConfigError: Method, target, steps or baseline cannot be.
        PluginError: The inferencer, a transformer or this installation cannot explain.
    """
    if method not in METHODS:
        raise ConfigError(f"method '{method}' does not exist", exists=", ".join(METHODS))
    if steps < 1:
        raise ConfigError(f"{steps} steps are not possible", exists="1 or more")
    inferencer = service.inferencer
    if not isinstance(inferencer, SupportsExplanation):
        raise PluginError(
            f"{type(inferencer).__name__} cannot explain: its answers have no gradients",
            hint="inferencer=torch explains models that trainer=torch has trained",
        )
    given = _stages(service.steps, batch)
    output = pipeline.inverse_transform(service.after, inferencer.predict(given[-1]))
    columns = _columns(service, output, target)
    start = None if baseline is None else _stages(service.steps, _filled(batch, baseline))[-1]
    shares, base = inferencer.explain(given[-1], columns, steps=steps, baseline=start)
    slope, offset = _scaling(service, output, columns)
    shares = {name: column * slope.reshape(-1, *(1,) * (column.ndim - 1))
              for name, column in shares.items()}  # fmt: skip
    for step, before in zip(reversed(service.steps), reversed(given[:-1]), strict=True):
        shares = _back(step, shares, before)
    told = {f"{name}{SUFFIX}": np.asarray(c, np.float32) for name, c in shares.items()}
    told = {**output, **told, BASE: np.asarray(base * slope + offset, np.float32)}
    service.events.aeros_after_predict(model=service.model, batch=batch, output=told)
    return told


def _stages(steps: Sequence[Transformer], batch: Batch) -> list[Batch]:
    """Return rows before the first step, and behind each."""
    given = [batch]
    for step in steps:
        given.append(step.transform(given[-1]))
    return given


def _back(step: Transformer, shares: Batch, before: Batch) -> Batch:
    if not isinstance(step, SupportsAttribution):
        raise PluginError(
            f"the step {type(step).__name__} does not say what its fields were made of, so"
            " nothing before it can be explained",
            hint="ask without 'explain', or of a model that was trained without this step"
            " (a plugin's step needs SupportsAttribution of aeros_core.roles.transformer)",
        )
    return step.attributed(shares, before)


def _filled(batch: Batch, value: float) -> Mapping[str, Array]:
    for name, column in batch.items():
        if column.dtype.kind not in "iuf":
            raise ConfigError(
                f"a baseline of {value:g} is no value of field '{name}', which holds no numbers",
                hint="leave the baseline out",
            )
    return {name: np.full_like(column, value) for name, column in batch.items()}


def _columns(service: Service, output: Batch, target: int | str | None) -> NDArray[np.int64]:
    """Return which score of each row is explained."""
    scores = output["scores"]
    width = scores.shape[1] if scores.ndim > 1 else 1
    schema = service.model.schema
    field = schema[schema.target] if schema.target is not None else None
    if target is None and "label" in output:
        return np.asarray(output["label"], np.int64)
    if target is None and width > 1:
        raise ConfigError(
            f"a target has to be named: the model answers {width} values",
            exists=_named(field, width),
        )
    place = _place(field, 0 if target is None else target)
    if place is None or not 0 <= place < width:
        raise ConfigError(f"target {target!r} does not exist", exists=_named(field, width))
    return np.full(len(scores), place, np.int64)


def _place(field: Field | None, target: int | str) -> int | None:
    if isinstance(target, int):
        return target
    names = (field.categories if field is not None else None) or ()
    return names.index(target) if target in names else None


def _named(field: Field | None, width: int) -> str:
    names = (field.categories if field is not None else None) or ()
    plain = names == tuple(map(str, range(width)))  # the names say no more than the codes
    return f"0 to {width - 1}" + (f", or {', '.join(names)}" if names and not plain else "")


def _scaling(service: Service, output: Batch, columns: NDArray[np.int64]) -> tuple[Array, Array]:
    """Return what the steps behind the model multiply each row's score by, and add to it.

    Raises:
        PluginError: They are not linear.
    """
    scores, rows = output["scores"], np.arange(len(columns))
    if not service.after:
        return np.ones(len(rows)), np.zeros(len(rows))

    def at(value: float) -> Array:
        found = pipeline.inverse_transform(
            service.after, {**output, "scores": np.full_like(scores, value)}
        )
        return np.asarray(found["scores"].reshape(len(rows), -1)[rows, columns], np.float64)

    zero, one, two = at(0.0), at(1.0), at(2.0)
    if not np.allclose(two - one, one - zero, rtol=1e-3, atol=1e-6 * np.abs(zero).max(initial=1)):
        raise PluginError("the steps behind the model are not linear, so it cannot be explained")
    return one - zero, zero
