"""Entry-point groups of before, which registration hooks have replaced."""

import json
import sys

import pytest

from aeros_core.plugins import discovery
from aeros_core.plugins.registry import Health
from aeros_core.plugins.replaced_groups import REPLACED

PLUGIN = """
from dataclasses import dataclass

from aeros_core import hookimpl
from aeros_core.hooks.extensions import Command

@dataclass
class Rule:
    _target_: str = "toy_old.Rule"

@hookimpl
def aeros_collectors():
    return {"old_rule": Rule}

def add(parser):
    parser.set_defaults(command=lambda parsed: print("hello") or 0)
"""
HOOK = """
@hookimpl
def aeros_commands():
    return [Command("hello", "toy_old:add")]
"""
OWN = "[aeros]\ntoy_old = toy_old\n"


def found(name):
    (plugin,) = (p for p in discovery.discover().plugins if p.name == name)
    return plugin


def entry(group):
    return f"[{group}]\nhello = toy_old:add\n"


@pytest.mark.parametrize("group", REPLACED)
def test_a_plugin_that_uses_one_is_failed_and_told_the_hook(install, distribution, group):
    install("toy")
    distribution("toy-old", PLUGIN, OWN + entry(group))
    plugin = found("toy_old")
    assert (plugin.status, plugin.provides) == (Health.FAILED, ())
    assert plugin.reason == (
        f"toy-old names hello in the entry-point group {group},"
        f" which the hook {REPLACED[group]} replaces"
    )
    assert plugin.fix == "pip install --upgrade toy-old"
    assert found("toy").status is Health.OK
    assert ("collector", "old_rule") not in discovery.discover().options


@pytest.mark.parametrize("group", REPLACED)
def test_a_distribution_without_a_plugin_of_its_own_is_listed_too(aeros, distribution, group):
    distribution("toy-old", PLUGIN, entry(group))
    listed = {p["name"]: p for p in json.loads(aeros("plugins", "--json").stdout)}
    assert listed["toy-old"] == {
        "name": "toy-old",
        "distribution": "toy-old",
        "version": "2.0",
        "module": "toy_old",
        "status": "failed",
        "provides": [],
        "reason": f"toy-old names hello in the entry-point group {group},"
        f" which the hook {REPLACED[group]} replaces",
        "fix": "pip install --upgrade toy-old",
    }
    assert "toy_old" not in sys.modules
    assert f"toy-old is failed: {listed['toy-old']['reason']}\n" in aeros("plugins").stdout


def test_several_groups_are_told_at_once(install, distribution):
    install("toy")
    distribution("toy-old", PLUGIN, OWN + entry("aeros.commands") + entry("aeros.onnx"))
    assert found("toy_old").reason == (
        "toy-old names hello in the entry-point group aeros.commands, which the hook aeros_commands"
        " replaces; toy-old names hello in the entry-point group aeros.onnx, which the hook"
        " aeros_onnx_exporters replaces"
    )


def test_a_plugin_that_implements_the_hook_may_keep_the_group(aeros, distribution):
    """For versions of aeros-core before."""
    distribution("toy-old", PLUGIN + HOOK, OWN + entry("aeros.commands"))
    assert (found("toy_old").status, found("toy_old").reason) == (Health.OK, "")
    assert aeros("hello").stdout == "hello\n"


def test_the_hook_of_another_group_does_not_do(install, distribution):
    install("toy")
    distribution("toy-old", PLUGIN + HOOK, OWN + entry("aeros.commands") + entry("aeros.formats"))
    assert found("toy_old").reason == (
        "toy-old names hello in the entry-point group aeros.formats,"
        " which the hook aeros_formats replaces"
    )


def test_a_plugin_that_is_skipped_stays_skipped(install, distribution, monkeypatch):
    install("toy")
    distribution("toy-old", PLUGIN, OWN + entry("aeros.commands"))
    monkeypatch.setenv("AEROS_PLUGINS", "toy")
    assert found("toy_old").status is Health.SKIPPED


@pytest.mark.parametrize("own", [OWN, ""])
def test_who_types_its_command_is_told_once_on_standard_error(aeros, distribution, own):
    distribution("toy-old", PLUGIN, own + entry("aeros.commands"))
    done = aeros("hello")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "aeros: aeros hello does not exist\n"
        "  exists: compare, models, options, plugins, results, run\n"
        "  provider: toy-old 2.0 is failed: toy-old names hello in the entry-point group"
        " aeros.commands, which the hook aeros_commands replaces\n"
        "  next: pip install --upgrade toy-old\n"
    )


def test_it_harms_no_run(aeros, toy_words, distribution):
    distribution("toy-old", PLUGIN, entry("aeros.commands"))
    done = aeros("run", *toy_words, "task.rounds=1")
    assert (done.returncode, done.stderr) == (0, "")


def test_who_asks_for_its_format_or_sub_task_is_told(aeros, toy_words, distribution):
    distribution("toy-old", PLUGIN, entry("aeros.formats") + entry("aeros.subtasks"))
    for words in (
        ["models", "import", "a.old", "--format", "hello", "--name", "m", "repository=files"],
        ["run", *toy_words, "task=served", "task.subtasks.serve.kind=hello"],
    ):
        done = aeros(*words)
        assert done.returncode == 2
        assert "hello does not exist\n" in done.stderr
        assert "entry-point group aeros.formats, which the hook aeros_formats" in done.stderr
        assert "entry-point group aeros.subtasks, which the hook aeros_subtasks" in done.stderr
