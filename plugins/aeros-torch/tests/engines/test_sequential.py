"""The engine against the loop that anyone would write: module, optimizer, batches."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from aeros_core.errors import ConfigError
from aeros_core.messages import Instruction
from aeros_core.parameters import Parameters

OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "decay": (torch.optim.SGD, {"weight_decay": 0.1}),
    "nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {"weight_decay": 0.1}),
    "rmsprop": (torch.optim.RMSprop, {"alpha": 0.9}),
    "adafactor": (torch.optim.Adafactor, {}),
}
FIRM = ("momentum", "weight_decay")


def plain_loop(
    module, start, table, cls, options, *, loss, epochs=1, size=8, mu=0.0, clip=None, drift=None
):
    """Train ``module`` from ``start`` with nothing of aeros; return its tensors by name."""
    module.load_state_dict({name: torch.tensor(np.array(v)) for name, v in start.items()})
    module.train()
    anchor = [p.detach().clone() for p in module.parameters()]
    optimizer = cls(module.parameters(), lr=0.05, **options)
    x, y = (torch.from_numpy(table.batch()[name]) for name in ("x", "label"))
    rng = np.random.default_rng(42)
    torch.manual_seed(42)
    total = 0.0
    for _ in range(epochs):
        for rows in torch.from_numpy(rng.permutation(len(x))).split(size):
            optimizer.zero_grad()
            value = loss(module(x[rows]), y[rows])
            total += value.item() * len(rows)
            pairs = zip(module.parameters(), anchor, strict=True)
            linear = 0.0
            if drift is not None:
                linear = torch.cat([p.flatten() for p in module.parameters()]) @ drift
            (value + mu / 2 * sum((p - a).square().sum() for p, a in pairs) + linear).backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(module.parameters(), clip)
            optimizer.step()
    return module.state_dict(), total / (epochs * len(x))


def check(trainer, table, module, start, expected, loss, vectors=None, **announced):
    sent = Instruction(1, "n", start, seed=42, scalars=announced, vectors=vectors or {})
    update = trainer.train(sent, table)
    for name, tensor in expected.items():
        np.testing.assert_allclose(
            update.parameters[name], tensor.numpy(), rtol=2e-4, atol=2e-6, err_msg=name
        )
    assert update.metrics["loss"] == pytest.approx(loss, rel=1e-4)
    return update


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_classes_with_each_kind_of_optimizer(trainer, data, small, name):
    cls, options = OPTIMIZERS[name]
    table = data()
    made = trainer(
        optimizer=cls.__name__,
        lr=0.05,
        batch_size=8,
        epochs=3,
        optimizer_options={k: v for k, v in options.items() if k not in FIRM},
        **{k: v for k, v in options.items() if k in FIRM},
    )
    start = made.initialise(table.schema, 1)
    module = small(inputs=(5,), outputs=3)
    expected, loss = plain_loop(module, start, table, cls, options, loss=F.cross_entropy, epochs=3)
    check(made, table, module, start, expected, loss)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize(("mu", "clip"), [(0.7, None), (0.0, 0.2), (0.7, 0.2)])
def test_proximal_term_and_clipping(trainer, data, small, optimizer, mu, clip):
    table = data(rows := 29)
    made = trainer(
        optimizer=optimizer, lr=0.05, batch_size=8, epochs=2, proximal_mu=mu, clip_norm=clip
    )
    start = made.initialise(table.schema, 1)
    module = small(inputs=(5,), outputs=3)
    expected, loss = plain_loop(
        module,
        start,
        table,
        getattr(torch.optim, optimizer),
        {},
        loss=F.cross_entropy,
        epochs=2,
        mu=mu,
        clip=clip,
    )
    assert check(made, table, module, start, expected, loss).examples == rows


def test_announced_proximal_mu_wins(trainer, data, small):
    table = data()
    made = trainer(lr=0.05, batch_size=8, proximal_mu=5.0)
    start = made.initialise(table.schema, 1)
    module = small(inputs=(5,), outputs=3)
    for mu in (0.0, 0.3):
        expected, loss = plain_loop(
            module, start, table, torch.optim.SGD, {}, loss=F.cross_entropy, mu=mu
        )
        check(made, table, module, start, expected, loss, proximal_mu=mu)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["numpy", "dlpack"])
@pytest.mark.parametrize(
    ("optimizer", "options", "clip"),
    [
        ("SGD", {}, None),
        ("SGD", {"momentum": 0.9, "weight_decay": 0.1}, None),
        ("SGD", {}, 0.3),
        ("Adam", {}, None),
    ],
)
def test_drift_is_a_linear_term_of_the_loss(trainer, data, small, optimizer, options, clip, kind):
    """The client half of SCAFFOLD (Karimireddy et al. 2020, equation 3)."""
    table, mu = data(29), 0.2
    made = trainer(optimizer=optimizer, lr=0.05, batch_size=8, epochs=2, clip_norm=clip, **options)
    start = made.initialise(table.schema, 1)
    drift = np.random.default_rng(5).normal(size=len(start.vector)).astype(np.float32)
    drift.setflags(write=kind is torch.from_numpy)
    module = small(inputs=(5,), outputs=3)
    expected, loss = plain_loop(
        module,
        start,
        table,
        getattr(torch.optim, optimizer),
        options,
        loss=F.cross_entropy,
        epochs=2,
        mu=mu,
        clip=clip,
        drift=torch.tensor(drift),
    )
    vectors = {"drift": kind(drift)}
    check(made, table, module, start, expected, loss, vectors, proximal_mu=mu)


def test_drift_of_another_length_is_refused(trainer, data):
    made = trainer()
    start = made.initialise(data().schema, 1)
    sent = Instruction(1, "n", start, vectors={"drift": np.zeros(3, np.float32)})
    with pytest.raises(ConfigError, match=r"the vector 'drift' has shape \(3,\)") as caught:
        made.train(sent, data())
    assert "next: choose a collector that goes with this trainer/model" in str(caught.value)


def test_an_update_says_how_it_was_made(trainer, data, normed):
    table = data(17)
    for options, steps in (({}, 3), ({"epochs": 2}, 6), ({"steps": 4}, 4)):
        made = trainer(batch_size=8, lr=0.1, **options)
        start = made.initialise(table.schema, 1)
        told = made.train(Instruction(1, "n", start), table).scalars
        trained = sum(p.size for _, p in start.items())
        assert told == {"steps": steps, "lr": 0.1, "reach": steps, "trained": trained}
    made = trainer(normed, batch_size=8, scheduler="StepLR", scheduler_options={"step_size": 1})
    start = made.initialise(table.schema, 1)
    told = made.train(Instruction(3, "n", start), table).scalars
    assert (told["steps"], told["lr"]) == (2, pytest.approx(0.01 * 0.1**2))


@pytest.mark.parametrize("values", [0, 2])
def test_numbers(trainer, data, small, values):
    table = data(values=values)
    made = trainer(lr=0.05, batch_size=8, loss="huber", loss_options={"delta": 0.5})
    start = made.initialise(table.schema, 1)
    module = small(inputs=(5,), outputs=max(values, 1))

    def huber(output, y):
        return F.huber_loss(output, y.reshape(len(y), -1), delta=0.5)

    expected, loss = plain_loop(module, start, table, torch.optim.SGD, {}, loss=huber)
    check(made, table, module, start, expected, loss)


def test_dropout_is_drawn_from_the_instructions_seed(trainer, data, small):
    def model(inputs, outputs):
        return small(inputs=inputs, outputs=outputs, dropout=0.5)

    table = data()
    made = trainer(model, lr=0.05, batch_size=8, epochs=2)
    start = made.initialise(table.schema, 1)
    module = model((5,), 3)
    expected, loss = plain_loop(
        module, start, table, torch.optim.SGD, {}, loss=F.cross_entropy, epochs=2
    )
    check(made, table, module, start, expected, loss)


def test_batch_norm_moves_its_statistics(trainer, data, normed):
    table = data(40)
    made = trainer(normed, lr=0.05, batch_size=8, epochs=2)
    start = made.initialise(table.schema, 1)
    module = normed(inputs=(5,), outputs=3)
    expected, loss = plain_loop(
        module, start, table, torch.optim.SGD, {}, loss=F.cross_entropy, epochs=2
    )
    update = check(made, table, module, start, expected, loss)
    assert update.parameters["norm.num_batches_tracked"] == 10
    assert update.parameters.vectors["int64"].dtype == np.int64


def test_batch_norm_never_sees_one_example(trainer, data, normed):
    table = data(17)
    made = trainer(normed, batch_size=8)
    start = made.initialise(table.schema, 1)
    update = made.train(Instruction(1, "n", start, seed=42), table)
    assert update.parameters["norm.num_batches_tracked"] == 2
    assert update.examples == 17


def test_steps_instead_of_epochs(trainer, data):
    table = data(24)
    one = trainer(batch_size=8, epochs=2)
    start = one.initialise(table.schema, 1)
    sent = Instruction(1, "n", start, seed=42)
    expected = one.train(sent, table).parameters.digest
    assert trainer(batch_size=8, steps=6).train(sent, table).parameters.digest == expected
    assert trainer(batch_size=8, steps=5).train(sent, table).parameters.digest != expected


def test_unused_and_frozen_parameters_stay(trainer, data, small):
    class Partly(small):
        def __init__(self, *, inputs, outputs):
            super().__init__(inputs=inputs, outputs=outputs)
            self.unused = nn.Linear(2, 2)
            self.first.weight.requires_grad_(False)

    table = data()
    made = trainer(Partly, lr=0.5)
    start = made.initialise(table.schema, 1)
    end = made.train(Instruction(1, "n", start, seed=1), table).parameters
    for name in ("unused.weight", "unused.bias", "first.weight"):
        np.testing.assert_array_equal(end[name], start[name])
    assert not np.array_equal(end["first.bias"], start["first.bias"])


def test_training_that_diverges_comes_back(trainer, data):
    table = data()
    made = trainer(lr=1e38, epochs=3, batch_size=8)
    start = made.initialise(table.schema, 1)
    update = made.train(Instruction(1, "n", start, seed=1), table)
    assert not np.isfinite(update.parameters.vector).all()
    assert not np.isfinite(update.metrics["loss"])


def test_parameters_on_another_device_are_taken(trainer, data):
    table = data()
    made = trainer()
    start = made.initialise(table.schema, 1)
    vectors = {d: torch.from_numpy(v.copy()) for d, v in start.vectors.items()}
    there = Parameters(start.layout, vectors)
    first = made.train(Instruction(1, "n", start, seed=1), table)
    second = made.train(Instruction(1, "n", there, seed=1), table)
    assert first.parameters.digest == second.parameters.digest
