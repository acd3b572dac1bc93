"""Parameters that are replaced at once are not drawn, and all else is."""

import torch
from torch import nn

from aeros_torch.modules.skip_init import skip_init


def layers():
    made = [nn.Linear(30, 40), nn.LSTM(3, 4), nn.Embedding(5, 6), nn.Conv2d(1, 2, 3)]
    nn.init.xavier_normal_(made[0].weight)
    return made


def test_nothing_is_drawn_for_parameters():
    before = torch.get_rng_state()
    assert [type(layer) for layer in skip_init(layers)] == [type(layer) for layer in layers()]
    torch.set_rng_state(before)
    skip_init(layers)
    assert torch.equal(before, torch.get_rng_state())


def test_who_draws_something_else_is_made_as_ever():
    def make():
        layer = nn.Linear(3, 4)
        layer.register_buffer("shift", torch.rand(4), persistent=False)
        return layer

    torch.manual_seed(5)
    expected = make()
    torch.manual_seed(5)
    found = skip_init(make)
    torch.testing.assert_close(found.shift, expected.shift, rtol=0, atol=0)
    torch.testing.assert_close(found.weight, expected.weight, rtol=0, atol=0)


def test_tensors_that_are_no_parameters_have_their_values():
    def make():
        layer = nn.Linear(3, 4)
        layer.register_buffer("scale", torch.arange(4.0), persistent=False)
        layer.tables = [torch.linspace(0, 1, 5)]
        return layer

    found = skip_init(make)
    torch.testing.assert_close(found.scale, torch.arange(4.0), rtol=0, atol=0)
    torch.testing.assert_close(found.tables[0], torch.linspace(0, 1, 5), rtol=0, atol=0)


def test_what_comes_after_is_drawn():
    skip_init(layers)
    torch.manual_seed(5)
    first = nn.Linear(3, 4).weight
    torch.manual_seed(5)
    torch.testing.assert_close(nn.Linear(3, 4).weight, first)
    assert first.abs().max() > 0
