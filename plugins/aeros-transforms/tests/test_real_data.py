"""Chains over real data, against what their own documentation says of them."""

import numpy as np
import pytest

from aeros_core.data import Dataset
from aeros_core.roles.transformer import SupportsFit
from aeros_transforms.config import partitioners, sources, steps
from aeros_transforms.partitioners.by_group import ByGroup
from aeros_transforms.partitioners.shards import Shards
from aeros_transforms.sources.mnist import FashionMnist, Mnist
from aeros_transforms.sources.table import Table
from aeros_transforms.sources.text import Text
from aeros_transforms.steps.concatenate import Stack
from aeros_transforms.steps.one_hot import OneHot
from aeros_transforms.steps.scaling.min_max import MinMax
from aeros_transforms.steps.scaling.standardise import Standardise
from aeros_transforms.steps.window import Window


def made(kind, config):
    return kind(**{name: value for name, value in vars(config).items() if name != "_target_"})


def mapped(data, *chain):
    """Return the data after these steps, each fitted to them."""
    for step in chain:
        schema = step.output_schema(data.schema)
        if isinstance(step, SupportsFit):
            step.fit([step.summarise(data.batch())])
        data = Dataset(schema, step.transform(data.batch()))
    return data.check()


def cut(partitioner, data):
    return partitioner.partition(data, np.random.default_rng(0))


def test_mnist_in_shards(shared):
    data = Mnist(path=str(shared("mnist"))).load("train")
    per_class = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(data.columns["label"]).tolist() == per_class
    assert data.columns["image"].shape == (60_000, 1, 28, 28)
    partition = cut(Shards(clients=100, shards_per_client=2), data)
    assert set(partition.sizes.tolist()) == {600}
    held = [len(np.unique(data.columns["label"][partition[i]])) for i in range(100)]
    assert np.mean(np.array(held) <= 2) > 0.8
    assert max(held) <= 4


def test_fashion_mnist_from_0_to_1(shared):
    data = FashionMnist(path=str(shared("fashion-mnist"))).load("test")
    assert np.bincount(data.columns["label"]).tolist() == [1000] * 10
    images = mapped(data, made(MinMax, steps.MinMax())).columns["image"]
    np.testing.assert_array_equal(images, data.columns["image"] / np.float32(255))


def test_nsl_kdd_by_service(shared):
    folder = shared("nsl-kdd")
    config = sources.Table(
        path=str(folder / "KDDTrain+_20Percent.txt.gz"),
        test_path=str(folder / "KDDTest+.txt.gz"),
        header=False,
        label="41",
        group="2",
        drop=["42"],
    )
    source = made(Table, config)
    train, test = source.load("train"), source.load("test")
    assert (len(train), len(test)) == (25_192, 22_544)
    normal = train.schema["41"].categories.index("normal")
    assert np.mean(train.columns["41"] == normal) == pytest.approx(0.534, abs=5e-4)
    assert np.mean(test.columns["41"] == normal) == pytest.approx(0.431, abs=5e-4)
    assert len(np.unique(train.columns["41"])) == 22
    assert len(np.unique(test.columns["41"])) == 38
    partitioner = made(ByGroup, partitioners.ByGroup(column="2", min_examples=10))
    partition = cut(partitioner, train)
    assert partition.sizes.min() >= 10
    assert {"http", "private", "smtp"} <= set(partition.names)
    schema = partitioner.output_schema(train.schema)
    clients = Dataset(schema, {name: train.columns[name] for name in schema.names})
    chain = (
        made(OneHot, steps.OneHot()),
        made(Standardise, steps.Standardise()),
        made(Stack, steps.Stack()),
    )
    features = mapped(clients, *chain).columns["features"]
    assert features.shape == (25_192, 38 + 3 + 11)  # 3 protocols and 11 flags
    constant = features.std(axis=0) == 0
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(features.std(axis=0)[~constant], 1, atol=1e-3)


def test_ai4i_by_type(shared):
    config = sources.Table(
        path=str(shared("ai4i2020") / "ai4i2020.csv.gz"),
        test_fraction=0.0,
        label="Machine failure",
        group="Type",
        drop=["UDI", "Product ID", "TWF", "HDF", "PWF", "OSF", "RNF"],
    )
    data = made(Table, config).load("train")
    assert data.schema.names == (
        "Type",
        "Air temperature [K]",
        "Process temperature [K]",
        "Rotational speed [rpm]",
        "Torque [Nm]",
        "Tool wear [min]",
        "Machine failure",
    )
    assert data.columns["Machine failure"].sum() == 339
    partition = cut(ByGroup(column="Type", min_examples=1), data)
    sizes = dict(zip(partition.names, partition.sizes.tolist(), strict=True))
    assert sizes == {"H": 1003, "L": 6000, "M": 2997}


def test_cmapss_windows_by_engine(shared):
    config = sources.Table(
        path=str(shared("cmapss-fd001") / "train_FD001.txt.gz"),
        separator="whitespace",
        header=False,
        test_fraction=0.0,
        label="1",
        label_kind=sources.LabelKind.number,
        group="0",
    )
    data = made(Table, config).load("train")
    assert len(data) == 20_631
    windows = mapped(data, made(Stack, steps.Stack(fields=[str(n) for n in range(2, 26)])))
    windows = mapped(windows, Window(size=30, stride=1, group="0"))
    assert windows.columns["features"].shape == (20_631 - 100 * 29, 30, 24)
    partition = cut(ByGroup(column="0", min_examples=1), windows)
    assert partition.names[:3] == ("1", "2", "3")
    first = windows.columns["1"][partition[0]]
    assert first.tolist() == list(range(30, 30 + len(first)))


def test_tinyshakespeare_by_speaker(shared):
    path = shared("tinyshakespeare") / "input.txt.gz"
    source = made(Text, sources.Text(path=str(path)))
    train, test = source.load("train"), source.load("test")
    assert len(train.schema["text"].categories) == 65
    assert len(train.schema["speaker"].categories) == 99
    partition = cut(ByGroup(column="speaker", min_examples=1), train)
    assert len(partition) == 99
    assert "KING RICHARD III" in partition.names
    assert len(test) == pytest.approx(len(train) / 4, rel=0.1)
    letters = np.array(train.schema["text"].categories)
    rows = partition[partition.names.index("First Citizen")]
    assert "".join(letters[train.columns["text"][rows[0]]]).startswith("Before we proceed any")
