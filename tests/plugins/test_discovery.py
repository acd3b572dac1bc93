import re
import signal
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from aeros_core import __version__
from aeros_core.config import store
from aeros_core.errors import PluginError
from aeros_core.plugins.discovery import discover, implementation
from aeros_core.plugins.registry import Health, Option, Plugin, Registry, versions

BROKEN = {
    "broken_import": (
        "ImportError: libcuda.so.1: cannot open shared object file",
        "pip install --upgrade broken-import",
    ),
    "missing_dependency": (
        "ModuleNotFoundError: No module named 'nowhere_installed'",
        "pip install --upgrade missing-dependency",
    ),
    "exits": ("SystemExit: no licence", "pip install --upgrade exits"),
    "incompatible": (
        f"asks for aeros-core>=99, this is aeros-core {__version__}",
        "pip install --upgrade incompatible",
    ),
    "unknown_hook": (
        "implements unknown hook aeros_colectors; known: aeros_callbacks, aeros_codecs,"
        " aeros_collectors, aeros_commands, aeros_controllers, aeros_deliveries, aeros_formats,"
        " aeros_inferencers, aeros_launchers, aeros_models, aeros_onnx_exporters,"
        " aeros_repositories, aeros_rules, aeros_subtasks, aeros_sweepers, aeros_trainers,"
        " aeros_transformers",
        "pip install --upgrade unknown-hook",
    ),
    "wrong_arguments": (
        "aeros_collectors(settings): Argument(s) {'settings'} are declared in the hookimpl but"
        " can not be found in the hookspec",
        "pip install --upgrade wrong-arguments",
    ),
    "not_a_dataclass": (
        "aeros_collectors: TypeError: plain: <class 'not_a_dataclass.Plain'> is not a dataclass",
        "pip install --upgrade not-a-dataclass",
    ),
    "no_target": (
        "aeros_collectors: TypeError: aimless: Aimless has no default for _target_",
        "pip install --upgrade no-target",
    ),
    "bad_name": (
        "aeros_collectors: ValueError: option name 'Not Fine' is not lower case letters,"
        " digits and _",
        "pip install --upgrade bad-name",
    ),
    "raises": ("aeros_collectors: KeyError: 'colour'", "pip install --upgrade raises"),
    "own_dependency": (
        "ModuleNotFoundError: No module named 'nowhere_installed'",
        "pip install nowhere-installed",
    ),
    "literal_option": (
        "aeros_collectors: TypeError: odd: Unexpected type annotation: Literal[a, b]",
        "pip install --upgrade literal-option",
    ),
    "huge_default": (
        "aeros_collectors: ValueError: odd: the default of how has 1,000,000 members",
        "pip install --upgrade huge-default",
    ),
    "banana": (
        f"asks for aeros-core >= banana, which is not understood, this is aeros-core {__version__}",
        "pip install --upgrade banana",
    ),
    "prints": (
        "it prints 'welcome to prints' when it is imported",
        "pip install --upgrade prints",
    ),
    "moves": (
        "it changes the working directory when it is imported",
        "pip install --upgrade moves",
    ),
    "listens": (
        "it changes signal handlers when it is imported",
        "pip install --upgrade listens",
    ),
    "speaks": ("it changes the locale when it is imported", "pip install --upgrade speaks"),
    "rubbish": (
        "aeros_collectors: TypeError: 'int' object is not iterable",
        "pip install --upgrade rubbish",
    ),
    "speechless": ("Mute", "pip install --upgrade speechless"),
}


def found(registry, name):
    (plugin,) = (plugin for plugin in registry.plugins if plugin.name == name)
    return plugin


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_recorded_with_its_reason_and_the_command_that_mends_it(install, name):
    plugin = found(install(name, "toy"), name)
    assert plugin == Plugin(
        name, name.replace("_", "-"), "1.0", name, Health.FAILED, (), *BROKEN[name]
    )


def test_broken_plugins_take_nothing_from_the_others(install):
    registry = install(*BROKEN, "toy")
    assert found(registry, "toy").status is Health.OK
    assert registry.names("collector") == ["mean"]
    assert registry.names("controller") == ["local"]


def test_an_incompatible_plugin_is_not_even_imported(install):
    install("incompatible")
    assert "incompatible" not in sys.modules


