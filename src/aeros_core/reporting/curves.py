"""Learning curves, drawn to PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aeros_core.results import Round

__all__ = ["draw"]


def draw(runs: Mapping[str, Sequence[Round]], path: Path, title: str) -> None:
    """Draw every metric of these runs over their rounds, one panel a metric.

    Args:
        runs: ``{label: rounds}``, one line each.
        path: The PNG to write.
        title: What it shows.
    """
    from matplotlib.figure import Figure

    names = _names(runs)
    figure = Figure(figsize=(5 * max(len(names), 1), 3.6), dpi=120, layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(1, max(len(names), 1), squeeze=False)[0]
    for panel, name in zip(panels, names, strict=False):
        for label, rounds in runs.items():
            points = [
                (r.number, r.watched[name]) for r in rounds if r.watched.get(name) is not None
            ]
            marker = "." if len(points) < 2 else ""
            panel.plot(*zip(*points, strict=True), label=label, marker=marker) if points else None
        panel.set_xlabel("round")
        panel.set_ylabel(name)
        panel.grid(visible=True, alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    if len(runs) > 1:
        panels[0].legend(fontsize="small")
    figure.savefig(path, format="png")


def _names(runs: Mapping[str, Sequence[Round]]) -> list[str]:
    found = {name for rounds in runs.values() for r in rounds for name in r.watched}
    return sorted(found, key=lambda name: (name != "accuracy", name))
