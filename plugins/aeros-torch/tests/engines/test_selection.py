"""Which engine is taken, and what every one of them makes of the same cohort."""

import logging
from functools import partial

import numpy as np
import pytest

from aeros_core.errors import ConfigError
from aeros_core.messages import Failure, Instruction, Update
from aeros_torch.config import Engine
from aeros_torch.engines import selection
from aeros_torch.engines.selection import EngineOption, Engines
from aeros_torch.modules import models

MLP = partial(models.Mlp, hidden=[6], activation="tanh", dropout=0.0)


def cohort(made, tables):
    start = made.initialise(tables[0].schema, 1)
    return [Instruction(2, f"n{i}", start, seed=i) for i in range(len(tables))]


def cut(table, *sizes):
    return [table.take(np.arange(size)) for size in sizes]


@pytest.mark.parametrize("engine", ["compiled", "cohort", "workers"])
def test_an_empty_client_a_single_example_and_very_many(trainer, data, engine):
    """Nobody is lost, the order stays, and what is trained is what sequential makes of it."""
    tables = cut(data(100_000, shape=(2,)), 3, 0, 100_000, 1)
    options = {"lr": 0.01, "batch_size": 500}
    here = trainer(MLP, engine=engine, workers=2, **options)
    there = trainer(MLP, engine="sequential", **options)
    found = list(here.train_cohort(cohort(here, tables), tables))
    expected = list(there.train_cohort(cohort(there, tables), tables))
    assert [type(reply) for reply in found] == [Update, Failure, Update, Update]
    assert [reply.node for reply in found] == ["n0", "n1", "n2", "n3"]
    assert found[1] == expected[1]
    assert found[1].reason.startswith("DataError: the data hold no example\n  next: cut them")
    for one, other in zip(found, expected, strict=True):
        if isinstance(one, Update):
            assert (one.examples, one.scalars) == (other.examples, other.scalars)
            np.testing.assert_allclose(
                one.parameters.vector, other.parameters.vector, rtol=1e-3, atol=1e-5
            )


def test_too_few_examples_for_batch_norm_are_that_nodes_failure(trainer, data, normed):
    made = trainer(normed)
    tables = cut(data(), 9, 1, 9)
    first, wrong, last = made.train_cohort(cohort(made, tables), tables)
    assert isinstance(first, Update)
    assert isinstance(last, Update)
    assert "the data hold 1 example, and BatchNorm needs 2" in wrong.reason


@pytest.mark.parametrize("engine", ["sequential", "cohort"])
def test_a_label_of_no_class_is_the_nodes_failure(trainer, data, engine):
    """On a GPU such a label would end every training after it."""
    good, bad = data(), data()
    bad.columns["label"][3] = 7
    made = trainer(MLP, engine=engine)
    tables = [good, bad, good]
    first, wrong, last = made.train_cohort(cohort(made, tables), tables)
    assert isinstance(first, Update)
    assert isinstance(last, Update)
    assert "field 'label' holds codes from 0 to 7\n  next: codes of this model are 0 to 2" in (
        wrong.reason
    )


class Idle:
    """An engine by name."""

    def __init__(self, name):
        self.name = name


def ways(monkeypatch, **reasons):
    """Replace the engines by idle ones; those with a reason cannot, those with None do not pay."""
    made = []

    def way(name, reason):
        def make(context):
            made.append(name)
            return reason or Idle(name)

        return EngineOption(Engine[name], make, lambda context, clients: reason is not None)

    monkeypatch.setattr(selection, "ENGINES", [way(*pair) for pair in reasons.items()])
    return made


def test_auto_takes_the_first_that_can_and_pays(monkeypatch, caplog):
    caplog.set_level(logging.INFO, "aeros_torch")
    made = ways(monkeypatch, compiled="no kernel", cohort=None, workers="", sequential="")
    there = Engines(Engine.auto, None, set())
    assert there.pick(5).name == "workers"
    assert there.pick(5) is there.pick(7)
    assert made == ["compiled", "workers"]
    assert [record.getMessage() for record in caplog.records] == [
        "trainer.engine=auto takes workers: compiled cannot train this: no kernel"
    ]


@pytest.mark.parametrize("name", ["compiled", "cohort", "workers", "sequential"])
def test_what_is_asked_for_by_name_is_taken(monkeypatch, name):
    made = ways(monkeypatch, compiled="", cohort="", workers="", sequential="")
    assert Engines(Engine[name], None, set()).pick(1).name == name
    assert made == [name]


def test_what_is_asked_for_and_cannot_is_refused(monkeypatch):
    ways(monkeypatch, compiled="no kernel", sequential="")
    with pytest.raises(ConfigError) as caught:
        Engines(Engine.compiled, None, set()).pick(3)
    assert str(caught.value) == (
        "trainer.engine=compiled cannot train this: no kernel\n"
        "  exists: auto, compiled, cohort, workers, sequential\n"
        "  next: trainer.engine=auto"
    )


def test_several_ways_of_one_name_are_tried_in_turn(monkeypatch, caplog):
    caplog.set_level(logging.INFO, "aeros_torch")
    first, second = (
        EngineOption(Engine.compiled, lambda _, found=found: found, lambda *_: True)
        for found in ("no kernel", Idle("second"))
    )
    monkeypatch.setattr(selection, "ENGINES", [first, second])
    assert Engines(Engine.auto, None, set()).pick(1).name == "second"
    assert not caplog.records
