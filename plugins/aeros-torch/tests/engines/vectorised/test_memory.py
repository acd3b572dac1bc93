"""What a client takes, counted by hand, and what errors mean that memory ran out."""

from functools import partial

import pytest
import torch

from aeros_torch.engines.vectorised import memory
from aeros_torch.engines.vectorised.stacked_module import StackedModule
from aeros_torch.modules import models


def taken(trainer, data, model=models.Softmax, size=10, vectors=0):
    context = trainer(model, batch_size=size).context(data(shape=(64,)).schema)
    return memory.bytes_of_one(context, StackedModule(context), vectors)


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
    context = trainer(models.Softmax).context(data().schema)
    before = context.network.flat.clone()
    memory.bytes_of_one(context, StackedModule(context), 0)
    assert torch.equal(context.network.flat, before)


def test_some_memory_is_free(monkeypatch, tmp_path):
    assert memory.free_bytes(torch.device("cpu")) > 2**20
    monkeypatch.setattr(memory, "Path", lambda path: tmp_path / "nothing")
    assert memory.free_bytes(torch.device("cpu")) == 2 * 2**30


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_some_memory_of_a_device_is_free():
    device = torch.device("cuda", torch.cuda.current_device())
    assert 0 < memory.free_bytes(device) <= torch.cuda.get_device_properties(device).total_memory


def test_what_the_host_says_when_it_has_no_memory_is_known():
    """The words are torch's own; a later version may choose others."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    assert memory.is_out_of_memory(caught.value)
    assert not memory.is_out_of_memory(RuntimeError("shapes cannot be multiplied"))
