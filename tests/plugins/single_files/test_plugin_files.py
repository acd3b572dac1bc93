"""``--plugin FILE.py``: a plugin in one file, for one command."""

import hashlib
import json
import os
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

RULE = '''
from dataclasses import dataclass

from aeros_core import hookimpl, weighted_mean


@dataclass
class Options:
    """The mean of all updates, shrunk.

    Args:
        factor: Of the change, above 0.
    """

    _target_: str = f"{__name__}.Shrunk"
    factor: float = 0.5


class Shrunk:
    def __init__(self, *, factor):
        self.factor = factor

    def aggregate(self, parameters, updates):
        return weighted_mean(parameters, updates)


@hookimpl
def aeros_collectors():
    return {"shrunk": Options}
'''
DIGEST = f"sha256:{hashlib.sha256(RULE.encode()).hexdigest()}"


@pytest.fixture
def rule(tmp_path):
    """A file with a collector, in the working directory of the command."""
    path = tmp_path / "shrunk_rule.py"
    path.write_text(RULE)
    return path


@pytest.fixture
def run(aeros, toy_words):
    """A function that runs the toy task for one round with the collector of the file."""
    words = [word for word in toy_words if not word.startswith("collector")]
    return lambda *more: aeros("run", *words, "collector=shrunk", "task.rounds=1", *more)


def record(done):
    folder = done.stdout.partition("files are in ")[2].strip()
    return OmegaConf.to_container(OmegaConf.load(Path(folder) / "config.yaml"))


@pytest.mark.parametrize("word", [["--plugin", "shrunk_rule.py"], ["--plugin=shrunk_rule.py"]])
def test_a_run_takes_the_collector_of_a_file(run, rule, word):
    done = run(*word)
    assert done.returncode == 0, done.stderr
    assert "FINISHED after 1 round" in done.stdout
    assert record(done)["collector"] == {
        "_role_": "collector", "_option_": "shrunk", "_distribution_": "shrunk_rule.py",
        "_version_": DIGEST, "factor": 0.5,
    }  # fmt: skip


def test_it_is_there_for_this_command_alone(aeros, rule):
    words = ["options", "collector=shrunk"]
    assert aeros(*words, "--plugin", str(rule)).returncode == 0
    assert "shrunk_rule" not in sys.modules
    done = aeros(*words)
    assert done.returncode == 2
    assert "collector=shrunk does not exist" in done.stderr


def test_plugins_and_options_list_it(aeros, rule):
    found = json.loads(aeros("plugins", "--json", "--plugin", rule.name).stdout)[-1]
    assert (found["name"], found["distribution"]) == ("shrunk_rule", "shrunk_rule.py")
    assert (found["version"], found["provides"]) == (DIGEST, ["collector=shrunk"])
    listed = aeros("plugins", "--plugin", rule.name).stdout
    line = next(line for line in listed.splitlines() if line.startswith("shrunk_rule"))
    assert line.split() == ["shrunk_rule", rule.name, DIGEST[:19], "ok", "collector=shrunk"]
    page = aeros("options", "collector=shrunk", "--plugin", rule.name).stdout
    assert "    Of the change, above 0.\n" in page
    assert page.endswith(
        "to use it: aeros run --plugin shrunk_rule.py collector=shrunk collector.factor=0.5\n"
    )


def test_a_resume_with_another_content_is_refused(run, rule):
    words = ["--plugin", rule.name, "task.resume=true"]
    assert run(*words).returncode == 0
    rule.write_text(RULE + "# changed\n")
    done = run(*words, "task.rounds=2")
    assert done.returncode == 2
    assert f"with collector from shrunk_rule.py {DIGEST}\n" in done.stderr
    rule.write_text(RULE)
    done = run(*words, "task.rounds=2")
    assert (done.returncode, "round 2/2" in done.stdout) == (0, True), done.stderr


MARKED = "from aeros_core import hookimpl\n@hookimpl\n"

FAULTY = {
    "x = (": "bad_rule.py:1: SyntaxError: '(' was never closed",
    "\nimport not_there": "bad_rule.py:2: ModuleNotFoundError: No module named 'not_there'",
    "def f():\n    return 1 / 0\nf()": "bad_rule.py:2: ZeroDivisionError: division by zero",
    "import sys\nsys.exit(3)": "bad_rule.py:2: SystemExit: 3",
    "x = 1": "bad_rule.py registers nothing: it has no function marked with hookimpl",
    "print('here')": "bad_rule.py: it prints 'here' when it is imported",
    MARKED + "def aeros_moons(): return {}": "bad_rule.py: implements unknown hook aeros_moons",
    MARKED + "def aeros_collectors(): return {'x': 3}":
        "bad_rule.py: aeros_collectors: TypeError: x: 3 is not a dataclass",
    RULE.replace('"shrunk"', '"mean"'):
        "bad_rule.py: collector=mean exists already\n  provider: toy",
}  # fmt: skip


