"""What a client takes, counted by hand, and what errors mean that memory ran out."""

from functools import partial

import pytest
import torch

from aeros_torch import models, room
from aeros_torch.stacking import Stacking


def taken(trainer, data, model=models.Softmax, size=10, vectors=0):
    shop = trainer(model, batch_size=size).workshop(data(shape=(64,)).schema)
    return room.bytes_of_one(shop, Stacking(shop), vectors)


@pytest.mark.parametrize("size", [1, 10, 500])
def test_what_a_client_takes(trainer, data, size):
    """Weights, result, gradient and its parts; of a batch the input, scores and labels."""
    parameters, batch = 4 * 3 * 65, size * (4 * 64 + 4 * 3 + 8)
    assert 4 * parameters + batch <= taken(trainer, data, size=size) <= 6 * (parameters + batch)


def test_an_optimizers_vectors_and_hidden_layers_count(trainer, data):
    plain = taken(trainer, data)
    assert taken(trainer, data, vectors=2) == plain + 2 * 4 * 3 * 65
    deep = partial(models.Mlp, hidden=[50, 50], activation="relu", dropout=0.0)
    assert taken(trainer, data, deep) > plain + 10 * 4 * 100


def test_measuring_changes_nothing(trainer, data):
    shop = trainer(models.Softmax).workshop(data().schema)
    before = shop.network.flat.clone()
    room.bytes_of_one(shop, Stacking(shop), 0)
    assert torch.equal(shop.network.flat, before)


def test_some_memory_is_free(monkeypatch, tmp_path):
    assert room.free_bytes(torch.device("cpu")) > 2**20
    monkeypatch.setattr(room, "Path", lambda path: tmp_path / "nothing")
    assert room.free_bytes(torch.device("cpu")) == 2 * 2**30


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_some_memory_of_a_device_is_free():
    device = torch.device("cuda", torch.cuda.current_device())
    assert 0 < room.free_bytes(device) <= torch.cuda.get_device_properties(device).total_memory


def test_what_the_host_says_when_it_has_no_memory_is_known():
    """The words are torch's own; a later version may choose others."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    assert room.is_out_of_memory(caught.value)
    assert not room.is_out_of_memory(RuntimeError("shapes cannot be multiplied"))
