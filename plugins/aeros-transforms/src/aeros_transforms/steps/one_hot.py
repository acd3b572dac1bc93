"""Categories as vectors of zeros and a one."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.errors import ConfigError, DataError
from aeros_core.fields.categories import code_of_unknown, codes_of
from aeros_core.files import decompression
from aeros_core.messages import State
from aeros_core.schema import Field, Schema, Unknown
from aeros_transforms.options import all_known, override
from aeros_transforms.steps.field_binding import Binding, bound

__all__ = ["OneHot"]

_OPTION = "transformer.one_hot"


class OneHot:
    """`config.steps.OneHot`: text or codes ``shape`` become float32 ``(*shape, categories)``.

    The categories are those the schema declares, in its order. A value that is none of them
    follows the field's rule (`schema.Unknown`): it is refused, all zeros, or ``other``.
    """

    def __init__(self, *, fields: Sequence[str]) -> None:
        self._names = tuple(fields)
        self._binding: Binding | None = None
        self._fields: dict[str, Field] = {}

    def output_schema(self, schema: Schema) -> Schema:
        """Return the schema with the fields as vectors.

        Raises:
            ConfigError: A field does not exist or has no categories, or there is none.
        """
        found = tuple(f.name for f in schema.features if f.categories is not None)
        all_known(f"{_OPTION}.fields", self._names, schema.names, "the data")
        self._binding = Binding(self._names or found, schema.target)
        if not self._binding.fields:
            raise ConfigError(
                f"{_OPTION} finds no field with categories in the data",
                exists=", ".join(map(str, schema.features)) or "no field at all",
            )
        return schema.with_fields(
            self._vector(schema[name], found) for name in self._binding.fields
        )

    def _vector(self, field: Field, found: tuple[str, ...]) -> Field:
        if field.categories is None:
            raise ConfigError(
                f"{_OPTION}.fields={field.name}: the field has no categories",
                exists=", ".join(found) or "no field has",
            )
        self._fields[field.name] = field
        return Field(field.name, "float32", (*field.shape, len(field.categories)), (0.0, 1.0))

    def transform(self, batch: Batch) -> Batch:
        """Return the batch with the fields as vectors.

        Raises:
            DataError: A value is none of the categories, or a field is missing.
        """
        done = dict(batch)
        for name, column in bound(self._binding, _OPTION).columns(batch):
            field = self._fields[name]
            categories = field.categories or ()
            codes = column if column.dtype.kind in "iu" else _codes(field, column)
            strange = (codes < 0) | (codes >= len(categories))
            if strange.any():
                if field.unknown is Unknown.refuse:
                    raise _refusal(name, str(column[strange][0]), categories)
                codes = np.where(strange, code_of_unknown(field), codes)
            _check_memory(name, codes.size, len(categories))
            vectors = np.zeros((*codes.shape, len(categories)), dtype=np.float32)
            ones = np.array(codes >= 0, np.float32)  # a code of -1 is no category
            np.put_along_axis(vectors, codes[..., np.newaxis], ones[..., np.newaxis], axis=-1)
            done[name] = vectors
        return done

    def attributed(self, shares: Batch, batch: Batch) -> Batch:  # noqa: ARG002
        """Return the shares of the fields: those of all categories together."""
        fields = frozenset(bound(self._binding, _OPTION).fields)
        return {name: c.sum(axis=-1) if name in fields else c for name, c in shares.items()}

    def state(self) -> State:
        """Return fields and categories."""
        if self._binding is None:
            return {}
        fields = [self._fields[name] for name in self._binding.fields]
        state = {
            **self._binding.state(),
            "categories": json.dumps({one.name: one.categories for one in fields}),
        }
        rules = {one.name: one.unknown for one in fields if one.unknown is not Unknown.refuse}
        return state | ({"unknown": json.dumps(rules)} if rules else {})

    def restore(self, state: State) -> None:
        """Take up what `state` returned; nothing else is needed to transform."""
        self._binding = Binding.restore(state) if state else None
        kept = json.loads(str(state["categories"])) if state else {}
        rules = json.loads(str(state.get("unknown", "{}")))
        self._fields = {
            name: Field(
                name, "*", (), None, None, tuple(values), Unknown(rules.get(name, "refuse"))
            )
            for name, values in kept.items()
        }


def _check_memory(name: str, values: int, categories: int) -> None:
    """Refuse vectors that the machine has no memory for: values times categories."""
    if (wanted := 4 * values * categories) > decompression.installed():
        raise DataError(
            f"field '{name}' has {categories} categories: {_OPTION} would take"
            f" {decompression.spelled(wanted)} for {values} values of it, and this machine has"
            f" {decompression.spelled(decompression.installed())} of memory",
            hint=override("transformer.drop.fields", name) + " and drop before one_hot",
        )


def _codes(field: Field, column: Array) -> Array:
    """Return the codes of texts, -1 or that of ``other`` for unknown ones."""
    known = {category: code for code, category in enumerate(field.categories or ())}
    values = column.ravel().tolist()
    codes = np.fromiter((known.get(value, -1) for value in values), np.int64, len(values))
    if (strange := codes < 0).any():
        odd = column.ravel()[strange]
        codes[strange] = codes_of(field, odd)[0]
    return codes.reshape(column.shape)


def _refusal(name: str, value: str, categories: tuple[str, ...]) -> DataError:
    shown = ", ".join(categories[:10]) + (", …" if len(categories) > 10 else "")
    return DataError(
        f"field '{name}' holds '{value}', which is none of its {len(categories)} categories",
        exists=shown,
    )
