"""Which package may import which, what each may use, and how large and how named things are."""

import ast
import re
import sys
import tomllib
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ORDER = {
    "aeros_core": (
        "errors former_targets seeding version arrays < encoding schema < parameters <"
        " data messages < fields files numerics options results < tasks < records < hooks <"
        " hookspecs roles <"
        " plugins < models reporting testing < preprocessing < federated < inference < config"
        " controllers < cli < __init__"
    ),
    "aeros_aggregators": (
        "arrays config options personal < kernels < codecs < reduction < rules < __init__"
    ),
    "aeros_algorithms": (
        "checksums wheels activation < keys < policy < delivery keys_cli < cli < __init__"
    ),
    "aeros_flower": (
        "config system < metrics protocol security < http site < cluster superlink < executor"
        " membership < cli client_app < controller < server_app < __init__"
    ),
    "aeros_graphs": (
        "config member_statistics < remote graph < ensemble sequence splitter switch < __init__"
    ),
    "aeros_onnx": (
        "__init__ comparison session traversal < validation < graph < export importing sklearn <"
        " inferencer split < file_format"
    ),
    "aeros_serving": (
        "config protocol promotion < security models < control < requests metadata"
        " < prediction < rest grpc < server < lifecycle < workers < launch < cli subtask < __init__"
    ),
    "aeros_torch": (
        "config kernels < modules < training inference < export engines < trainer < __init__"
    ),
    "aeros_transforms": ("options config < sources steps < partitioners < __init__"),
    "aeros_zarr": ("__init__ locks < stores < format < blobs < archive < local s3"),
}
"""The modules and packages at the top of each distribution: each imports from its left alone."""

FORBIDDEN = set(
    "sitting busy tally breathe desk survey intake workshop crew hand bench pace"  # noqa: SIM905
    " slopes way door doorbell roster parcel crate brief leash tidy attached lasting homes shelf"
    " slot lane room calm undrawn afar upkeep gate keep rest place line peer claim credit"
    " around forms".split()
)
"""Words of other trades: no module, class or public function is called by one of them."""

FIELDS_OWN = {"aeros_serving.rest", "aeros_serving.rest.api", "aeros_serving.rest.api.RestApi"}
"""Where such a word is the field's own term."""

LARGEST_FOLDER, LONGEST_MODULE, LONGEST_FUNCTION = 14, 300, 40
"""Modules in a folder, lines of a module, and of a function without its head and docstring."""

MOST_TESTS = 20
"""Test modules in a folder."""

TESTS_OF_MORE = {"integration", "benchmarks", "fixtures", "dist"}
"""Folders of tests/ for what is about no package of the core alone."""

INIT_IMPORTS = {"aeros_core", "aeros_core.testing", "aeros_aggregators.config"} | set(ORDER)
"""Packages whose `__init__` imports something: hooks are registered, or names are offered."""

CONFIGURATION = {"hydra", "omegaconf", "pluggy"}
MAY_CONFIGURE = {
    "cli.main",
    "config.build",
    "config.loading.allowlist",
    "config.loading.checked_loader",
    "config.loading.diagnostics",
    "config.loading.directories",
    "config.loading.former_options",
    "config.loading.interpolations",
    "config.loading.loader",
    "config.store",
    "config.sweepers",
    "config.task_algorithms",
    "hooks.hook_markers",
    "plugins.discovery",
    "plugins.registration",
}
OMEGACONF_ALONE = {
    "reporting.text",
    "options.option_types",
    "reporting.compare",
    "reporting.run_directory",
}
"""Which modules of the core touch Hydra, OmegaConf or pluggy, and which OmegaConf alone."""

ALLOWED = {
    "matplotlib",
    "numpy",
    "packaging",
    "rich",
    "safetensors",
    "yaml",
} | CONFIGURATION
DRAWS = {
    "config.loading.yaml_files": "yaml",
    "models.safetensors": "safetensors",
    "reporting.curves": "matplotlib",
    "reporting.progress": "rich",
}
PLUGINS_ALONE: dict[str, set[str]] = {
    "numerics.jit": {"numba"},
}
"""What plugins bring, and a module of the core imports for them within a function."""


def source(distribution):
    """Return the folder of a distribution's modules."""
    inner = (
        "src" if distribution == "aeros_core" else f"plugins/{distribution.replace('_', '-')}/src"
    )
    return ROOT / inner / distribution


def modules(distribution):
    """Return every module of a distribution, parsed, by its dotted name."""
    found = {}
    for path in sorted(source(distribution).rglob("*.py")):
        inner = path.relative_to(source(distribution)).with_suffix("").parts
        if "conf" not in inner:
            name = ".".join((distribution, *inner)).removesuffix(".__init__")
            found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = {distribution: modules(distribution) for distribution in ORDER}
