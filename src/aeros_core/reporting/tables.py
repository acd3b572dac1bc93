"""Plain text tables, for terminals and pipes alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

__all__ = ["figures", "main", "table"]

V = TypeVar("V")


def table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> str:
    """Return rows aligned under their columns; numbers to the right, missing ones empty."""
    cells = [[_text(row.get(column, "")) for column in columns] for row in rows]
    numeric = [
        bool(rows) and all(isinstance(row.get(column, 0), int | float) for row in rows)
        for column in columns
    ]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    lines = []
    for line in [list(columns), *cells]:
        aligned = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def figures(metrics: Mapping[str, object]) -> dict[str, object]:
    """Return metrics as a table shows them: numbers with as many digits, others as they are."""
    return {k: float(v) if isinstance(v, int | float) else v for k, v in metrics.items()}


def _text(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def main(metrics: Mapping[str, V]) -> dict[str, V]:
    """Return the figures that are worth a column: none of one class or one output alone."""
    return {name: value for name, value in sorted(metrics.items()) if "." not in name}
