"""Options that name a file or an address are found wherever they stand, under either name."""

from dataclasses import dataclass, field

import pytest

from aeros_core.config.instantiate import build_part
from aeros_core.options.metadata import (
    OptionKind,
    address_option,
    file_option,
    folder_option,
    former_name,
    renamed,
    variable_option,
)
from aeros_core.plugins.registry import Option, Plugin, Registry

PLUGIN = Plugin("lib", "lib", "1.0", "lib")


@dataclass
class Table:
    _target_: str = "argparse.Namespace"
    path: str = file_option("", dataset="table.csv", former="file")
    parts: list[str] | None = file_option(former="pieces")  # noqa: RUF009
    folder: str | None = folder_option(former="directory")
    url: str = address_option("", former="host")
    token: str | None = variable_option(former="secret")
    rows: int = field(default=3, metadata=former_name("lines"))


FORMER = {"file": "path", "pieces": "parts", "directory": "folder", "host": "url",
          "secret": "token"}  # fmt: skip


@pytest.fixture
def registry():
    return Registry((PLUGIN,), {("transformer", "t"): Option("transformer", "t", Table, PLUGIN)})


@pytest.fixture(params=["by option", "by class"])
def part(request):
    """A function that returns the configuration of the part with these options."""
    named = {"_role_": "transformer", "_option_": "t"}
    head = named if request.param == "by option" else {"_target_": Table._target_}
    return lambda **options: head | options


def found(registry, node, where="transformer.t"):
    return {each.where: each for each in registry.located(node, where)}


def test_current_names_are_found_set_or_not(registry, part):
    located = found(registry, part())
    assert set(located) == {f"transformer.t.{name}" for name in FORMER.values()}
    assert {each.current for each in located.values()} == {each.name for each in located.values()}


@pytest.mark.parametrize("former", FORMER)
def test_a_former_name_is_found_where_it_stands(registry, part, former):
    node, current = part(**{former: "x"}), FORMER[former]
    located = found(registry, node)
    assert set(located) == {f"transformer.t.{name}" for name in (*FORMER.values(), former)}
    by_former, by_current = (located[f"transformer.t.{name}"] for name in (former, current))
    assert (by_former.name, by_former.current, by_former.node) == (former, current, node)
    for same in ("kind", "default", "dataset", "is_list", "config"):
        assert getattr(by_former, same) == getattr(by_current, same)


def test_a_former_name_is_found_within_other_parts(registry, part):
    node = {"first": {"inner": [part(file="x", lines=4)]}}
    located = found(registry, node, "transformer")
    assert located["transformer.first.inner.0.file"].kind is OptionKind.FILE
    assert not any(where.endswith(("lines", "rows")) for where in located)


@pytest.mark.parametrize("order", [("file", "path"), ("path", "file")])
def test_where_both_names_are_set_the_current_one_counts(registry, part, order):
    both = dict.fromkeys(order, "former") | {"path": "current"}
    assert list(both) == list(order)
    assert renamed(Table, both) == {"path": "current"}
    built = build_part(registry, "transformer", part(**both))
    assert (built.path, hasattr(built, "file"), built.rows) == ("current", False, 3)
    built = build_part(registry, "transformer", part(file="former"))
    assert (built.path, hasattr(built, "file")) == ("former", False)
