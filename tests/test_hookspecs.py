"""Every hook is documented, told to callbacks as it is specified, and used."""

import inspect
import re
import sys
import textwrap
import types
from pathlib import Path

import pluggy
import pytest

import aeros_core
from aeros_core.hookspecs import GROUPS, RECORDS, Callbacks, Registration
from aeros_core.plugins.registration import collect
from aeros_core.plugins.registry import Health, Plugin
from aeros_core.roles.events import Events

PAGE = Path(__file__).parents[1] / "docs" / "plugins.md"
OFFERS = {n: hook for n, hook in vars(Registration).items() if n.startswith("aeros_")}
EVENTS = {n: hook for n, hook in vars(Callbacks).items() if n.startswith("aeros_")}
HOOKS = OFFERS | EVENTS


def arguments(hook):
    return [name for name in inspect.signature(hook).parameters if name != "self"]


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_docstring(name):
    first = (inspect.getdoc(HOOKS[name]) or "").splitlines()[0]
    assert first.startswith(("Offer ", "Receive "))
    assert first.endswith(".")


def example(name):
    """Return the example of a hook's docstring: the plugin's module, without its other files."""
    text = textwrap.dedent(inspect.getdoc(HOOKS[name]).partition("Example::\n")[2])
    return text.partition("# my_package/")[0]


@pytest.fixture
def module(request):
    """The example of a hook, executed as a module."""
    made = types.ModuleType("my_package")
    sys.modules["my_package"] = made
    exec(example(request.param), vars(made))
    yield made
    del sys.modules["my_package"]


@pytest.mark.parametrize(("module", "name"), [(n, n) for n in OFFERS], indirect=["module"])
def test_the_example_of_a_registration_hook_is_a_plugin_that_works(module, name):
    plugin, offers = collect(Plugin("mine", "my-package", "1.0", "my_package"), module)
    assert (plugin.status, plugin.reason) == (Health.OK, "")
    group = GROUPS[name]
    [provided] = plugin.provides
    assert provided.startswith(f"{group}=")
    targets = [option.target for option in offers.options]
    targets += [each.record.target for each in offers.extensions]
    assert [target.partition(".")[0] for target in targets] == ["my_package"]


@pytest.mark.parametrize("name", RECORDS)
def test_the_example_of_a_record_has_what_its_target_names(name):
    text = textwrap.dedent(inspect.getdoc(HOOKS[name]).partition("Example::\n")[2])
    plugin, file, target = re.split(r"# (my_package/\w+\.py)\n", text)
    compile(target, file, "exec")
    path, _, function = re.search(r'"(my_package[.:\w]+)"', plugin)[1].partition(":")
    assert file == path.replace(".", "/") + ".py"
    for each in [function] if function else ["load", "save"]:
        assert f"def {each}(" in target


@pytest.mark.parametrize(("module", "name"), [(n, n) for n in EVENTS], indirect=["module"])
def test_the_example_of_an_event_is_a_callback_that_receives_it(module, name):
    manager = pluggy.PluginManager("aeros")
    manager.add_hookspecs(Callbacks)
    [callback] = [each for each in vars(module).values() if isinstance(each, type)]
    manager.register(callback())
    manager.check_pending()
    assert [each.name for each in manager.get_hookcallers(*manager.get_plugins())] == [name]


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_heading_with_its_arguments(name):
    heading = f"### `{name}({', '.join(arguments(HOOKS[name]))})`"
    assert PAGE.exists(), f"{PAGE} is missing; it documents every hook"
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert heading in lines, f"docs/plugins.md has no heading {heading}"
    below = lines[lines.index(heading) + 1 :]
    text = "".join(line for line in below[: next_heading(below)] if line.strip())
    assert text, f"docs/plugins.md says nothing below {heading}"


def next_heading(lines):
    return next((i for i, line in enumerate(lines) if line.startswith("#")), len(lines))


def test_no_hook_is_documented_that_does_not_exist():
    documented = re.findall(r"^### `(aeros_\w+)\(", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(documented) == sorted(HOOKS)


def test_every_registration_hook_fills_a_group():
    assert list(GROUPS) == list(OFFERS)
    assert len(set(GROUPS.values())) == len(GROUPS)


def test_events_are_told_as_callbacks_are_specified_to_hear_them():
    told = {n: arguments(f) for n, f in vars(Events).items() if n.startswith("aeros_")}
    assert told == {n: arguments(f) for n, f in EVENTS.items()}


@pytest.mark.parametrize("name", OFFERS)
def test_a_registration_hook_is_a_specification_alone(name):
    with pytest.raises(NotImplementedError):
        HOOKS[name](Registration())


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_is_told_somewhere(name):
    source = Path(aeros_core.__file__).parent
    users = [
        path.name
        for path in source.rglob("*.py")
        if re.search(
            rf"parts\.events\.{name}\b|\bevents\.{name}\(", path.read_text(encoding="utf-8")
        )
    ]
    assert users, f"nothing in aeros_core tells {name}"
