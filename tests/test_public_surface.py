"""What aeros_core exports: every name is there, documented, typed, and costs nothing unused."""

import ast
import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import aeros_core
from aeros_core import roles

ROOT = Path(__file__).parents[1]
HEAVY = {
    "torch", "numba", "flwr", "zarr", "onnxruntime", "hydra", "omegaconf", "matplotlib", "rich",
    "pandas", "hypothesis", "pytest",
}  # fmt: skip
SCRIPTS = {"build_part", "build_service", "delivered", "discover", "load_config", "plain_config"}
"""Functions that compose a configuration, which takes Hydra."""


def loaded_by(code):
    """Return the top-level modules that a new interpreter has imported after some code."""
    code += "\nimport sys\nprint(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_contracts_are_imported_without_anything_heavy():
    names = "hookimpl, Parameters, Update, Instruction, Schema, Task, ConfigError"
    assert not loaded_by(f"from aeros_core import {names}") & HEAVY


def test_every_contract_is_imported_without_anything_heavy():
    names = ", ".join(sorted(set(aeros_core.__all__) - SCRIPTS))
    assert not loaded_by(f"from aeros_core import {names}") & HEAVY


def test_what_a_plugin_module_imports_at_discovery_is_light():
    light = "from aeros_core import __version__, hookimpl, file_option, ConfigError"
    assert not loaded_by(light) & {*HEAVY, "numpy"}


def test_functions_of_scripts_are_there():
    loaded = loaded_by(f"from aeros_core import {', '.join(SCRIPTS)}")
    assert not loaded & {"torch", "numba", "flwr", "zarr", "onnxruntime", "matplotlib", "pandas"}


@pytest.mark.parametrize("name", aeros_core.__all__)
def test_every_name_is_what_its_module_defines(name):
    value = getattr(aeros_core, name)
    [(module, real)] = [(module, real) for module, real, public in typed() if public == name]
    assert getattr(sys.modules[module], real) is value


def typed():
    """Yield ``(module, name there, public name)`` of the imports that type checkers read."""
    tree = ast.parse(inspect.getsource(aeros_core))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("aeros_core"):
            yield from ((node.module, a.name, a.asname or a.name) for a in node.names)


def test_nothing_else_is_public():
    assert {public for _, _, public in typed()} == set(aeros_core.__all__)
    assert dir(aeros_core) == sorted(aeros_core.__all__)
    attributes = {name for name in vars(aeros_core) if not name.startswith("_")}
    modules = {name for name in attributes if inspect.ismodule(getattr(aeros_core, name))}
    assert attributes - modules - {"TYPE_CHECKING", "import_module"} <= set(aeros_core.__all__)


def test_a_public_name_is_never_that_of_a_module():
    folder = Path(aeros_core.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} | {p.name for p in folder.iterdir()}
    assert not modules & set(aeros_core.__all__)


def test_a_star_brings_every_name():
    namespace = {}
    exec("from aeros_core import *", namespace)
    assert set(aeros_core.__all__) <= set(namespace)


def test_other_names_are_refused_as_those_of_any_module():
    with pytest.raises(AttributeError, match="module 'aeros_core' has no attribute 'Parameter'"):
        aeros_core.Parameter  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Parameter' from 'aeros_core'"):
        exec("from aeros_core import Parameter")


def test_every_error_is_exported():
    from aeros_core import errors

    assert set(errors.__all__) <= set(aeros_core.__all__)


def test_roles_and_optional_capabilities_are_exported():
    found = [f"aeros_core.roles.{path.stem}" for path in Path(roles.__path__[0]).glob("[!_]*.py")]
    assert len(found) == 12
    for module in map(import_module, found):
        assert set(module.__all__) - {"disclosed_by"} <= set(aeros_core.__all__), module.__name__


def test_the_page_of_plugins_lists_every_name():
    page = (ROOT / "docs/plugins.md").read_text()
    section = page.partition("## What `aeros_core` exports")[2].partition("\n## ")[0]
    rows = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    listed = re.findall(r"`(\w+)`", rows)
    assert sorted(listed) == sorted(aeros_core.__all__)


IMPORTED = re.compile(r"^\s*(?:from (aeros_core[.\w]*) import|import (aeros_core[.\w]*))", re.M)


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/README.md")],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_pages_use_what_is_public(page):
    for block in re.findall(r"```python[^\n]*\n(.*?)```", page.read_text(), re.DOTALL):
        modules = {one or other for one, other in IMPORTED.findall(block)}
        assert modules <= {"aeros_core", "aeros_core.testing"}
        names = re.findall(r"from aeros_core import ([\w, ]+)", block)
        assert set(re.split(r",\s*", ", ".join(names))) - {""} <= set(aeros_core.__all__)
