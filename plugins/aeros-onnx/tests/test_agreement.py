"""What two ways to compute one model are compared on."""

import numpy as np
import pytest

from aeros_core.errors import DataError
from aeros_core.schema import Field, Schema
from aeros_onnx.comparison import compare

SCHEMA = Schema((Field("x", "float32", (2,)), Field("y", "float32")), "y")
ROWS = np.full((5, 2), 40, np.float32)
"""Further out than anything that is drawn."""


def doubled(batch):
    return {"scores": batch["x"].sum(1) * 2}


def bounded(batch):
    """Another model, which differs only where nothing is drawn."""
    return {"scores": batch["x"].clip(-30, 30).sum(1) * 2}


def test_stored_rows_are_compared_beside_drawn_ones():
    seen = []

    def heard(batch):
        seen.append(batch["x"])
        return doubled(batch)

    compared = compare("m", SCHEMA, heard, doubled, {"x": ROWS})
    assert (compared.stored, compared.drawn, compared.apart) == (5, 34, 0.0)
    np.testing.assert_array_equal(seen[0], ROWS)
    assert [len(rows) for rows in seen] == [5, 33, 1]


def test_what_only_stored_rows_tell_is_told():
    assert compare("m", SCHEMA, doubled, bounded).stored == 0
    with pytest.raises(DataError, match="they differ, 'scores' by 40 on stored rows"):
        compare("m", SCHEMA, doubled, bounded, {"x": ROWS})


def test_what_drawn_rows_tell_is_told():
    with pytest.raises(DataError, match=r"they differ, 'scores' by .* on drawn rows"):
        compare("m", SCHEMA, doubled, lambda b: {"scores": b["x"].sum(1)})


def test_classes_that_differ_are_counted():
    def label(batch):
        return {"label": (batch["x"].sum(1) > 70).astype(np.int64)}

    def never(batch):
        return {"label": np.zeros(len(batch["x"]), np.int64)}

    with pytest.raises(DataError, match="they differ, 'label' in 5 of 5 stored rows"):
        compare("m", SCHEMA, label, never, {"x": ROWS})
