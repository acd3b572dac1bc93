"""Infrastructure elements: what a machine has, held against what a sub-task asks."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field

from aeros_core.errors import ConfigError
from aeros_core.tasks.subtask import Requirements
from aeros_core.tasks.task import Task

__all__ = [
    "TIERS",
    "Description",
    "InfrastructureElement",
    "check",
    "check_tier",
    "this_machine",
    "unmet",
]

TIERS = ("Cloud", "Edge", "FarEdge", "IoT")

_ARCHITECTURES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "armv7l": "arm32"}


@dataclass(frozen=True, slots=True)
class Description:
    """What cannot be measured of a machine; the structured configuration of ``infrastructure``.

    Args:
        tier: Cloud, Edge, FarEdge or IoT.
        labels: Labels it carries, with their values.
        data: Data sets it holds.
    """

    tier: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    data: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class InfrastructureElement:
    """One machine of the continuum; what nobody has measured of it is None, and meets nothing.

    Args:
        name: Its host name.
        cpu_cores: Cores this process may use.
        memory_mb: Memory in MB.
        gpu_memory_mb: Memory of its largest GPU in MB; 0 without one.
        architecture: x64, arm64, arm32 or risc-v.
        description: What its owner says of it.
    """

    name: str
    cpu_cores: float | None
    memory_mb: int | None
    gpu_memory_mb: int | None
    architecture: str | None
    description: Description = field(default_factory=Description)


def check_tier(tier: str | None, option: str) -> None:
    """Refuse a tier that there is not.

    Args:
        tier: What was typed; None: nothing.
        option: Where, as ``infrastructure.tier=``.

    Raises:
        ConfigError: It is none of `TIERS`.
    """
    if tier is not None and tier not in TIERS:
        meant = next((t for t in TIERS if t.lower() == tier.lower()), TIERS[1])
        raise ConfigError(
            f"{option}{tier} is no tier", exists=", ".join(TIERS), hint=f"{option}{meant}"
        )


def this_machine(description: Description) -> InfrastructureElement:
    """Measure the machine this process runs on.

    Raises:
        ConfigError: It is said to be of a tier that there is not.
    """
    check_tier(description.tier, "infrastructure.tier=")
    machine = platform.machine().lower()
    return InfrastructureElement(
        name=platform.node(),
        cpu_cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        memory_mb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        gpu_memory_mb=_gpu_memory_mb(),
        architecture=_ARCHITECTURES.get(machine, machine),
        description=description,
    )


def _gpu_memory_mb() -> int:
    import subprocess

    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        out = subprocess.run(  # noqa: S603 - a fixed command
            query, capture_output=True, text=True, timeout=10, check=True
        ).stdout
        return max(int(line) for line in out.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0


def unmet(
    asked: Requirements, element: InfrastructureElement, versions: Mapping[str, str]
) -> list[str]:
    """Return, one line each, what ``asked`` wants and ``element`` does not have."""
    has = element.description
    lines = [
        f"{name}={least:.12g}, it {'is unknown' if there is None else f'has {there:.12g}'}"
        for name, least, there in (
            ("cpu_cores", asked.cpu_cores, element.cpu_cores),
            ("memory_mb", asked.memory_mb, element.memory_mb),
            ("gpu_memory_mb", asked.gpu_memory_mb, element.gpu_memory_mb),
        )
        if least > (there or 0)
    ]
    lines += [
        f"{name}={wanted}, it is {there or 'unknown'}"
        for name, wanted, there in (
            ("architecture", asked.architecture, element.architecture),
            ("tier", asked.tier, has.tier),
        )
        if wanted not in (None, there)
    ]
    holds = ", ".join(has.data) or "none"
    lines += [f"data={name}, it holds {holds}" for name in asked.data if name not in has.data]
    carries = ", ".join(f"{key}={value}" for key, value in has.labels.items()) or "none"
    lines += [
        f"labels.{key}={value}, it carries {carries}"
        for key, value in asked.labels.items()
        if has.labels.get(key) != value
    ]
    return lines + _unmet_plugins(asked.plugins, versions)


def _unmet_plugins(asked: list[str], versions: Mapping[str, str]) -> list[str]:
    from packaging.requirements import InvalidRequirement, Requirement

    lines = []
    for text in asked:
        try:
            wanted = Requirement(text)
        except InvalidRequirement as error:
            raise ConfigError(
                f"requires.plugins: '{text}' is no requirement", hint="aeros-torch>=0.1"
            ) from error
        has = versions.get(wanted.name)
        if has is None or not wanted.specifier.contains(has, prereleases=True):
            lines.append(f"plugins={text}, it has {has or 'none'}")
    return lines


def check(task: Task, element: InfrastructureElement, versions: Mapping[str, str]) -> None:
    """Hold every sub-task's requirements against the element it is to run on.

    Raises:
        ConfigError: The element lacks something a sub-task asks for.
    """
    for name, subtask in task.subtasks.items():
        if lines := unmet(subtask.requires, element, versions):
            raise ConfigError(
                f"sub-task '{name}' cannot run on {element.name}: it asks for " + "; ".join(lines),
                hint=f"lower task.subtasks.{name}.requires, say what the machine has with"
                " infrastructure.labels, .data or .tier, or choose another machine",
            )
