"""The contracts of sources and steps."""

from __future__ import annotations

import numpy as np
import pytest

from aeros_core.arrays import Array
from aeros_core.data import Batch, Dataset
from aeros_core.messages import State
from aeros_core.roles.disclosure import Disclosure, disclosed_by
from aeros_core.roles.stateful import SupportsState
from aeros_core.roles.transformer import (
    Partitioner,
    Source,
    SupportsAttribution,
    SupportsFit,
    Transformer,
)
from aeros_core.schema import Schema
from aeros_core.testing.assertions import (
    assert_agrees,
    assert_close,
    assert_same,
    assert_state,
)
from aeros_core.testing.options import OptionsContract

__all__ = ["SourceTests", "TransformerTests"]


class SourceTests(OptionsContract):
    """Tests that any source passes. A subclass defines `make`.

    ``make()`` returns a new source that can load at least a training split.
    """

    def make(self) -> Source:
        """Return a new source; every call the same."""
        raise NotImplementedError

    def use(self, part: Source) -> None:
        """Load both splits."""
        part.load("train")
        part.load("test")

    def train(self) -> Dataset:
        """Return the training split of a new source."""
        data = self.make().load("train")
        assert data is not None, "load('train') returned None"
        return data

    def test_is_a_source(self) -> None:
        """The object has every method of the role."""
        assert isinstance(self.make(), Source)

    def test_loads_examples_to_train_on(self) -> None:
        """The training split is not empty."""
        assert len(self.train()) > 0

    def test_schema_says_what_the_arrays_hold(self) -> None:
        """Names, dtypes, shapes, ranges and categories of both splits are as declared."""
        for data in (self.train(), self.make().load("test")):
            if data is not None:
                assert_agrees(data.batch(), data.schema)

    def test_target_is_a_field(self) -> None:
        """What is to be predicted is there."""
        schema = self.train().schema
        assert schema.target is None or schema.target in schema.names

    def test_splits_have_one_schema(self) -> None:
        """What is trained on one split can be evaluated on the other."""
        test = self.make().load("test")
        assert test is None or test.schema == self.train().schema

    def test_loads_the_same_again(self) -> None:
        """The same options give the same bits, whatever was loaded before."""
        source = self.make()
        for split in ("train", "test"):
            loads = [source.load(split), source.load(split), self.make().load(split)]
            first = loads[0]
            for other in loads[1:]:
                assert (first is None) == (other is None)
                if first is not None and other is not None:
                    assert first.schema == other.schema
                    assert_same(first.batch(), other.batch())


