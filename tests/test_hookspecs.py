"""Every hook is documented, told to callbacks as it is specified, and used."""

import inspect
import re
from pathlib import Path

import pytest

from aeros_core import hookspecs
from aeros_core.events import Events
from aeros_core.hookspecs import GROUPS, Callbacks, Registration

PAGE = Path(__file__).parents[1] / "docs" / "plugins.md"
HOOKS = {
    name: hook
    for kind in (Registration, Callbacks)
    for name, hook in vars(kind).items()
    if name.startswith("aeros_")
}


def arguments(hook):
    return [name for name in inspect.signature(hook).parameters if name != "self"]


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_docstring(name):
    assert (inspect.getdoc(HOOKS[name]) or "").endswith((".", "`"))


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
    assert list(GROUPS) == [name for name in HOOKS if name in vars(Registration)]
    assert len(set(GROUPS.values())) == len(GROUPS)


def test_events_are_told_as_callbacks_are_specified_to_hear_them():
    told = {n: arguments(f) for n, f in vars(Events).items() if n.startswith("aeros_")}
    assert told == {n: arguments(f) for n, f in HOOKS.items() if n in vars(Callbacks)}


@pytest.mark.parametrize("name", [n for n in HOOKS if n in vars(Registration)])
def test_a_registration_hook_is_a_specification_alone(name):
    with pytest.raises(NotImplementedError):
        HOOKS[name](Registration())


@pytest.mark.parametrize("name", [n for n in HOOKS if n in vars(Callbacks)])
def test_every_event_is_told_somewhere(name):
    source = Path(hookspecs.__file__).parent
    users = [
        path.name
        for path in source.rglob("*.py")
        if re.search(
            rf"parts\.events\.{name}\b|\bevents\.{name}\(", path.read_text(encoding="utf-8")
        )
    ]
    assert users, f"nothing in aeros_core tells {name}"
