"""The contract of partitioners."""

from __future__ import annotations

import numpy as np

from aeros_core.data import Batch, Dataset, Partition
from aeros_core.roles.transformer import Partitioner, Source, Transformer
from aeros_core.testing.assertions import assert_same
from aeros_core.testing.options import OptionsContract

__all__ = ["PartitionerTests"]


class PartitionerTests(OptionsContract):
    """Tests that any partitioner passes. A subclass defines two methods.

    ``make()`` returns a new partitioner, and ``example()`` data that it can cut into at
    least two clients: at least twenty rows. One that draws nothing sets ``random = False``;
    one that leaves rows out sets ``complete = False``.
    """

    random = True
    """Whether another generator gives another partition."""

    complete = True
    """Whether every row belongs to a client."""

    def make(self) -> Partitioner:
        """Return a new partitioner; every call the same."""
        raise NotImplementedError

    def example(self) -> Dataset:
        """Return data the partitioner can cut; every call the same."""
        raise NotImplementedError

    def use(self, part: Partitioner) -> None:
        """Cut the example."""
        part.partition(self.example(), np.random.default_rng(1))

    def cut(self, seed: int = 1) -> Partition:
        """Return the partition of the example that a generator of this seed gives."""
        return self.make().partition(self.example(), np.random.default_rng(seed))

    def test_is_a_partitioner(self) -> None:
        """The object has every method of the role, and is of no other kind."""
        partitioner = self.make()
        assert isinstance(partitioner, Partitioner)
        assert not isinstance(partitioner, Source | Transformer)

    def test_rows_are_rows_of_the_data(self) -> None:
        """Rows are numbers within the data, no client has another's, and none is lost."""
        rows = self.cut().rows
        assert rows.dtype == np.int64
        assert rows.min() >= 0
        assert rows.max() < len(self.example())
        assert len(np.unique(rows)) == len(rows), "a row belongs to two clients"
        assert not self.complete or len(rows) == len(self.example())

    def test_every_client_has_examples(self) -> None:
        """Offsets run from 0 to the number of rows, and no client is empty."""
        partition = self.cut()
        assert len(partition) >= 2
        assert partition.offsets.dtype == np.int64
        assert partition.offsets[0] == 0
        assert partition.offsets[-1] == len(partition.rows)
        assert partition.sizes.min() > 0

    def test_every_client_has_a_name_of_its_own(self) -> None:
        """There are as many different names as clients."""
        partition = self.cut()
        assert len({partition.name(i) for i in range(len(partition))}) == len(partition)
        assert partition.names is None or len(partition.names) == len(partition)

    def test_the_generator_decides(self) -> None:
        """The same generator gives the same partition, another one another."""
        first = self.cut(1)
        assert_same(_table(self.cut(1)), _table(first))
        second = _table(self.cut(2))
        same = all(np.array_equal(array, second[name]) for name, array in _table(first).items())
        assert same != self.random

    def test_rows_are_counted_within_the_data(self) -> None:
        """Part of a table is cut like a table of that part alone."""
        data = self.example()
        part = data.take(np.arange(len(data))[::-1].copy())
        alone = Dataset(part.schema, part.batch())
        cuts = [self.make().partition(d, np.random.default_rng(1)) for d in (part, alone)]
        assert_same(_table(cuts[0]), _table(cuts[1]))

    def test_changes_nothing_it_was_given(self) -> None:
        """The data stay as they are, and may be read-only."""
        data = self.example()
        for column in data.columns.values():
            column.setflags(write=False)
        self.make().partition(data, np.random.default_rng(1))
        assert_same(data.columns, self.example().columns)

    def test_only_leaves_fields_out(self) -> None:
        """Every field of the clients' data is one of the table's; the target stays."""
        schema = self.example().schema
        after = self.make().output_schema(schema)
        assert set(after.fields) <= set(schema.fields)
        assert after.target == schema.target


def _table(partition: Partition) -> Batch:
    return {"rows": partition.rows, "offsets": partition.offsets}
