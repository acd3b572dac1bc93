"""What an executor is, as the configuration of a SuperNode says it."""

from pathlib import Path

from aeros_core.tasks.infrastructure import Description
from aeros_flower.protocol.executor_info import ExecutorInfo


def test_a_supernode_is_told_everything(tmp_path):
    place = ExecutorInfo(
        "edge 7", True, ("transformer.csv.path=/data/a b.csv", "trainer.lr=0.1"), tmp_path,
        Description("Edge", {"site": "a", "hall": "the left one"}, ["iris", "more of it"]),
        data_root=tmp_path / "data",
    )  # fmt: skip
    told = place.to_node()
    assert all(isinstance(value, str | bool) for value in told.values())
    assert ExecutorInfo.of_node(told) == place


def test_one_that_says_nothing_is_called_by_its_number():
    assert ExecutorInfo.of_node({"partition-id": 3}) == ExecutorInfo("flower-3")
    assert ExecutorInfo.of_node({}).state == Path(".aeros/state")
