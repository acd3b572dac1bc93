"""Rows that a model is compared on when it is written in another form.

They are kept as the model takes them, behind the transformers: the test split's, which the
side that runs the task has loaded itself. What nodes hold never gets here.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aeros_core.data import Batch, Dataset
from aeros_core.roles.transformer import SupportsPublicRows

__all__ = ["NBYTES", "USUAL", "stored_rows"]

USUAL = 16
"""Rows that are kept of public data."""

NBYTES = 2**20
"""Bytes that are kept, at most; of larger rows fewer."""


def stored_rows(
    number: int | None, transformers: Mapping[str, object], test: Dataset | None
) -> Batch:
    """Return rows of a prepared test split that are stored with a model, without the target.

    Args:
        number: So many at most, `NBYTES` at most; None: `USUAL` if the source is public.
        transformers: The source first.
        test: The prepared split; None: there is none.
    """
    source = next(iter(transformers.values()), None)
    if number is None:
        number = USUAL if isinstance(source, SupportsPublicRows) and source.public else 0
    if test is None or not len(test):
        return {}
    columns = {field.name: test.columns[field.name] for field in test.schema.features}
    if any(column.dtype.kind not in "biufc" for column in columns.values()):
        return {}
    width = sum(column[:1].nbytes for column in columns.values())
    number = min(number, len(test), NBYTES // max(width, 1))
    if number < 1:
        return {}
    some = test.take(np.linspace(0, len(test) - 1, number).astype(np.int64)).batch()
    return {name: np.array(some[name]) for name in columns}
