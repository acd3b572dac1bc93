"""What hooks return that offer commands, formats and the like, and what is wrong with it."""

import pytest

from aeros_core.hooks.extensions import (
    AlgorithmDelivery,
    Command,
    Format,
    OnnxExporter,
    SubtaskKind,
)
from aeros_core.hookspecs import RECORDS
from aeros_core.plugins import discovery
from aeros_core.plugins.registry import Health

HEAD = """
from aeros_core import hookimpl
from aeros_core.hooks.extensions import *
import itertools

class Rude:
    def __repr__(self):
        raise RuntimeError

@hookimpl
def HOOK():
    return RETURNED
"""
FINE = {
    "aeros_commands": 'Command("fine", "m:f")',
    "aeros_formats": 'Format("fine", "m")',
    "aeros_subtasks": 'SubtaskKind("fine", "m:f")',
    "aeros_deliveries": 'AlgorithmDelivery("fine", "m:f")',
    "aeros_onnx_exporters": 'OnnxExporter("fine", "m:f")',
}
RUBBISH = {
    "None": "TypeError: returns NoneType, not a list of {kind}",
    "3": "TypeError: returns int 3, not a list of {kind}",
    "'text'": "TypeError: returns str 'text', not a list of {kind}",
    "{'fine': 'm:f'}": "TypeError: returns dict {{'fine': 'm:f'}}, not a list of {kind}",
    "Rude()": "TypeError: returns Rude, not a list of {kind}",
    "[FINE, None]": "TypeError: element 1 is NoneType, not a {kind}",
    "[FINE, ('fine', 'm:f')]": "TypeError: element 1 is tuple ('fine', 'm:f'), not a {kind}",
    "[FINE, Rude()]": "TypeError: element 1 is Rude, not a {kind}",
    "[FINE, FINE]": "ValueError: {group} fine is offered twice",
    "(FINE for _ in itertools.count())": "ValueError: returns more than 1000 records",
    "1 / 0": "ZeroDivisionError: division by zero",
    "exit('no licence')": "SystemExit: no licence",
}


def found(name):
    (plugin,) = (p for p in discovery.discover().plugins if p.name == name)
    return plugin


@pytest.fixture
def register(install, distribution):
    """A function that installs a plugin whose hook returns this; returns its record."""

    def installed(hook, returned):
        install("toy")
        distribution("toy-more", HEAD.replace("HOOK", hook).replace("RETURNED", returned))
        return found("toy_more")

    return installed


@pytest.mark.parametrize("hook", RECORDS)
def test_what_a_hook_returns_is_listed(register, hook):
    plugin = register(hook, f"[{FINE[hook]}]")
    assert (plugin.status, plugin.reason) == (Health.OK, "")
    assert plugin.provides == (f"{RECORDS[hook].group}=fine",)
    provided = discovery.discover().extensions[RECORDS[hook].group, "fine"]
    assert (type(provided.record), provided.plugin) == (RECORDS[hook], plugin)


@pytest.mark.parametrize("hook", RECORDS)
@pytest.mark.parametrize("returned", ["[]", "()", "(each for each in [])"])
def test_a_hook_may_offer_nothing(register, hook, returned):
    assert register(hook, returned).status is Health.OK


@pytest.mark.parametrize("hook", RECORDS)
@pytest.mark.parametrize("returned", RUBBISH)
def test_rubbish_ends_the_plugin_and_harms_no_other(register, hook, returned):
    plugin = register(hook, returned.replace("FINE", FINE[hook]))
    kind = RECORDS[hook]
    said = RUBBISH[returned].format(kind=kind.__name__, group=kind.group)
    assert (plugin.status, plugin.provides) == (Health.FAILED, ())
    assert plugin.reason == f"{hook}: {said}"
    assert found("toy").status is Health.OK
    assert not [key for key in discovery.discover().extensions if key[1] == "fine"]


def test_a_record_of_another_hook_is_rubbish(register):
    plugin = register("aeros_commands", '[Format("fine", "m")]')
    assert plugin.reason.startswith("aeros_commands: TypeError: element 0 is Format")
    assert plugin.reason.endswith("not a Command")


@pytest.mark.parametrize("kind", RECORDS.values())
@pytest.mark.parametrize(
    "name", ["", "two words", "Upper", "-flag", "1st", "a/b", "ä", "a" * 65, "a\n"]
)
def test_a_name_of_another_form_is_refused(kind, name):
    with pytest.raises(ValueError, match=rf"^{kind.group} name .* is not lower case letters"):
        kind(name, "m:f")


@pytest.mark.parametrize("kind", RECORDS.values())
@pytest.mark.parametrize(
    "target", ["", ":", "m:", ":f", "m f", "m..n:f", "m:f()", "../m:f", "m:f:g"]
)
def test_a_target_that_is_no_import_path_is_refused(kind, target):
    with pytest.raises(ValueError, match=rf"^{kind.group} fine: target .* is not an import path"):
        kind("fine", target)


@pytest.mark.parametrize("kind", [Command, SubtaskKind, AlgorithmDelivery, OnnxExporter])
def test_a_target_names_a_function(kind):
    with pytest.raises(ValueError, match=r"such as my_package\.module:function"):
        kind("fine", "my_package.module")


def test_the_target_of_a_format_may_be_a_module():
    assert Format("fine", "my_package.files").suffixes == ()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Command(3, "m:f"), "command: name must be text, got int"),
        (lambda: Command("fine", None), "command: target must be text, got NoneType"),
        (lambda: Command("fine", "m:f", help=3), "command: help must be text, got int"),
        (lambda: Format("fine", "m", suffixes=".pt"), "suffixes must be a tuple of texts"),
        (lambda: Format("fine", "m", suffixes=[".pt"]), "suffixes must be a tuple of texts"),
        (lambda: Format("fine", "m", suffixes=(3,)), "a suffix must be text, got int"),
        (lambda: SubtaskKind("fine", "m:f", ends=1), "ends must be True or False"),
    ],
)
def test_fields_of_another_type_are_refused(make, said):
    with pytest.raises(TypeError, match=said):
        make()


@pytest.mark.parametrize("help_", ["two\nlines", "\x1b[31mred", "bell\a"])
def test_the_help_of_a_command_is_one_line_of_printable_text(help_):
    with pytest.raises(ValueError, match="help must be one line of printable text"):
        Command("fine", "m:f", help=help_)


@pytest.mark.parametrize("suffix", ["", ".", "pt", ".PT", ".a/b", ".a.b", ". pt"])
def test_a_suffix_of_another_form_is_refused(suffix):
    with pytest.raises(ValueError, match=r"suffix .* is not one such as \.pt"):
        Format("fine", "m", suffixes=(suffix,))
