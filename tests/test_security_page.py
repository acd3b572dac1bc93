"""The page on security names a test for every attack, and each of them exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
TEST = r"`((?:tests|plugins)/[\w./-]+\.py(?:::\w+)?)`"
ATTACKS = [
    row
    for table in PAGE.split("| Attack | Result | Test |\n|---|---|---|\n")[1:]
    for row in table.partition("\n\n")[0].splitlines()
    if row.startswith("|")
]


def functions(path):
    """Return the names of all functions of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("named", sorted(set(re.findall(TEST, PAGE))))
def test_every_test_that_the_page_names_exists(named):
    path, _, function = named.partition("::")
    assert (ROOT / path).is_file()
    assert not function or function in functions(ROOT / path)


@pytest.mark.parametrize("row", ATTACKS)
def test_every_attack_names_its_test(row):
    assert row.count("|") == 4
    assert re.search(TEST, row.split("|")[3])
