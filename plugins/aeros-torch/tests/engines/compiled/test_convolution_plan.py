"""Plans of convolutions against the shapes that torch makes."""

from functools import partial

import numpy as np
import pytest
import torch

from aeros_torch.engines.compiled.architecture import Convolutions
from aeros_torch.engines.compiled.convolution_plan import COLUMNS, plan
from aeros_torch.modules import models


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_shapes_and_parameters_are_those_of_torch(padding):
    model = partial(models.Cnn, channels=[3, 10], kernel=3, hidden=[], padding=padding)
    module = model(inputs=(2, 11, 14), outputs=2, activation="relu", dropout=0.0)
    made = plan(Convolutions((2, 11, 14), (3, 10), 3, padding == "same"))
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in made.layers.tolist()]
    x, seen = torch.zeros(1, 2, 11, 14), []
    for layer in module.convolutions:
        before, x = x, layer(x)
        if isinstance(layer, torch.nn.Conv2d):
            seen.append((*before.shape[1:], *x.shape[1:]))
    names = ("inputs", "height", "width", "outputs", "high", "broad")
    assert [tuple(row[name] for name in names) for row in rows] == seen
    assert made.flat == sum(p.numel() for p in module.convolutions.parameters())
    assert rows[1]["flat"] == sum(p.numel() for p in module.convolutions[0].parameters())
    assert [(row["step"], row["wide"]) for row in rows] == [(2, 8), (8, 16)]


def test_tables_name_each_pixel_and_the_last_again():
    row = plan(Convolutions((1, 4, 5), (8,), 3, same=True))
    its = dict(zip(COLUMNS, row.layers[0].tolist(), strict=True))
    forth = row.tables[its["forth"] : its["back"]]
    line = 5 + 2
    expected = [4 * (y * line + x) for y in range(4) for x in range(5)]
    np.testing.assert_array_equal(forth, [*expected, *[expected[-1]] * 4])