@pytest.mark.parametrize("source", FAULTY, ids=range(len(FAULTY)))
def test_a_faulty_file_is_refused_in_one_message(aeros, toy, tmp_path, source):
    (tmp_path / "bad_rule.py").write_text(source)
    done = aeros("plugins", "--plugin", "bad_rule.py")
    assert done.returncode == 2
    assert done.stderr.startswith(f"aeros: {FAULTY[source]}")
    assert "\n  next: " in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert "bad_rule" not in sys.modules


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("gone.py", "--plugin gone.py: No such file or directory"),
        ("folder.py", "--plugin folder.py is a folder, not a regular file"),
        ("pipe.py", "--plugin pipe.py is a named pipe, not a regular file"),
        ("rule.txt", "--plugin rule.txt must be a Python file whose name can be imported"),
        ("my-rule.py", "--plugin my-rule.py must be a Python file whose name can be imported"),
        ("json.py", "--plugin json.py has the name of a module that is installed"),
        ("__main__.py", "--plugin __main__.py has the name of a module that is installed"),
        ("large_rule.py", "--plugin large_rule.py must be at most 1,048,576 bytes"),
        ("", "--plugin needs the path of a Python file"),
    ],
)
def test_what_is_not_a_python_file_is_refused(aeros, tmp_path, word, message):
    (tmp_path / "folder.py").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    for name in ("rule.txt", "my-rule.py", "json.py", "__main__.py"):
        (tmp_path / name).write_text(RULE)
    (tmp_path / "large_rule.py").write_text("#" * (2**20 + 1))
    done = aeros("plugins", f"--plugin={word}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"aeros: {message}")


def test_a_name_of_a_plugin_or_of_another_file_is_refused(aeros, distribution, rule, tmp_path):
    distribution("shrunk-rule", MARKED + "def aeros_callbacks(): return {}")
    done = aeros("plugins", "--plugin", rule.name)
    assert "--plugin shrunk_rule.py has the name of a module that is installed" in done.stderr
    (tmp_path / "other").mkdir()
    for folder in (".", "other"):
        (tmp_path / folder / "mine.py").write_text(RULE + f"# {folder}\n")
    done = aeros("plugins", "--plugin", "mine.py", "--plugin", "other/mine.py")
    assert "--plugin other/mine.py and --plugin mine.py have one name, mine" in done.stderr
    assert aeros("plugins", "--plugin", "mine.py", "--plugin", "mine.py").returncode == 0


def test_no_bytecode_is_written_or_read(aeros, rule, tmp_path):
    assert aeros("plugins", "--plugin", rule.name).returncode == 0
    assert not (tmp_path / "__pycache__").exists()


TRAP = "open('ran', 'w').close()\n" + RULE


@pytest.mark.parametrize(
    "text",
    [
        "plugin: trap_rule.py", "--plugin: trap_rule.py", "plugins: [trap_rule.py]",
        "hydra:\n  plugin: trap_rule.py", "task:\n  plugin: trap_rule.py",
    ],
)  # fmt: skip
def test_no_configuration_file_names_one(run, rule, tmp_path, text):
    (tmp_path / "trap_rule.py").write_text(TRAP)
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "e.yaml").write_text(f"# @package _global_\n{text}\n")
    run("--plugin", rule.name, "--config-dir", "mine", "experiment=e")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("word", ["plugin=trap_rule.py", "+plugin=trap_rule.py"])
def test_no_override_names_one(run, rule, tmp_path, word):
    (tmp_path / "trap_rule.py").write_text(TRAP)
    run("--plugin", rule.name, word)
    assert not (tmp_path / "ran").exists()


def test_no_variable_of_the_environment_names_one(run, tmp_path, monkeypatch):
    (tmp_path / "trap_rule.py").write_text(TRAP)
    chosen = os.environ["AEROS_PLUGINS"]
    monkeypatch.setenv("AEROS_PLUGINS", f"{chosen},trap_rule,trap_rule.py")
    monkeypatch.setenv("AEROS_PLUGIN", "trap_rule.py")
    assert run().returncode == 2
    assert not (tmp_path / "ran").exists()


def test_a_stored_part_names_the_digest_of_its_file(run, aeros, rule):
    from aeros_core.config import instantiate
    from aeros_core.errors import PluginError
    from aeros_core.plugins import discovery

    node = {"_option_": "shrunk", "_distribution_": "../evil.py", "_version_": DIGEST}
    with pytest.raises(PluginError) as refused:
        instantiate.build_part(discovery.discover(), "collector", node)
    assert refused.value.provider == f"../evil.py {DIGEST} had it when this was stored"
    assert refused.value.hint == "--plugin FILE.py, with a file that has this SHA-256"
