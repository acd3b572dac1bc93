"""Who may import whom: arrows run down only, and heavy libraries stay outside."""

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import aeros_core

SOURCE = Path(aeros_core.__file__).parent

LAYERS = [
    # contracts and data
    "errors addresses disclosure hookspecs options safe_open data_files streams unpacking npz"
    " strict_json encoding parameters dtypes proportions messages schema categories data"
    " alignment subtask task presets outcomes tally counts records waiting control events roles"
    " powers storage_powers",
    # the algorithms of the system, and how results look
    "clock weight_cap reply_limits admission intake cohort busy survey node divergence origin"
    " sitting ending rounds figures answering answers scoring workflow pipeline source_data"
    " elements explanation serving retention queries lineage samples"
    " tables curves safetensors rowfile kernel_cache",
    # transport
    "controllers controllers.local",
    # configuration and discovery, and what a person sees
    "builtin console installed importing option_types registry plugins guard directories"
    " interpolations yaml_files checked_loading loading mistakes config parts members compose"
    " locks delivery report progress compare commands followups formats words gc_cli files_cli"
    " verify_cli models_cli results_cli cli",
]
LAYER = {name: level for level, names in enumerate(LAYERS) for name in names.split()}

CONFIGURATION = {"hydra", "omegaconf", "pluggy"}
MAY_CONFIGURE = {
    "checked_loading", "cli", "compose", "config", "delivery", "directories", "guard", "hookspecs",
    "interpolations", "loading", "mistakes", "plugins",
}  # fmt: skip
OMEGACONF_ALONE = {"compare", "option_types", "report", "words"}
"""Who touches Hydra, OmegaConf or pluggy, and who OmegaConf alone."""

ALLOWED = {"numpy", "packaging", "matplotlib", "rich", "yaml"} | CONFIGURATION
DRAWS = {"curves": "matplotlib", "progress": "rich", "yaml_files": "yaml"}


def modules():
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        if not name.startswith(("testing", "conf.")) and name != "__init__":
            found[name.removesuffix(".__init__")] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def imported(tree, *, types=True):
    """Return what a module imports, also within functions; dotted, without names imported."""
    skipped = set() if types else set(_for_types_alone(tree))
    found = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _for_types_alone(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from ast.walk(node)


def ours(tree, *, types=True):
    """Return which modules of the core a module imports."""
    names = {name.partition("aeros_core.")[2] for name in imported(tree, types=types)}
    return {
        ".".join(parts[:length])
        for parts in (name.split(".") for name in names)
        for length in range(1, len(parts) + 1)
        if ".".join(parts[:length]) in MODULES
    }


def others(tree):
    """Return which distributions a module imports beside the standard library."""
    tops = {name.partition(".")[0] for name in imported(tree)}
    return tops - set(sys.stdlib_module_names) - {"aeros_core"}


@pytest.mark.parametrize("name", MODULES)
def test_arrows_run_down_only(name):
    assert name in LAYER, f"say in LAYERS to which layer {name} belongs"
    above = {m for m in ours(MODULES[name], types=False) if LAYER[m] > LAYER[name]}
    assert not above, f"{name} imports {above} from a layer above its own"


def test_no_two_modules_import_one_another():
    graph = {name: ours(tree, types=False) - {name} for name, tree in MODULES.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_only_configuration_touches_hydra_omegaconf_and_pluggy(name):
    touched = others(MODULES[name]) & CONFIGURATION
    allowed = {"omegaconf"} if name in OMEGACONF_ALONE else set()
    allowed = CONFIGURATION if name in MAY_CONFIGURE else allowed
    assert touched <= allowed, f"{name} imports {touched}"


@pytest.mark.parametrize("name", MODULES)
def test_nothing_else_is_imported_than_what_the_core_depends_on(name):
    drawing = {library for module, library in DRAWS.items() if module != name}
    assert others(MODULES[name]) <= ALLOWED - drawing


def test_every_module_says_what_it_offers():
    for name, tree in MODULES.items():
        if name == "controllers":
            continue
        assert ast.get_docstring(tree), name
        assigned = [ast.unparse(n.targets[0]) for n in tree.body if isinstance(n, ast.Assign)]
        assert "__all__" in assigned, name


def test_the_contract_kits_need_the_contracts_alone():
    for path in (SOURCE / "testing").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert others(tree) <= {"numpy", "pytest", "hypothesis"}, path.name
        upper = {m for m in ours(tree) if LAYER[m] > LAYER["roles"]}
        assert not upper, f"testing/{path.name} imports {upper}"
