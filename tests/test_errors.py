import inspect
import pickle

import pytest

from aeros_core import errors
from aeros_core.errors import AccessError, AerosError, ConfigError
from aeros_core.tasks import control

KINDS = [getattr(errors, name) for name in errors.__all__] + [control.Cancelled]


def test_a_message_says_asked_exists_provider_next_in_this_order():
    error = AerosError("asked for", hint="type this", provider="that package", exists="this")
    assert str(error) == ("asked for\n  exists: this\n  provider: that package\n  next: type this")


def test_what_is_not_known_is_left_out():
    assert str(ConfigError("asked", hint="type")) == "asked\n  next: type"
    assert str(ConfigError("asked")) == "asked"


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_a_process_boundary(kind):
    error = kind("asked", exists="exists", provider="provider", hint="hint")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_configuration_exits_with_2_and_failure_with_1(kind):
    assert kind.exit_code == (2 if issubclass(kind, ConfigError) else 1)


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = {}
    above = []
    for line in inspect.getdoc(errors).splitlines():
        words = line.replace("├", " ").replace("└", " ").replace("─", " ").replace("│", " ")
        name = words.split()[0] if words.split() else ""
        if name not in errors.__all__:
            continue
        depth = len(words) - len(words.lstrip())
        above = [(d, n) for d, n in above if d < depth]
        drawn[name] = above[-1][1] if above else "Exception"
        above.append((depth, name))
    assert drawn == {name: getattr(errors, name).__base__.__name__ for name in errors.__all__}


def test_what_a_site_refuses_keeps_its_kind_across_a_process_boundary():
    made = AccessError("x=/a is outside", kind="a file outside", hint="--data-root DIR")
    again = pickle.loads(pickle.dumps(made))
    assert (again.kind, str(again)) == (made.kind, str(made))
