"""Metrics against numpy, written out."""

import numpy as np
import pytest
import torch

from aeros_torch.modules.losses import Loss
from aeros_torch.training.batches import Batches, DeviceColumns
from aeros_torch.training.evaluation import evaluate

CPU = torch.device("cpu")


def measured(module, data, loss="auto", size=8, workers=1):
    target = data.schema["label"]
    outputs = None if target.categories else int(np.prod(target.shape))
    feed = Batches("x", "label", outputs, DeviceColumns(CPU, keep=False))
    made = Loss(name=loss, options={}).of(target)
    return evaluate(module, feed, made, data, batch_size=size, workers=workers)


def test_classes(data, small):
    table = data()
    module = small(inputs=(5,), outputs=3)
    x, y = table.columns["x"].astype(np.float64), table.columns["label"]
    weights = [p.detach().double().numpy() for p in module.parameters()]
    scores = np.tanh(x @ weights[0].T + weights[1]) @ weights[2].T + weights[3]
    chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    metrics = measured(module, table)
    assert metrics.keys() == {"loss", "accuracy"}
    assert metrics["loss"] == pytest.approx(-np.log(chances[np.arange(37), y]).mean(), rel=1e-5)
    assert metrics["accuracy"] == pytest.approx((scores.argmax(1) == y).mean())


@pytest.mark.parametrize("values", [0, 2])
def test_numbers(data, small, values):
    table = data(values=values)
    module = small(inputs=(5,), outputs=max(values, 1))
    output = module(torch.from_numpy(table.columns["x"])).detach().numpy().astype(np.float64)
    error = output - table.columns["label"].reshape(37, -1)
    metrics = measured(module, table, "l1")
    assert metrics.keys() == {"loss", "mae", "rmse"}
    assert metrics["loss"] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    assert metrics["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    assert metrics["rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-5)


def test_metrics_do_not_depend_on_the_batches(data, normed):
    module = normed(inputs=(5,), outputs=3)
    expected = measured(module, data(), size=37)
    for size in (1, 10, 1000):
        assert measured(module, data(), size=size) == pytest.approx(expected, rel=1e-5)
    assert int(module.norm.num_batches_tracked) == 0


def test_metrics_do_not_depend_on_the_workers(data, small):
    module = small(inputs=(5,), outputs=3)
    expected = measured(module, data(), size=3)
    assert all(measured(module, data(), size=3, workers=n) == expected for n in (2, 3, 20))


def test_an_error_in_a_worker_is_raised(data, small):
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        measured(small(inputs=(7,), outputs=3), data(), size=3, workers=2)


def test_dropout_is_off(data, small):
    module = small(inputs=(5,), outputs=3, dropout=0.9).train()
    assert measured(module, data()) == measured(module, data())


def test_a_loss_that_is_not_finite_is_told(data, small):
    module = small(inputs=(5,), outputs=3)
    with torch.no_grad():
        module.second.bias.fill_(float("nan"))
    assert np.isnan(measured(module, data())["loss"])
