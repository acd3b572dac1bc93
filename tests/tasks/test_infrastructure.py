import os
import subprocess

import pytest

from aeros_core.errors import ConfigError
from aeros_core.tasks import infrastructure
from aeros_core.tasks.infrastructure import (
    Description,
    InfrastructureElement,
    check,
    this_machine,
    unmet,
)
from aeros_core.tasks.subtask import Requirements, Subtask
from aeros_core.tasks.task import Task

EDGE = InfrastructureElement(
    name="edge-1",
    cpu_cores=4,
    memory_mb=8000,
    gpu_memory_mb=0,
    architecture="arm64",
    description=Description(tier="Edge", labels={"site": "Madrid"}, data=["grid"]),
)
VERSIONS = {"aeros-core": "0.1.0", "aeros-torch": "0.1.3"}


@pytest.mark.parametrize(
    ("asked", "lines"),
    [
        ({}, []),
        ({"cpu_cores": 4, "memory_mb": 8000, "architecture": "arm64", "tier": "Edge"}, []),
        ({"labels": {"site": "Madrid"}, "data": ["grid"]}, []),
        ({"plugins": ["aeros-torch>=0.1,<0.2", "aeros-core"]}, []),
        ({"cpu_cores": 8.0}, ["cpu_cores=8, it has 4"]),
        ({"memory_mb": 16000}, ["memory_mb=16000, it has 8000"]),
        ({"gpu_memory_mb": 1}, ["gpu_memory_mb=1, it has 0"]),
        ({"architecture": "x64"}, ["architecture=x64, it is arm64"]),
        ({"tier": "Cloud"}, ["tier=Cloud, it is Edge"]),
        ({"data": ["grid", "wind"]}, ["data=wind, it holds grid"]),
        ({"labels": {"site": "Paris"}}, ["labels.site=Paris, it carries site=Madrid"]),
        ({"plugins": ["aeros-torch>=0.2"]}, ["plugins=aeros-torch>=0.2, it has 0.1.3"]),
        ({"plugins": ["aeros-onnx"]}, ["plugins=aeros-onnx, it has none"]),
        (
            {"cpu_cores": 8.0, "tier": "Cloud"},
            ["cpu_cores=8, it has 4", "tier=Cloud, it is Edge"],
        ),
    ],
)
def test_what_is_not_met_is_told_a_line_each(asked, lines):
    assert unmet(Requirements(**asked), EDGE, VERSIONS) == lines


def test_a_tier_that_nobody_told_meets_no_tier():
    bare = InfrastructureElement("bare", 1, 1, 0, "x64")
    assert unmet(Requirements(tier="IoT"), bare, {}) == ["tier=IoT, it is unknown"]


def test_what_nobody_has_measured_meets_nothing_and_hinders_nothing():
    unknown = InfrastructureElement("unknown", None, None, None, None)
    assert unmet(Requirements(), unknown, {}) == []
    asked = Requirements(
        cpu_cores=2, memory_mb=12345678, gpu_memory_mb=1, architecture="x64", data=["grid"],
        labels={"site": "a"},
    )  # fmt: skip
    assert unmet(asked, unknown, {}) == [
        "cpu_cores=2, it is unknown",
        "memory_mb=12345678, it is unknown",
        "gpu_memory_mb=1, it is unknown",
        "architecture=x64, it is unknown",
        "data=grid, it holds none",
        "labels.site=a, it carries none",
    ]


def test_a_requirement_that_is_none_is_refused():
    with pytest.raises(ConfigError) as refused:
        unmet(Requirements(plugins=["aeros torch!"]), EDGE, VERSIONS)
    assert str(refused.value) == (
        "requires.plugins: 'aeros torch!' is no requirement\n  next: aeros-torch>=0.1"
    )


def test_a_task_that_asks_too_much_is_told_for_which_sub_task_and_where():
    asking = Subtask(requires=Requirements(cpu_cores=8, memory_mb=9000))
    with pytest.raises(ConfigError) as refused:
        check(Task(subtasks={"train": asking}), EDGE, VERSIONS)
    assert str(refused.value) == (
        "sub-task 'train' cannot run on edge-1: it asks for cpu_cores=8, it has 4;"
        " memory_mb=9000, it has 8000\n"
        "  next: lower task.subtasks.train.requires, say what the machine has with"
        " infrastructure.labels, .data or .tier, or choose another machine"
    )
    check(Task(), EDGE, VERSIONS)


def test_this_machine_is_measured():
    here = this_machine(Description(tier="Cloud"))
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    assert here.cpu_cores == len(os.sched_getaffinity(0))
    assert here.memory_mb == int(total)
    assert here.architecture in ("x64", "arm64", "arm32", "riscv64")
    assert here.description.tier == "Cloud"


@pytest.mark.parametrize(
    ("says", "memory"),
    [("24576\n81920\n", 81920), ("", 0), ("[N/A]\n", 0), (FileNotFoundError(), 0)],
    ids=["two", "none", "unknown", "no tool"],
)
def test_the_largest_gpu_counts(monkeypatch, says, memory):
    def answer(command, **_):
        if isinstance(says, Exception):
            raise says
        return subprocess.CompletedProcess(command, 0, says, "")

    monkeypatch.setattr(subprocess, "run", answer)
    assert infrastructure.this_machine(Description()).gpu_memory_mb == memory


def test_a_tier_that_there_is_not_is_refused_and_those_that_are_are_named():
    with pytest.raises(ConfigError, match=r"infrastructure.tier=faredge is no tier") as refused:
        this_machine(Description(tier="faredge"))
    assert refused.value.exists == "Cloud, Edge, FarEdge, IoT"
    assert refused.value.hint == "infrastructure.tier=FarEdge"
