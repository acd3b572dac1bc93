"""The contract of an inferencer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from aeros_core.data import Batch
from aeros_core.errors import ConfigError
from aeros_core.records import Model, Module
from aeros_core.roles.inferencer import Inferencer, SupportsConcurrency
from aeros_core.testing.options import OptionsContract

__all__ = ["InferencerTests"]


class InferencerTests(OptionsContract):
    """Tests that any inferencer passes. A subclass defines four methods.

    ``make()`` returns a new inferencer; ``model()`` a model that it can load, and
    ``other()`` one of the same schema with other parameters; ``batch()`` rows that suit
    them, at least three, no two alike. ``module()`` returns what builds the model's
    module, for an inferencer that needs one.
    """

    def make(self) -> Inferencer:
        """Return a new inferencer."""
        raise NotImplementedError

    def model(self) -> Model:
        """Return a model that the inferencer can load; every call the same."""
        raise NotImplementedError

    def other(self) -> Model:
        """Return a model of the same schema that answers differently."""
        raise NotImplementedError

    def batch(self) -> Batch:
        """Return rows for the model, at least three; every call the same."""
        raise NotImplementedError

    def module(self) -> Module | None:
        """Return the callable that builds the model's module; None: none is needed."""
        return None

    def use(self, part: Inferencer) -> None:
        """Load the model, and answer the batch."""
        part.load(self.model(), self.module())
        part.predict(self.batch())

    def loaded(self) -> Inferencer:
        """Return an inferencer that has loaded `model`."""
        inferencer = self.make()
        inferencer.load(self.model(), self.module())
        return inferencer

    def test_is_an_inferencer(self) -> None:
        """The object has every method of the role."""
        assert isinstance(self.make(), Inferencer)

    def test_answers_each_row_once(self) -> None:
        """Every field of the answer has one row for each row of the batch."""
        output = self.loaded().predict(self.batch())
        assert output
        assert {len(column) for column in output.values()} == {_rows(self.batch())}

    def test_answers_no_rows_with_no_rows(self) -> None:
        """A batch of no rows has an answer of the same fields and no rows."""
        inferencer = self.loaded()
        empty = inferencer.predict({name: column[:0] for name, column in self.batch().items()})
        assert set(empty) == set(inferencer.predict(self.batch()))
        assert all(len(column) == 0 for column in empty.values())

    def test_same_batch_same_answer(self) -> None:
        """Neither earlier batches nor an earlier model change an answer."""
        inferencer, batch = self.loaded(), self.batch()
        first = inferencer.predict(batch)
        inferencer.predict({name: column[1:] for name, column in batch.items()})
        _assert_same(inferencer.predict(batch), first)
        inferencer.load(self.other(), self.module())
        inferencer.load(self.model(), self.module())
        _assert_same(inferencer.predict(batch), first)

    def test_threads_get_their_own_answers(self) -> None:
        """With `SupportsConcurrency`, batches of several threads do not mix."""
        inferencer, batch = self.loaded(), self.batch()
        if not isinstance(inferencer, SupportsConcurrency):
            return
        assert isinstance(inferencer.concurrency, int)
        assert inferencer.concurrency >= 1
        asked = [{n: c[start:] for n, c in batch.items()} for start in range(_rows(batch))] * 8
        with ThreadPoolExecutor(inferencer.concurrency) as threads:
            answers = list(threads.map(inferencer.predict, asked))
        for part, answer in zip(asked, answers, strict=True):
            _assert_close(answer, inferencer.predict(part))

    def test_rows_do_not_depend_on_one_another(self) -> None:
        """A row alone is answered as it is among others, whatever their order."""
        inferencer, batch = self.loaded(), self.batch()
        whole = inferencer.predict(batch)
        for row in range(_rows(batch)):
            alone = inferencer.predict({n: column[row : row + 1] for n, column in batch.items()})
            _assert_close(alone, {name: column[row : row + 1] for name, column in whole.items()})
        turned = inferencer.predict({name: column[::-1] for name, column in batch.items()})
        _assert_close(turned, {name: column[::-1] for name, column in whole.items()})

    def test_another_model_answers_differently(self) -> None:
        """Loading takes the place of what was loaded before."""
        inferencer, batch = self.loaded(), self.batch()
        first = inferencer.predict(batch)
        inferencer.load(self.other(), self.module())
        second = inferencer.predict(batch)
        assert any(not np.array_equal(first[name], second[name]) for name in first)

    def test_answers_stay_as_they_are(self) -> None:
        """An answer does not change when the next batch is answered."""
        inferencer, batch = self.loaded(), self.batch()
        first = inferencer.predict(batch)
        kept = {name: np.array(column) for name, column in first.items()}
        inferencer.predict({name: column[::-1] for name, column in batch.items()})
        _assert_same(first, kept)

    def test_changes_nothing_it_was_given(self) -> None:
        """Batch and model stay as they are, and may be read-only."""
        inferencer, model, batch = self.make(), self.model(), self.batch()
        for array in (*batch.values(), *model.parameters.vectors.values()):
            array.setflags(write=False)
        inferencer.load(model, self.module())
        inferencer.predict(batch)
        _assert_same(batch, self.batch())
        assert model.parameters.digest == self.model().parameters.digest

    def test_names_a_missing_field(self) -> None:
        """A batch without a field of the model is refused with the field's name."""
        inferencer, batch = self.loaded(), self.batch()
        for missing in batch:
            renamed = {f"not_{n}" if n == missing else n: column for n, column in batch.items()}
            with pytest.raises(ConfigError, match=rf"\b{missing}\b"):
                inferencer.predict(renamed)


def _rows(batch: Batch) -> int:
    return len(next(iter(batch.values())))


def _assert_same(here: Batch, there: Batch) -> None:
    assert set(here) == set(there)
    for name, column in here.items():
        np.testing.assert_array_equal(column, there[name])


def _assert_close(here: Batch, there: Batch) -> None:
    """Compare answers; those of float kind to the precision of another order of adding."""
    assert set(here) == set(there)
    for name, column in here.items():
        if column.dtype.kind == "f":
            np.testing.assert_allclose(column, there[name], rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(column, there[name])