class TransformerTests(OptionsContract):
    """Tests that any step passes. A subclass defines two methods.

    ``make()`` returns a new step, and ``example()`` data that it can work on: at least
    four rows, no two alike. A step that changes the number of rows, or looks at more than
    one row at a time, sets ``keeps_rows = False``.
    """

    keeps_rows = True
    """Whether each row is mapped by itself."""

    def make(self) -> Transformer:
        """Return a new step; every call the same."""
        raise NotImplementedError

    def example(self) -> Dataset:
        """Return data the step can work on; every call the same."""
        raise NotImplementedError

    def use(self, part: Transformer) -> None:
        """Fit it, and transform the example."""
        data = self.example()
        part.output_schema(data.schema)
        if isinstance(part, SupportsFit):
            part.fit([part.summarise(data.batch())])
        part.transform(data.batch())

    def ready(self) -> tuple[Transformer, Schema]:
        """Return a step that has seen the example's schema and is fitted to its rows.

        Also the schema after it.
        """
        step, data = self.make(), self.example()
        schema = step.output_schema(data.schema)
        if isinstance(step, SupportsFit):
            step.fit([step.summarise(data.batch())])
        return step, schema

    def test_is_a_step(self) -> None:
        """The object has every method of the role, and is of no other kind."""
        step = self.make()
        assert isinstance(step, Transformer)
        assert not isinstance(step, Source | Partitioner)

    def test_does_what_its_schema_says(self) -> None:
        """Names, dtypes, shapes, ranges and categories are those of `output_schema`."""
        step, schema = self.ready()
        assert_agrees(step.transform(self.example().batch()), schema)

    def test_schema_is_the_same_again(self) -> None:
        """Asking for the schema again, fitted or not, changes neither it nor the step."""
        step, schema = self.ready()
        before = step.transform(self.example().batch())
        assert step.output_schema(self.example().schema) == schema
        assert self.make().output_schema(self.example().schema) == schema
        assert_same(step.transform(self.example().batch()), before)

    def test_changes_nothing_it_was_given(self) -> None:
        """The batch passed in stays as it is, and may be read-only."""
        step, _ = self.ready()
        batch = dict(self.example().batch())
        for column in batch.values():
            column.setflags(write=False)
        step.transform(batch)
        assert_same(batch, self.example().batch())

    def test_same_batch_same_bits(self) -> None:
        """Neither earlier batches nor another object of the kind change the result."""
        step, _ = self.ready()
        batch = self.example().batch()
        first = step.transform(batch)
        assert_same(step.transform(batch), first)
        assert_same(self.ready()[0].transform(batch), first)

    def test_maps_each_row_by_itself(self) -> None:
        """A row alone, or none at all, is mapped as it is among others."""
        if not self.keeps_rows:
            pytest.skip("the step looks at several rows at a time")
        step, _ = self.ready()
        batch = self.example().batch()
        whole = step.transform(batch)
        for rows in (slice(0), slice(0, 1), slice(1, None)):
            part = step.transform({name: column[rows] for name, column in batch.items()})
            assert_same(part, {name: column[rows] for name, column in whole.items()})

    def test_works_without_a_target(self) -> None:
        """A request carries no target; the other fields come out as they do with one."""
        step, schema = self.ready()
        data = self.example()
        if data.schema.target is None:
            pytest.skip("the example has no target")
        whole = step.transform(data.batch())
        given = {n: column for n, column in data.batch().items() if n != data.schema.target}
        wanted = {n: column for n, column in whole.items() if n != schema.target}
        assert_same(step.transform(given), wanted)

    def test_shares_add_up_to_what_they_did(self) -> None:
        """Shares in an answer come back in the shape of every field, and none is lost."""
        step, schema = self.ready()
        if not isinstance(step, SupportsAttribution):
            pytest.skip("the step brings no shares back")
        data, rng = self.example(), np.random.default_rng(0)
        given = {n: column for n, column in data.batch().items() if n != data.schema.target}
        after = {n: c for n, c in step.transform(given).items() if n != schema.target}
        shares = {name: np.asarray(rng.random(column.shape)) for name, column in after.items()}
        back = step.attributed(shares, given)
        assert {n: c.shape for n, c in back.items()} == {n: c.shape for n, c in given.items()}
        np.testing.assert_allclose(_added(back), _added(shares), rtol=1e-5)

    def test_state_brings_everything_back(self) -> None:
        """A new step that is given the state gives the same bits, without any schema."""
        step, _ = self.ready()
        if not isinstance(step, SupportsState):
            pytest.skip("the step keeps no state")
        state = step.state()
        assert_state(state)
        again = self.make()
        assert isinstance(again, SupportsState)
        again.restore(state)
        batch = self.example().batch()
        assert_same(again.transform(batch), step.transform(batch))
        assert_same(_arrays(again.state()), _arrays(state))

    def test_declares_what_its_summaries_disclose(self) -> None:
        """A site knows which kinds of information leave it before the step sees a row."""
        step = self.make()
        if not isinstance(step, SupportsFit):
            pytest.skip("the step is not fitted")
        kinds = disclosed_by(step)
        assert kinds, "a summary of rows discloses something"
        assert Disclosure.undeclared not in kinds, "set discloses = frozenset({Disclosure.sums, …})"

    def test_fits_to_parts_as_to_the_whole(self) -> None:
        """Summaries of parts, in any order, also of no rows, fit like one of all rows."""
        step, _ = self.ready()
        if not isinstance(step, SupportsFit):
            pytest.skip("the step is not fitted")
        batch = self.example().batch()
        wanted = step.transform(batch)
        half = len(self.example()) // 2
        parts = [slice(half), slice(0), slice(half, half + 1), slice(half + 1, None)]
        for order in (parts, parts[::-1]):
            again = self.make()
            again.output_schema(self.example().schema)
            assert isinstance(again, SupportsFit)
            sums = [again.summarise({n: c[rows] for n, c in batch.items()}) for rows in order]
            for summary in sums:
                assert_state(summary)
            again.fit(iter(sums))
            assert_close(again.transform(batch), wanted)


def _added(shares: Batch) -> Array:
    sums = [column.reshape(len(column), -1).sum(axis=1) for column in shares.values()]
    return np.asarray(np.sum(sums, axis=0))


def _arrays(state: State) -> Batch:
    return {name: np.asarray(value) for name, value in state.items()}