EVERY = {name: tree for found in MODULES.values() for name, tree in found.items()}
CORE = {name.removeprefix("aeros_core."): tree for name, tree in MODULES["aeros_core"].items()}


def imported(tree):
    """Return what a module imports, for types and within functions too; dotted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(distribution, name):
    """Return which modules of its own distribution a module imports."""
    there, found = MODULES[distribution], set()
    for each in imported(there[name]):
        parts = each.split(".")
        tops = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
        found |= {next((top for top in tops if top in there), name)}
    return found - {name}


def others(tree):
    """Return which distributions a module imports beside the standard library."""
    return {name.partition(".")[0] for name in imported(tree)} - set(sys.stdlib_module_names)


def unit(name):
    """Return the module or package at the top of its distribution that a module is in."""
    return (*name.split("."), "__init__")[1]


def is_package(name):
    path = source(name.partition(".")[0]).joinpath(*name.split(".")[1:])
    return path.is_dir()


def against(distribution):
    """Yield each import that does not run from right to left in `ORDER`."""
    levels = {
        each: level
        for level, names in enumerate(ORDER[distribution].split(" < "))
        for each in names.split()
    }
    for name in MODULES[distribution]:
        assert unit(name) in levels, f"say in ORDER where {unit(name)} of {distribution} belongs"
        for other in ours(distribution, name):
            up = levels[unit(other)] >= levels[unit(name)]
            if up and unit(other) != unit(name):
                yield name, other


@pytest.mark.parametrize("distribution", ORDER)
def test_arrows_run_down_only(distribution):
    assert set(against(distribution)) == set()


@pytest.mark.parametrize("distribution", ORDER)
def test_the_order_names_what_is_there(distribution):
    named = ORDER[distribution].replace(" < ", " ").split()
    assert sorted(named) == sorted({unit(name) for name in MODULES[distribution]})


def circles(graph):
    """Yield sets of modules that import one another, until none is left."""
    graph = {name: set(after) for name, after in graph.items()}
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            found = error.args[1]
            yield frozenset(found)
            for one, other in pairwise(found):
                graph[other].discard(one)
        else:
            return


@pytest.mark.parametrize("distribution", ORDER)
def test_no_two_modules_import_one_another_even_for_types(distribution):
    graph = {name: ours(distribution, name) for name in MODULES[distribution]}
    assert list(circles(graph)) == []


@pytest.mark.parametrize("distribution", ORDER)
def test_numba_is_imported_wholly_before_a_part_of_it(distribution):
    """Kernels are loaded in a thread: two that import parts first may wait for one another."""
    for name, tree in MODULES[distribution].items():
        found = [
            each.names[0].name if isinstance(each, ast.Import) else each.module
            for each in tree.body
            if isinstance(each, ast.Import | ast.ImportFrom)
        ]
        of_numba = [each for each in found if each and each.partition(".")[0] == "numba"]
        assert of_numba[:1] in ([], ["numba"]), name


@pytest.mark.parametrize("distribution", [each for each in ORDER if each != "aeros_core"])
def test_a_plugin_imports_no_other_plugin(distribution):
    """They meet in configuration, by roles and hooks."""
    for name, tree in MODULES[distribution].items():
        foreign = {each for each in others(tree) if each.startswith("aeros_")}
        assert foreign <= {"aeros_core", distribution}, name


@pytest.mark.parametrize("distribution", ORDER)
def test_no_folder_holds_too_many_modules(distribution):
    folders = [p for p in source(distribution).rglob("*") if p.is_dir()]
    for folder in [source(distribution), *folders]:
        assert len(list(folder.glob("*.py"))) <= LARGEST_FOLDER, folder


def modules_of_tests(distribution):
    """Return the test modules of a distribution, relative to the folder of its tests."""
    inner = "tests" if distribution == "aeros_core" else source(distribution).parents[1] / "tests"
    found = (path.relative_to(ROOT / inner) for path in (ROOT / inner).rglob("test_*.py"))
    return sorted(path for path in found if path.parts[0] not in TESTS_OF_MORE)


@pytest.mark.parametrize("distribution", ORDER)
def test_tests_lie_in_folders_named_after_the_packages(distribution):
    for path in modules_of_tests(distribution):
        assert (source(distribution) / path.parent / "__init__.py").is_file(), path


@pytest.mark.parametrize("distribution", ORDER)
def test_no_folder_holds_too_many_tests_and_no_two_have_one_name(distribution):
    found = modules_of_tests(distribution)
    names, folders = Counter(p.name for p in found), Counter(p.parent for p in found)
    assert found
    assert [name for name, times in names.items() if times > 1] == []
    assert [folder for folder, held in folders.items() if held > MOST_TESTS] == []


def too_large():
    for distribution in ORDER:
        for path in source(distribution).rglob("*.py"):
            if len(path.read_text(encoding="utf-8").splitlines()) > LONGEST_MODULE:
                yield path.relative_to(ROOT).as_posix()


def test_no_module_is_too_long():
    assert set(too_large()) == set()


FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def too_long():
    for name, tree in EVERY.items():
        for node in ast.walk(tree):
            if isinstance(node, FUNCTION):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                if body and node.end_lineno - body[0].lineno + 1 > LONGEST_FUNCTION:
                    yield f"{name}.{node.name}"


def test_no_function_is_too_long():
    assert set(too_long()) == set()


def metaphors():
    """Yield each module, class and public function that a forbidden word names."""
    for name, tree in EVERY.items():
        if name.rpartition(".")[2] in FORBIDDEN - {"conf"} and name not in FIELDS_OWN:
            yield name
        yield from _named(name, tree.body)


def _named(name, body):
    for node in body:
        if isinstance(node, FUNCTION | ast.ClassDef) and not node.name.startswith("_"):
            full = f"{name}.{node.name}"
            if node.name.lower() in FORBIDDEN and full not in FIELDS_OWN:
                yield full
        if isinstance(node, ast.ClassDef):
            yield from _named(f"{name}.{node.name}", node.body)


def test_names_are_the_fields_own():
    assert sorted(set(metaphors())) == []


PACKAGES = [name for name in EVERY if is_package(name)]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_says_what_lives_there_and_what_does_not(name):
    told = ast.get_docstring(EVERY[name]) or ""
    assert re.search(r"\bbegin\b", told, re.IGNORECASE), f"{name}: where does one begin to read?"
    assert re.search(r"\b(do not belong|does not belong|belongs) here\b", " ".join(told.split()))
    missing = [each for each in re.findall(r"`(aeros_[\w.]+)`", told) if not exists(each)]
    assert not missing, f"{name} names {missing}"


def exists(dotted):
    """Return whether a module is there, or a name in one."""
    return dotted in EVERY or dotted.rpartition(".")[0] in EVERY


@pytest.mark.parametrize("name", [name for name in PACKAGES if name not in INIT_IMPORTS])
def test_importing_a_package_imports_nothing(name):
    assert list(imported(EVERY[name])) == []


def test_every_module_says_what_it_offers():
    for name, tree in CORE.items():
        if is_package(f"aeros_core.{name}") or name.startswith("testing"):
            continue
        assert ast.get_docstring(tree), name
        assigned = [ast.unparse(n.targets[0]) for n in tree.body if isinstance(n, ast.Assign)]
        assert "__all__" in assigned, name


NO_KITS = {name: tree for name, tree in CORE.items() if not name.startswith("testing")}


@pytest.mark.parametrize("name", NO_KITS)
def test_only_configuration_touches_hydra_omegaconf_and_pluggy(name):
    touched = others(CORE[name]) & CONFIGURATION
    allowed = {"omegaconf"} if name in OMEGACONF_ALONE else set()
    allowed = CONFIGURATION if name in MAY_CONFIGURE else allowed
    assert touched <= allowed, f"{name} imports {touched}"


@pytest.mark.parametrize("name", NO_KITS)
def test_nothing_else_is_imported_than_what_the_core_depends_on(name):
    drawing = {library for module, library in DRAWS.items() if module != name}
    allowed = (ALLOWED - drawing) | PLUGINS_ALONE.get(name, set())
    assert others(CORE[name]) - {"aeros_core"} <= allowed


@pytest.mark.parametrize("name", PLUGINS_ALONE)
def test_what_plugins_bring_is_imported_within_functions(name):
    at_once = [node for node in CORE[name].body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not others(ast.Module(at_once, [])) & PLUGINS_ALONE[name]


def test_the_contract_kits_need_the_contracts_alone():
    lowest = re.split(r"\bmodels\b", ORDER["aeros_core"])[0].replace(" < ", " ").split()
    for name in MODULES["aeros_core"]:
        if name.startswith("aeros_core.testing"):
            used = others(EVERY[name]) - {"aeros_core"}
            assert used <= {"numpy", "pytest", "hypothesis"}, name
            upper = {unit(m) for m in ours("aeros_core", name)} - {*lowest, "testing"}
            assert not upper, f"{name} imports {upper}"


def test_the_wheel_of_the_core_holds_every_package():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = told["tool"]["setuptools"]["packages"]
    folders = {p.parent for p in (ROOT / "src").rglob("*.py")}
    configuration = {p.parent for p in (ROOT / "conf").rglob("*.yaml")}
    packages = {".".join(f.relative_to(ROOT / "src").parts) for f in folders}
    packages |= {
        ".".join(("aeros_core", "conf", *f.relative_to(ROOT / "conf").parts)) for f in configuration
    }
    assert set(listed) == packages
