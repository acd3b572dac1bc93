"""The contract, and the properties each partitioner promises, on one table."""

import numpy as np
import pytest

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError
from aeros_core.schema import Field, Schema
from aeros_core.testing import PartitionerTests
from aeros_transforms.partitioners.by_group import ByGroup
from aeros_transforms.partitioners.dirichlet import Dirichlet
from aeros_transforms.partitioners.iid import Iid
from aeros_transforms.partitioners.quantity import Quantity
from aeros_transforms.partitioners.shards import Shards


def table(rows=200, classes=5):
    rng = np.random.default_rng(0)
    schema = Schema(
        (
            Field("x", "float32"),
            Field("site", "int64", categories=("north", "south", "west")),
            Field("y", "int64", categories=tuple(str(code) for code in range(classes))),
        ),
        "y",
    )
    return Dataset(
        schema,
        {
            "x": rng.random(rows, dtype=np.float32),
            "site": rng.integers(0, 3, rows),
            "y": np.arange(rows) % classes,
        },
    )


def counts(partition, labels):
    """Return (clients, classes): how many of each class a client holds."""
    owner = np.repeat(np.arange(len(partition)), partition.sizes)
    found = np.zeros((len(partition), labels.max() + 1), dtype=np.int64)
    np.add.at(found, (owner, labels[partition.rows]), 1)
    return found


class Cases(PartitionerTests):
    def example(self):
        return table()


class TestIid(Cases):
    def make(self):
        return Iid(clients=7)


class TestDirichlet(Cases):
    def make(self):
        return Dirichlet(clients=20, alpha=0.1, min_examples=3, balanced=False)


class TestBalancedDirichlet(Cases):
    def make(self):
        return Dirichlet(clients=20, alpha=0.5, min_examples=3, balanced=True)


class TestShards(Cases):
    def make(self):
        return Shards(clients=10, shards_per_client=2)


class TestQuantity(Cases):
    def make(self):
        return Quantity(clients=30, alpha=0.3, min_examples=2)


class TestByGroup(Cases):
    random = False

    def make(self):
        return ByGroup(column="site", min_examples=1)


class TestByGroupOfEnough(Cases):
    random = False
    complete = False

    def make(self):
        return ByGroup(column="site", min_examples=60)

    def example(self):
        data = table()
        data.columns["site"][:] = np.arange(200) < 90
        data.columns["site"][:5] = 2
        return data


def cut(partitioner, data, seed=0):
    return partitioner.partition(data, np.random.default_rng(seed))


def test_iid_is_even():
    assert sorted(cut(Iid(clients=7), table()).sizes.tolist()) == [28] * 3 + [29] * 4


def test_shards_hold_two_classes_as_in_mcmahan_2017():
    """MNIST there: 200 shards of 300 for 100 clients; most have digits of two classes."""
    data = table(60_000, 10)
    partition = cut(Shards(clients=100, shards_per_client=2), data)
    assert set(partition.sizes.tolist()) == {600}
    held = (counts(partition, data.columns["y"]) > 0).sum(axis=1)
    assert held.max() == 2
    assert (held == 2).sum() >= 80


def test_dirichlet_shares_have_the_variance_of_the_distribution():
    """A share of Dir(alpha, …) over k has variance (k - 1) / (k^2 (k alpha + 1))."""
    data, clients, alpha = table(200_000, 100), 20, 0.7
    partitioner = Dirichlet(clients=clients, alpha=alpha, min_examples=1, balanced=False)
    shares = counts(cut(partitioner, data), data.columns["y"]) / 2000
    variance = (clients - 1) / (clients**2 * (clients * alpha + 1))
    assert shares.var() == pytest.approx(variance, rel=0.15)


def test_balanced_dirichlet_follows_hsu_2019():
    """Sizes are equal, and mixtures of Dir(alpha p) have variance p (1 - p) / (alpha + 1)."""
    data, alpha = table(200_000, 10), 4.0
    partitioner = Dirichlet(clients=1000, alpha=alpha, min_examples=1, balanced=True)
    partition = cut(partitioner, data)
    assert set(partition.sizes.tolist()) == {200}
    mixtures = counts(partition, data.columns["y"]) / 200
    sampling = 0.1 * 0.9 / 200 * alpha / (alpha + 1)
    assert mixtures.var() == pytest.approx(0.1 * 0.9 / (alpha + 1) + sampling, rel=0.1)


def test_balanced_dirichlet_draws_mixtures_around_the_classes_parts():
    """A mixture of Dir(alpha p) has mean p and variance p (1 - p) / (alpha + 1), class by class."""
    alpha, parts = 4.0, np.array([0.6, 0.3, 0.1])
    y = np.repeat(np.arange(3), (parts * 200_000).astype(int))
    data = Dataset(Schema((Field("y", "int64", (), categories=("a", "b", "c")),), "y"), {"y": y})
    partitioner = Dirichlet(clients=1000, alpha=alpha, min_examples=1, balanced=True)
    partitions = [cut(partitioner, data, seed) for seed in range(4)]
    assert {size for partition in partitions for size in partition.sizes.tolist()} == {200}
    mixtures = np.concatenate([counts(partition, y) / 200 for partition in partitions])
    spread = parts * (1 - parts) / (alpha + 1)
    sampling = parts * (1 - parts) / 200 * alpha / (alpha + 1)
    np.testing.assert_allclose(mixtures.mean(axis=0), parts, atol=1e-12)  # all rows are held
    np.testing.assert_allclose(mixtures.var(axis=0), spread + sampling, rtol=0.1)


