import numpy as np
import pytest
from fakes import Fixed, Linear, graph, model, rows

from aeros_core.errors import ConfigError
from aeros_core.testing import InferencerTests
from aeros_graphs.ensemble import EnsembleInferencer

SURE, OTHER = [0.9, 0.1], [0.3, 0.7]


def three(**options):
    members = {
        "a": Fixed(scores=SURE, label=0),
        "b": Fixed(scores=OTHER, label=1),
        "c": Fixed(scores=OTHER, label=1),
    }
    return graph(EnsembleInferencer, members, **{"combine": "mean", "parallel": False} | options)


@pytest.mark.parametrize("parallel", [False, True])
class TestContract(InferencerTests):
    """The contract with two members of one model."""

    @pytest.fixture(autouse=True)
    def how(self, parallel):
        self.parallel = parallel

    def make(self):
        members = {"a": Linear(), "b": Linear(2.0)}
        return graph(EnsembleInferencer, members, combine="mean", parallel=self.parallel)

    def model(self):
        return model()

    def other(self):
        return model(1)

    def batch(self):
        return rows()


@pytest.mark.parametrize(
    ("combine", "weights", "expected", "label"),
    [
        ("mean", [1, 1, 1], [0.5, 0.5], 0),
        ("mean", [9, 1, 1], [0.5, 0.5], 0),
        ("weighted", [2, 1, 1], [0.6, 0.4], 0),
        ("weighted", [1, 1, 2], [0.45, 0.55], 1),
        ("vote", [1, 1, 1], [1 / 3, 2 / 3], 1),
        ("vote", [3, 1, 1], [0.6, 0.4], 0),
    ],
)
def test_answers_become_one(combine, weights, expected, label):
    answer = three(combine=combine, weights=weights).predict(rows(2))
    np.testing.assert_allclose(answer["scores"], [expected] * 2, rtol=1e-6)
    assert answer["scores"].dtype == np.float32
    assert answer["label"].tolist() == [label] * 2


def test_numbers_have_no_label():
    members = {"a": Fixed(scores=1.0), "b": Fixed(scores=3.0)}
    made = graph(EnsembleInferencer, members, combine="mean", parallel=False)
    answer = made.predict(rows(2))
    assert {name: column.tolist() for name, column in answer.items()} == {"scores": [2.0, 2.0]}


@pytest.mark.parametrize(
    ("combine", "second", "said"),
    [
        ("mean", {"logits": SURE}, "member 'b' answers without 'scores'"),
        ("vote", {"scores": SURE}, "member 'b' answers without 'label'"),
        ("mean", {"scores": [1.0, 0, 0]}, r"member 'b' answers scores \(2, 3\), the first \(2, 2"),
    ],
)
def test_members_that_do_not_fit(combine, second, said):
    members = {"a": Fixed(scores=SURE, label=0), "b": Fixed(**second)}
    made = graph(EnsembleInferencer, members, combine=combine, parallel=False)
    with pytest.raises(ConfigError, match=said):
        made.predict(rows(2))


def test_one_member_is_no_ensemble():
    with pytest.raises(ConfigError, match="has 1 of at least 2 members"):
        EnsembleInferencer(members={"a": {}}, combine="mean", parallel=False)
