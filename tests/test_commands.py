import sys

import pytest

CODE = """
import sys

def add(parser):
    parser.add_argument("--times", type=int, default=1)
    parser.set_defaults(command=lambda parsed: print("hello " * parsed.times) or 3)

def fail(parser):
    raise RuntimeError("the moon is full")
"""
ENTRIES = """[aeros.commands]
hello = toy_commands:add
models = toy_commands:add
moon = toy_commands:fail
gone = toy_commands:nothing
"""


@pytest.fixture
def commands(aeros, tmp_path, monkeypatch):
    """``aeros``, with a distribution that adds commands."""
    info = tmp_path / "path/toy_commands-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-commands\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    (info.parent / "toy_commands.py").write_text(CODE)
    monkeypatch.syspath_prepend(info.parent)
    yield aeros
    sys.modules.pop("toy_commands", None)


def test_a_plugin_adds_a_command(commands):
    done = commands("hello", "--times", "2")
    assert (done.returncode, done.stdout) == (3, "hello hello \n")
    assert commands("hello", "--times", "x").returncode == 2


def test_it_is_shown_but_not_imported_before_it_is_typed(commands):
    out = " ".join(commands("--help").stdout.split())
    assert "hello from toy-commands" in out
    assert "toy_commands" not in sys.modules


def test_the_cores_own_commands_stay_as_they_are(commands):
    done = commands("models", "list", "repository=files", "--json")
    assert (done.returncode, done.stdout) == (0, "[]\n")
    assert "toy_commands" not in sys.modules


@pytest.mark.parametrize(
    ("name", "said"), [("moon", "RuntimeError: the moon is full"), ("gone", "AttributeError: ")]
)
def test_a_command_that_is_broken_is_told(commands, name, said):
    done = commands(name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"aeros: aeros {name} cannot be used: {said}")
    assert done.stderr.endswith(
        "  provider: toy-commands 2.0\n  next: pip install --upgrade toy-commands\n"
    )
    assert commands("plugins").returncode == 0