@pytest.mark.parametrize("balanced", [False, True])
def test_small_alpha_gives_few_classes_and_large_alpha_all(balanced):
    data = table(10_000, 10)
    for alpha, low, high in ((0.01, 1, 3.5), (1000.0, 9.9, 10)):
        partitioner = Dirichlet(clients=20, alpha=alpha, min_examples=1, balanced=balanced)
        held = (counts(cut(partitioner, data), data.columns["y"]) > 10).sum(axis=1)
        assert low <= held[held > 0].mean() <= high


def test_dirichlet_fills_up_small_clients():
    partitioner = Dirichlet(clients=20, alpha=0.01, min_examples=10, balanced=False)
    assert cut(partitioner, table()).sizes.tolist() == [10] * 20


def test_dirichlet_takes_text_and_whole_numbers_for_classes():
    data = table()
    text = Dataset(
        Schema((Field("y", "str"),), "y"), {"y": np.array(["p", "q"])[data.columns["site"] % 2]}
    )
    partitioner = Dirichlet(clients=4, alpha=1.0, min_examples=1, balanced=False)
    assert cut(partitioner, text).sizes.sum() == 200


def test_dirichlet_refuses_numbers():
    data = Dataset(Schema((Field("y", "float32"),), "y"), {"y": np.zeros(9, np.float32)})
    with pytest.raises(ConfigError) as caught:
        cut(Dirichlet(clients=4, alpha=1.0, min_examples=1, balanced=False), data)
    assert str(caught.value) == (
        "transformer.dirichlet mixes classes, and 'y' is a number\n"
        "  next: transformer=[<source>,quantity], shards, iid or by_group"
    )


def test_quantity_shares_have_the_variance_of_the_distribution():
    sizes = [
        cut(Quantity(clients=10, alpha=2.0, min_examples=1), table(10_000), seed).sizes
        for seed in range(60)
    ]
    assert (np.array(sizes) / 10_000).var() == pytest.approx(9 / (100 * 21), rel=0.15)


@pytest.mark.parametrize(
    "partitioner",
    [
        Iid(clients=1_000_000),
        Dirichlet(clients=1_000_000, alpha=0.5, min_examples=1, balanced=False),
        Dirichlet(clients=1_000_000, alpha=0.5, min_examples=1, balanced=True),
        Shards(clients=1_000_000, shards_per_client=1),
        Quantity(clients=1_000_000, alpha=0.5, min_examples=1),
    ],
    ids=["iid", "dirichlet", "balanced", "shards", "quantity"],
)
def test_a_million_clients(partitioner):
    partition = cut(partitioner, table(1_100_000))
    assert len(partition) == 1_000_000
    assert partition.sizes.min() >= 1
    assert partition.sizes.sum() == 1_100_000


def test_a_million_groups():
    schema = Schema((Field("device", "int64"), Field("y", "float32")), "y")
    rows = np.arange(1_100_000)
    data = Dataset(schema, {"device": rows % 1_000_000, "y": rows.astype(np.float32)})
    partition = cut(ByGroup(column="device", min_examples=1), data)
    assert len(partition) == 1_000_000
    assert partition.name(999_999) == "999999"


@pytest.mark.parametrize(
    ("make", "options", "bad"),
    [
        (Iid, {"clients": 1}, {"clients": 0}),
        (Shards, {"clients": 1, "shards_per_client": 1}, {"clients": 0}),
        (Shards, {"clients": 1, "shards_per_client": 1}, {"shards_per_client": 0}),
        (Quantity, {"clients": 1, "alpha": 1.0, "min_examples": 1}, {"clients": 0}),
        (Quantity, {"clients": 1, "alpha": 1.0, "min_examples": 1}, {"alpha": 0.0}),
        (Quantity, {"clients": 1, "alpha": 1.0, "min_examples": 1}, {"min_examples": 0}),
        (
            Dirichlet,
            {"clients": 1, "alpha": 1.0, "min_examples": 1, "balanced": False},
            {"clients": -1},
        ),
        (
            Dirichlet,
            {"clients": 1, "alpha": 1.0, "min_examples": 1, "balanced": False},
            {"alpha": -1.0},
        ),
        (
            Dirichlet,
            {"clients": 1, "alpha": 1.0, "min_examples": 1, "balanced": False},
            {"min_examples": 0},
        ),
        (ByGroup, {"column": "x", "min_examples": 1}, {"min_examples": 0}),
    ],
)
def test_values_out_of_range(make, options, bad):
    ((name, value),) = bad.items()
    with pytest.raises(ConfigError) as caught:
        make(**options | bad)
    group = {ByGroup: "by_group"}.get(make, make.__name__.lower())
    told = f"transformer.{group}.{name}={value}".replace(
        "=", f" must be {caught.value.exists}, got ", 1
    )
    assert caught.value.asked == told


@pytest.mark.parametrize(
    ("partitioner", "name"),
    [
        (Iid(clients=201), "iid"),
        (Dirichlet(clients=201, alpha=1.0, min_examples=1, balanced=False), "dirichlet"),
        (Quantity(clients=201, alpha=1.0, min_examples=1), "quantity"),
    ],
)
def test_more_clients_than_examples(partitioner, name):
    with pytest.raises(ConfigError) as caught:
        cut(partitioner, table())
    assert caught.value.asked == (
        f"transformer.{name}.clients=201 needs 201 examples: a client would be left with none"
    )
    assert caught.value.exists == "200 examples"
    assert caught.value.hint == f"transformer.{name}.clients=200"


def test_more_shards_than_examples():
    with pytest.raises(ConfigError) as caught:
        cut(Shards(clients=101, shards_per_client=2), table())
    assert str(caught.value) == (
        "transformer.shards: 101 clients of 2 shards need 202 examples: a shard would be empty\n"
        "  exists: 200 examples\n  next: transformer.shards.clients=100"
    )
