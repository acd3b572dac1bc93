import pytest
import torch

from aeros_core.errors import ConfigError
from aeros_torch.modules.device import device_of, reproducible

CPU = torch.device("cpu")


def test_auto_is_cuda_where_there_is_one():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert device_of("trainer.device", "auto").type == expected
    assert device_of("trainer.device", "cpu") == CPU


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "meta", ""])
def test_missing_device_is_refused(name):
    with pytest.raises(ConfigError) as caught:
        device_of("trainer.device", name)
    assert f"trainer.device={name} is not on this machine" in str(caught.value)
    assert "exists: auto, cpu" in str(caught.value)


def test_cuda_without_cuda_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="device=cuda is not on this machine"):
        device_of("trainer.device", "cuda")


def test_random_numbers_come_from_the_seed_and_leave_no_trace():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with reproducible(CPU, 7):
        first = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with reproducible(CPU, 7):
        assert torch.equal(torch.rand(3), first)


def test_threads_come_back():
    before = torch.get_num_threads()
    with reproducible(CPU, 0, before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with reproducible(CPU, 0):
        assert torch.get_num_threads() == before


def test_threads_and_random_numbers_come_back_after_an_error():
    before, state = torch.get_num_threads(), torch.get_rng_state()
    with pytest.raises(RuntimeError, match="must match"), reproducible(CPU, 0, before + 1):
        torch.rand(2) + torch.rand(3)
    assert torch.get_num_threads() == before
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_random_numbers_leave_no_trace():
    device = device_of("trainer.device", "cuda")
    torch.cuda.manual_seed_all(5)
    expected = torch.rand(3, device=device)
    torch.cuda.manual_seed_all(5)
    with reproducible(device, 7):
        first = torch.rand(3, device=device)
    assert torch.equal(torch.rand(3, device=device), expected)
    with reproducible(device, 7):
        assert torch.equal(torch.rand(3, device=device), first)
