import sys

import pytest

CODE = """
from aeros_core import hookimpl
from aeros_core.hooks.extensions import Command

@hookimpl
def aeros_commands():
    return [
        Command("hello", "toy_words:add", help="says it 100% of the time"),
        Command("quiet", "toy_words:add"),
        Command("moon", "toy_words:fail"),
        Command("gone", "toy_words:nothing"),
        Command("number", "toy_words:NUMBER"),
        Command("exits", "toy_words.exits:add"),
    ]
"""
WORDS = """
NUMBER = 3

def add(parser):
    parser.add_argument("--times", type=int, default=1)
    parser.set_defaults(command=lambda parsed: print("hello " * parsed.times) or 3)

def fail(parser):
    raise RuntimeError("the moon is full")
"""


@pytest.fixture
def commands(aeros, distribution):
    """``aeros``, with a distribution that adds commands."""
    words = distribution("toy-commands", CODE) / "toy_words"
    words.mkdir()
    (words / "__init__.py").write_text(WORDS)
    (words / "exits.py").write_text("raise SystemExit('no licence')")
    yield aeros
    for name in ("toy_words", "toy_words.exits"):
        sys.modules.pop(name, None)


def test_a_plugin_adds_a_command(commands):
    done = commands("hello", "--times", "2")
    assert (done.returncode, done.stdout) == (3, "hello hello \n")
    assert commands("hello", "--times", "x").returncode == 2


def test_it_is_shown_but_not_imported_before_it_is_typed(commands):
    done = commands("--help")
    out = " ".join(done.stdout.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert "hello says it 100% of the time (from toy-commands)" in out
    assert "quiet from toy-commands" in out
    assert "toy_words" not in sys.modules


def test_plugins_are_not_even_discovered_for_the_cores_own_commands(commands):
    done = commands("models", "--help")
    assert done.returncode == 0
    assert "toy_commands" not in sys.modules


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("moon", "RuntimeError: the moon is full"),
        ("gone", "AttributeError: "),
        ("number", "TypeError: 'int' object is not callable"),
        ("exits", "SystemExit: no licence"),
    ],
)
def test_a_command_that_is_broken_is_told(commands, name, said):
    done = commands(name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"aeros: aeros {name} cannot be used: {said}")
    assert done.stderr.endswith(
        "  provider: toy-commands 2.0\n  next: pip install --upgrade toy-commands\n"
    )
    assert commands("plugins").returncode == 0


OFFERS = """
from aeros_core import hookimpl
from aeros_core.hooks.extensions import Command

def add(parser):
    parser.set_defaults(command=lambda parsed: print(__name__) or 0)

@hookimpl
def aeros_commands():
    return [Command(name, f"{__name__}:add") for name in NAMES]
"""


def offers(*names):
    """Return the source of a plugin that offers these commands."""
    return OFFERS.replace("NAMES", repr(names))


def test_a_command_that_two_plugins_offer_is_taken_from_neither(aeros, distribution):
    distribution("toy-one", offers("twin", "one"))
    distribution("toy-two", offers("twin", "two"))
    done = aeros("twin")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "aeros: aeros twin is offered by several packages, so none is taken\n"
        "  provider: toy-one 2.0 and toy-two 2.0\n"
        "  next: pip uninstall toy-two, or AEROS_PLUGINS=toy_one aeros twin to load that one"
        " alone\n"
    )
    assert aeros("one").stdout == "toy_one\n"
    assert aeros("two").stdout == "toy_two\n"
    listed = aeros("--help").stdout
    assert "twin" not in listed
    assert "one" in listed
    assert (
        "command=twin is offered by toy-one 2.0 and toy-two 2.0, so none is taken\n"
        "  next: pip uninstall toy-two\n" in aeros("plugins").stdout
    )


def test_what_is_advised_for_a_command_that_two_offer_works(aeros, distribution, monkeypatch):
    distribution("toy-one", offers("twin"))
    distribution("toy-two", offers("twin"))
    monkeypatch.setenv("AEROS_PLUGINS", "toy_one")
    assert aeros("twin").stdout == "toy_one\n"


@pytest.mark.parametrize("name", ["run", "plugins", "models", "results", "compare"])
def test_a_plugin_cannot_take_a_command_of_the_core(aeros, distribution, name):
    distribution("toy-greedy", offers("fine", name))
    distribution("toy-one", offers("one"))
    listed = aeros("plugins").stdout
    assert (
        f"toy_greedy is failed: aeros_commands: ValueError: command {name} is aeros-core's own;"
        " choose another name\n" in listed
    )
    assert aeros("models", "list", "repository=files", "--json").stdout == "[]\n"
    assert aeros("one").stdout == "toy_one\n"
    done = aeros("fine")
    assert done.returncode == 2
    assert "provider: toy-greedy 2.0 is failed: aeros_commands: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_plugin_that_is_not_named_offers_no_command(aeros, distribution, monkeypatch):
    distribution("toy-one", offers("one"))
    monkeypatch.setenv("AEROS_PLUGINS", "toy")
    done = aeros("one")
    assert (done.returncode, done.stdout) == (2, "")
    assert "toy_one" not in sys.modules
    assert "one" not in aeros("--help").stdout.split()
