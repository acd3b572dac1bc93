"""What the steps have in common that shift and scale numbers by two fitted values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.errors import ConfigError, DataError
from aeros_core.messages import State
from aeros_transforms.config.steps import Per
from aeros_transforms.steps.field_binding import Binding, bound
from aeros_transforms.steps.scaling.broadcasting import aligned

__all__ = ["Scaling"]


class Scaling:
    """A step that turns a field's values ``x`` into ``(x - shift) / scale``, as float32.

    Two values of each field are known once the step is fitted; `_shift_and_scale` says what
    they are of that.

    Args:
        option: Where the step's options stand, as in ``transformer.min_max``.
        names: What the two values are called in its state.
        fields: Names of the fields; empty: every floating-point feature.
        per: Whether a value is of one feature, or of a whole field.
    """

    def __init__(
        self, option: str, names: tuple[str, str], *, fields: Sequence[str], per: Per | str
    ) -> None:
        self._option, self._values = option, names
        self._names, self._whole = tuple(fields), Per(per) is Per.field
        self._binding: Binding | None = None
        self._known: dict[str, tuple[Array, Array]] = {}

    def _shift_and_scale(self, first: Array, second: Array) -> tuple[Array, Array]:
        raise NotImplementedError

    def _no_rows(self) -> DataError:
        return DataError(f"{self._option} has no row to be fitted to")

    def transform(self, batch: Batch) -> Batch:
        """Return the batch with the fields scaled.

        Raises:
            ConfigError: The step is not fitted.
            DataError: A field is missing or has another length.
        """
        done = dict(batch)
        for name, column in bound(self._binding, self._option).columns(batch):
            if name not in self._known:
                raise ConfigError(
                    f"{self._option} is not fitted", hint="fit it, or restore a state"
                )
            first, second = (aligned(name, value, column) for value in self._known[name])
            shift, scale = self._shift_and_scale(first, second)
            scaled = np.subtract(column, shift, dtype=np.float32, casting="same_kind")
            done[name] = self._finished(np.divide(scaled, scale, out=scaled))
        return done

    def _finished(self, scaled: Array) -> Array:
        """Return scaled values as they go on."""
        return scaled

    def attributed(self, shares: Batch, batch: Batch) -> Batch:  # noqa: ARG002
        """Return the shares as they are: each value is made of one."""
        return shares

    def inverse_transform(self, output: Batch) -> Batch:
        """Return predictions of a target that was scaled as it was before that.

        Raises:
            DataError: They have another length than the target.
        """
        binding = bound(self._binding, self._option)
        scores, target = binding.answered(output), str(binding.target)
        if scores is None or target not in self._known:
            return output
        first, second = (aligned(target, value, scores) for value in self._known[target])
        return {**output, "scores": self._restored(scores, first, second)}

    def _restored(self, scores: Array, first: Array, second: Array) -> Array:
        raise NotImplementedError

    def state(self) -> State:
        """Return the fields and the two values of each."""
        if self._binding is None:
            return {}
        state = dict(self._binding.state())
        for name, values in self._known.items():
            state |= {f"{name}.{key}": v for key, v in zip(self._values, values, strict=True)}
        return state

    def restore(self, state: State) -> None:
        """Take up what `state` returned; nothing else is needed to transform."""
        self._binding = Binding.restore(state) if state else None
        first, second = self._values
        self._known = {
            name: (np.asarray(state[f"{name}.{first}"]), np.asarray(state[f"{name}.{second}"]))
            for name in (self._binding.fields if self._binding else ())
            if f"{name}.{first}" in state
        }
