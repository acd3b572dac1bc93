"""Which versions of aeros-core a distribution takes: the quick comparison and packaging agree."""

import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from aeros_core.plugins import core_requirement
from aeros_core.plugins.core_requirement import unmet_requirement


def asking(*lines):
    return SimpleNamespace(requires=list(lines))


releases = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(lambda n: ".".join(map(str, n)))


@given(below=releases, least=releases, this=releases)
def test_a_plain_range_is_compared_as_packaging_compares_it(below, least, this):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core_requirement, "__version__", this)
        unmet = unmet_requirement(asking(f"aeros-core<{below},>={least}"))
    assert (unmet is None) == SpecifierSet(f"<{below},>={least}").contains(this)


@pytest.mark.parametrize(
    "version",
    ["0.1.0", "0.2.0", "0.1.0.dev3", "0.2.0rc1", "0.1"],
)
def test_versions_that_are_no_plain_release_are_left_to_packaging(monkeypatch, version):
    monkeypatch.setattr(core_requirement, "__version__", version)
    unmet = unmet_requirement(asking("aeros-core<0.2,>=0.1.0.dev0"))
    assert (unmet is None) == SpecifierSet("<0.2,>=0.1.0.dev0").contains(version, prereleases=True)


@pytest.mark.parametrize(
    "line", ["aeros-core", "aeros_core (>=0.1)", "Aeros.Core >=0.1; python_version>'3'", "numpy>=9"]
)
def test_other_spellings_are_met(line):
    assert unmet_requirement(asking(line)) is None


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("aeros-core >= banana", "aeros-core >= banana, which is not understood"),
        ("aeros-core<0.1,>=0.0", "aeros-core<0.1,>=0.0"),
        ("aeros_core==9", "aeros_core==9"),
        ("aeros-core<9,>=8; extra == 'x'", None),
    ],
)
def test_what_is_not_met_is_named(line, told):
    assert unmet_requirement(asking("numpy", line)) == told


def test_no_metadata_ask_for_nothing():
    assert unmet_requirement(None) is None
    assert unmet_requirement(SimpleNamespace(requires=None)) is None


def test_the_range_that_wheels_state_needs_no_packaging(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "packaging"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [])
    assert unmet_requirement(asking("aeros-core<0.2,>=0.1")) is None