def test_ctrl_c_during_discovery_is_heard(install, monkeypatch):
    def pressed(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(EntryPoint, "load", pressed)
    with pytest.raises(KeyboardInterrupt):
        install("toy")


def test_what_a_good_plugin_provides_is_listed(toy):
    plugin = found(toy, "toy")
    assert (str(plugin), plugin.module, plugin.reason) == ("toy 1.0", "toy", "")
    assert plugin.provides == (
        "callback=tally",
        "collector/codec=coarse",
        "collector=mean",
        "inferencer=scores",
        "repository=files",
        "trainer/model=steep",
        "trainer=linear",
        "transformer=blobs",
        "transformer=even",
        "transformer=scale",
        "transformer=thin",
    )
    option = toy.options["collector", "mean"]
    assert (option.target, option.plugin) == ("toy_parts.Mean", plugin)
    assert toy.chosen("collector", {"_target_": "toy_parts.Mean"}) is option
    assert toy.chosen("collector", {"_role_": "collector", "_option_": "mean"}) is option
    assert toy.chosen("trainer", {"_target_": "toy_parts.Mean"}) is None
    assert toy.chosen("trainer", {"_role_": "collector", "_option_": "mean"}) is None
    assert toy.chosen("collector/rule", {"_role_": "collector", "_option_": "mean"}) is None


def test_what_implements_an_option_is_not_imported_before_it_is_chosen(install):
    install("misfit")
    assert "misfit" in sys.modules
    assert "misfit_parts" not in sys.modules


# ---------------------------------------------------------------- AEROS_PLUGINS


def test_a_plugin_that_is_not_named_is_skipped(install, monkeypatch):
    install("toy", "clash_a")
    monkeypatch.setenv("AEROS_PLUGINS", " toy ,")
    registry = discover()
    plugin = found(registry, "clash_a")
    assert (plugin.status, plugin.reason) == (Health.SKIPPED, "not named by AEROS_PLUGINS")
    assert plugin.fix.startswith("AEROS_PLUGINS=")
    assert set(plugin.fix.partition("=")[2].split(",")) >= {"toy", "clash_a"}
    assert registry.names("collector") == ["mean"]


def test_the_core_is_always_there(install, monkeypatch):
    install("toy")
    monkeypatch.setenv("AEROS_PLUGINS", "")
    registry = discover()
    assert found(registry, "core").status is Health.OK
    assert [p for p in registry.plugins if p.status is Health.OK] == [found(registry, "core")]


def test_without_the_variable_every_plugin_is_loaded(install, monkeypatch):
    install("toy", "broken_import")
    monkeypatch.delenv("AEROS_PLUGINS")
    assert {p.status for p in discover().plugins} <= {Health.OK, Health.FAILED}
    assert found(discover(), "toy").status is Health.OK


def test_a_folder_that_is_twice_on_the_path_is_one_plugin(install):
    registry = install("toy", "toy")
    assert found(registry, "toy").status is Health.OK
    assert registry.clashes == {}


# ---------------------------------------------------------------- what is missing


def test_a_name_that_is_taken_twice_is_taken_by_neither(install):
    registry = install("clash_a", "clash_b", "toy")
    assert ("collector", "twin") not in registry.options
    assert str(registry.missing("collector", "twin")) == (
        "collector=twin is offered by several packages, so none is taken\n"
        "  provider: clash-a 1.0 and clash-b 1.0\n"
        "  next: pip uninstall one of them, or AEROS_PLUGINS=clash_a to load one"
    )
    assert isinstance(registry.missing("collector", "twin"), PluginError)


def test_one_of_two_with_the_same_name_can_be_chosen(install, monkeypatch):
    install("clash_a", "clash_b")
    monkeypatch.setenv("AEROS_PLUGINS", "clash_b")
    assert discover().options["collector", "twin"].target == "clash_b.Twin"


def registry_of(*names, status=Health.OK, reason=""):
    plugin = Plugin("mine", "my-package", "1.0", "mine", status, reason=reason, fix="mend it")
    options = {
        tuple(name.split("=")): Option(*name.split("="), type("C", (), {}), plugin)
        for name in names
    }
    return Registry((plugin,), options)


@pytest.mark.parametrize(
    ("registry", "asked", "message"),
    [
        (
            registry_of("collector=median", "collector=mean"),
            "collector=medain",
            "collector=medain does not exist\n  exists: mean, median\n"
            "  provider: my-package 1.0\n  next: collector=median",
        ),
        (
            registry_of("collector=median"),
            "collector=xyz",
            "collector=xyz does not exist\n  exists: median\n  provider: my-package 1.0\n"
            "  next: aeros options collector lists them",
        ),
        (
            registry_of(),
            "trainer=torch",
            "trainer=torch does not exist\n  exists: no trainer at all\n"
            "  provider: no installed package\n  next: pip install aeros-torch",
        ),
        (
            registry_of(),
            "callback=x",
            "callback=x does not exist\n  exists: no callback at all\n"
            "  provider: no installed package\n  next: aeros plugins shows what is installed",
        ),
        (
            registry_of(status=Health.FAILED, reason="ImportError: no libfoo"),
            "collector=median",
            "collector=median does not exist\n  exists: no collector at all\n"
            "  provider: my-package 1.0 is failed: ImportError: no libfoo\n  next: mend it",
        ),
    ],
    ids=["typo", "no idea", "not installed", "no plugin of ours", "broken"],
)
def test_what_cannot_be_chosen_is_told(registry, asked, message):
    assert str(registry.missing(*asked.split("="))) == message


# ---------------------------------------------------------------- implementations


@pytest.mark.parametrize(
    ("target", "reason", "fix"),
    [
        ("misfit_parts.Nameless", "AttributeError: module 'misfit_parts' has no", "aeros plugins"),
        ("misfit_nowhere.Absent", "ModuleNotFoundError: No module", "aeros plugins"),
        ("misfit_crash.Crash", r"OSError: libgomp\.so\.1: cannot open", "aeros plugins shows what"),
    ],
)
def test_an_implementation_that_cannot_be_imported_is_told(install, target, reason, fix):
    install("misfit")
    with pytest.raises(PluginError, match=f"{re.escape(target)} cannot be imported: {reason}") as e:
        implementation(target)
    assert e.value.hint.startswith(fix)


def test_an_implementation_is_what_its_path_names(toys):
    assert implementation("toy_parts.Mean") is toys.Mean


def test_versions_are_those_of_the_plugins_behind_the_options(toy):
    python = ".".join(map(str, sys.version_info[:3]))
    chosen = [toy.options["collector", "mean"]]
    assert versions(toy, chosen) == {"python": python, "aeros-core": __version__, "toy": "1.0"}
    assert versions(toy) == {"python": python, "aeros-core": __version__, "toy": "1.0"}


def test_an_entry_point_called_core_takes_no_place(install):
    registry = install("called_core")
    own, other = sorted(
        (p for p in registry.plugins if p.name == "core"), key=lambda p: p.distribution
    )
    assert (own.distribution, own.status) == ("aeros-core", Health.OK)
    assert (other.distribution, other.status) == ("called-core", Health.FAILED)
    assert other.reason == "its entry point is called 'core', as that of aeros-core is"


def test_requirements_whose_markers_do_not_hold_ask_for_nothing(install):
    assert found(install("markers"), "markers").status is Health.OK


def test_a_distribution_without_a_name_offers_what_it_has(install):
    plugin = found(install("nameless"), "nameless")
    assert (plugin.status, plugin.distribution) == (Health.OK, "nameless-1.0.dist-info")


def test_entry_points_that_cannot_be_read_are_told(install, monkeypatch):
    install("toy", "torn_entry")
    monkeypatch.delenv("AEROS_PLUGINS")
    registry = discover()
    assert found(registry, "toy").status is Health.OK
    torn = found(registry, "torn-entry")
    assert torn.status is Health.FAILED
    assert torn.reason.startswith("entry points: ")


def test_everything_that_is_broken_at_once_harms_nobody(install, capsys):
    handler, folder = signal.getsignal(signal.SIGTERM), Path.cwd()
    registry = install("toy", *BROKEN)
    assert found(registry, "toy").status is Health.OK
    assert {found(registry, name).status for name in BROKEN} == {Health.FAILED}
    assert (signal.getsignal(signal.SIGTERM), Path.cwd()) == (handler, folder)
    assert capsys.readouterr().out == ""
    assert store.register(registry) is None
    again = discover()  # what printed once is imported already
    assert {found(again, name).status for name in BROKEN} == {Health.FAILED}
