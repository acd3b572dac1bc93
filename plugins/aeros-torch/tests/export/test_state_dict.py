import os

import numpy as np
import pytest
import torch

from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.models import formats
from aeros_core.parameters import Parameters
from aeros_core.records import Model
from aeros_core.schema import Schema
from aeros_torch.export import state_dict


class Opens:
    """A pickle that runs code when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def network():
    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 2), torch.nn.BatchNorm2d(3), torch.nn.Linear(4, 2)
    )


def test_the_core_finds_it():
    assert formats.choose("m.pt", None) is state_dict
    assert formats.choose("m.pth", None) is state_dict
    assert formats.choose("m", "state_dict") is state_dict


def test_what_torch_saves_is_read(tmp_path):
    held = network().state_dict()
    torch.save(held, tmp_path / "m.pt")
    model = state_dict.load(tmp_path / "m.pt", "mine")
    assert model.name == "mine"
    assert [name for name, _ in model.parameters.items()] == list(held)
    for name, array in model.parameters.items():
        assert array.shape == held[name].shape
        np.testing.assert_array_equal(array, held[name].numpy())


def test_torch_loads_what_is_saved(tmp_path):
    source = network()
    tensors = {name: tensor.numpy() for name, tensor in source.state_dict().items()}
    model = Model("mine", Parameters.of(tensors), Schema(()))
    nbytes = state_dict.save(tmp_path / "m.pt", model)
    assert [path.name for path in tmp_path.iterdir()] == ["m.pt"]
    assert nbytes == (tmp_path / "m.pt").stat().st_size
    other = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 2), torch.nn.BatchNorm2d(3), torch.nn.Linear(4, 2)
    )
    other.load_state_dict(torch.load(tmp_path / "m.pt", weights_only=True))
    for name, tensor in other.state_dict().items():
        assert torch.equal(tensor, source.state_dict()[name])


def test_a_file_that_would_run_code_does_not(tmp_path):
    torch.save({"w": torch.ones(1), "more": Opens(tmp_path / "ran")}, tmp_path / "m.pt")
    with pytest.raises(
        RepositoryError, match="cannot be read as tensors alone: Trying to load"
    ) as caught:
        state_dict.load(tmp_path / "m.pt", "mine")
    assert not (tmp_path / "ran").exists()
    assert "set to" not in str(caught.value)  # PyTorch's own advice would run it


def test_a_file_that_was_cut_short(tmp_path):
    torch.save(network().state_dict(), tmp_path / "m.pt")
    whole = (tmp_path / "m.pt").read_bytes()
    for size in (1, 100, len(whole) // 3, len(whole) - 30):
        (tmp_path / "m.pt").write_bytes(whole[:size])
        with pytest.raises(RepositoryError, match=r"m\.pt cannot be read") as caught:
            state_dict.load(tmp_path / "m.pt", "mine")
        assert "Invalid argument" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"no file of torch", b"PK\x03\x04"])
def test_a_file_that_is_none(tmp_path, data):
    (tmp_path / "m.pt").write_bytes(data)
    with pytest.raises(RepositoryError, match="cannot be read"):
        state_dict.load(tmp_path / "m.pt", "mine")


@pytest.mark.parametrize(
    "held",
    [[torch.ones(1)], torch.ones(1), {"a": {"b": torch.ones(1)}}, {1: torch.ones(1)}],
    ids=str,
)
def test_a_file_of_something_else(tmp_path, held):
    torch.save(held, tmp_path / "m.pt")
    with pytest.raises(ConfigError, match="holds no tensors by name"):
        state_dict.load(tmp_path / "m.pt", "mine")


def test_a_tensor_that_numpy_does_not_have(tmp_path):
    torch.save({"a": torch.ones(2, dtype=torch.bfloat16)}, tmp_path / "m.pt")
    with pytest.raises(ConfigError, match="holds a tensor that numpy cannot"):
        state_dict.load(tmp_path / "m.pt", "mine")


def test_a_place_that_is_not_there(tmp_path):
    model = Model("mine", Parameters.of({"a": np.ones(1)}), Schema(()))
    with pytest.raises(RepositoryError, match="could not be written: No such file"):
        state_dict.save(tmp_path / "nowhere/m.pt", model)
    with pytest.raises(RepositoryError, match="cannot be read: No such file"):
        state_dict.load(tmp_path / "nowhere/m.pt", "mine")
