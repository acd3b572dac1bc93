"""The command ``aeros compare``: the runs of a sweep, side by side."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from aeros_core.reporting.tables import table

__all__ = ["add_compare"]


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Give the command ``aeros compare`` its arguments."""
    parser.add_argument("directory", type=Path)
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--plot", type=Path, help="the PNG (default: DIRECTORY/compare.png)")
    parser.set_defaults(command=_compare)


def _compare(parsed: argparse.Namespace) -> int:
    from aeros_core.reporting import compare

    records = compare.read(parsed.directory)
    rows = compare.compare(records)
    if parsed.json:
        print(json.dumps(rows, indent=2))
    else:
        print(table(rows, list(dict.fromkeys(key for row in rows for key in row))))
    plot = parsed.plot or parsed.directory / "compare.png"
    compare.draw(records, plot)
    print(f"curves are in {plot}", file=sys.stderr)
    return 0
