import numpy as np
import pytest
from fakes import Fixed, Linear, graph, model, rows

from aeros_core.errors import ConfigError
from aeros_core.testing import InferencerTests
from aeros_graphs.splitter import SplitterInferencer


def split(weights=(1.0, 1.0), seed=0, by=()):
    members = {"a": Fixed(scores=1.0), "b": Fixed(scores=2.0)}
    return graph(SplitterInferencer, members, seed=seed, by=list(by), weights=list(weights))


class TestContract(InferencerTests):
    """The contract with rows that two members share."""

    def make(self):
        members = {"a": Linear(), "b": Linear(3.0)}
        return graph(SplitterInferencer, members, seed=0, by=[])

    def model(self):
        return model()

    def other(self):
        return model(1)

    def batch(self):
        return rows()


@pytest.mark.parametrize("share", [0.5, 0.1, 0.9])
def test_shares_are_those_of_the_weights(share):
    places = split((1 - share, share)).places({"x": np.arange(20_000)})
    # 5 standard deviations of a binomial
    assert abs(places.mean() - share) < 5 * np.sqrt(share * (1 - share) / 20_000)


def test_a_row_stays_with_its_member():
    batch = {"x": np.arange(500), "t": np.array([f"text {i}" for i in range(500)])}
    places = split().places(batch)
    order = np.random.default_rng(0).permutation(500)
    turned = split().places({name: column[order] for name, column in batch.items()})
    np.testing.assert_array_equal(turned, places[order])
    assert (split(seed=1).places(batch) != places).any()


def test_some_fields_decide():
    batch = {"user": np.arange(300) % 10, "x": np.random.default_rng(0).random((300, 4))}
    places = split(by=["user"]).places(batch)
    assert len({(u, p) for u, p in zip(batch["user"], places, strict=True)}) == 10
    with pytest.raises(ConfigError, match="the batch has no field 'user', which decides"):
        split(by=["user"]).predict(rows())


def test_texts_do_not_run_into_one_another():
    one = {"t": np.array([["ab", "c"]] * 2, dtype=object)}
    two = {"t": np.array([["a", "bc"]] * 2, dtype=object)}
    assert any((split(seed=s).places(one) != split(seed=s).places(two)).any() for s in range(20))


def test_a_seed_below_zero():
    with pytest.raises(ConfigError, match=r"inferencer.seed=-1 is not possible"):
        split(seed=-1)
