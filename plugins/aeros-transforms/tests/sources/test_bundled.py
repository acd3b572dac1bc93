import numpy as np
import pytest
import sklearn.datasets

from aeros_core.errors import ConfigError
from aeros_core.testing import SourceTests
from aeros_transforms.sources import bundled, npz, table

SOURCES = {
    "digits": bundled.Digits,
    "breast_cancer": bundled.BreastCancer,
    "iris": bundled.Iris,
    "wine": bundled.Wine,
    "diabetes": bundled.Diabetes,
}


class TestDigits(SourceTests):
    def make(self):
        return bundled.Digits(test_fraction=0.2, seed=0)


class TestBreastCancer(SourceTests):
    def make(self):
        return bundled.BreastCancer(test_fraction=0.2, seed=0)


class TestIris(SourceTests):
    def make(self):
        return bundled.Iris(test_fraction=0.0, seed=0)


class TestWine(SourceTests):
    def make(self):
        return bundled.Wine(test_fraction=0.5, seed=3)


class TestDiabetes(SourceTests):
    def make(self):
        return bundled.Diabetes(test_fraction=0.2, seed=0)


@pytest.mark.parametrize("name", SOURCES)
def test_equals_what_scikit_learn_loads(name):
    options = {"scaled": False} if name == "diabetes" else {}
    peer = getattr(sklearn.datasets, f"load_{name}")(**options)
    data = SOURCES[name](test_fraction=0.0, seed=0).load("train")
    feature, target = data.schema.fields
    features = data.columns[feature.name].reshape(len(data), -1)
    np.testing.assert_array_equal(features, peer.data.astype(np.float32))
    np.testing.assert_array_equal(data.columns[target.name], peer.target)
    if name != "diabetes":
        assert target.categories == tuple(str(label) for label in peer.target_names)


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "iris", "wine"])
def test_equals_the_public_loader_where_the_file_is_elsewhere(name, monkeypatch):
    usual = SOURCES[name](test_fraction=0.0, seed=0).load("train")
    monkeypatch.setattr(bundled, "find_spec", lambda name: None)
    other = SOURCES[name](test_fraction=0.0, seed=0).load("train")
    assert other.schema == usual.schema
    for field in usual.schema.names:
        np.testing.assert_array_equal(other.columns[field], usual.columns[field])


def test_digits_are_images():
    schema = bundled.Digits(test_fraction=0.2, seed=0).load("train").schema
    assert str(schema) == ("   image: float32 (8, 8), 0 to 16\n-> label: int64 (), 10 categories")


@pytest.mark.parametrize("name", SOURCES)
def test_options_are_named_in_messages(name):
    with pytest.raises(ConfigError) as caught:
        SOURCES[name](test_fraction=2.0, seed=0)
    told = f"transformer.{name}.test_fraction=2.0".replace(
        "=", f" must be {caught.value.exists}, got ", 1
    )
    assert caught.value.asked == told


@pytest.mark.parametrize("name", SOURCES)
def test_anybody_may_have_their_rows(name):
    assert SOURCES[name].public


def test_a_file_of_ones_own_is_nobody_elses():
    assert not hasattr(table.Table, "public")
    assert not hasattr(npz.Npz, "public")
