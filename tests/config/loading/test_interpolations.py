"""No configuration reads the environment, or calls a resolver that is not on the list."""

import pytest
from omegaconf import OmegaConf

from aeros_core.config.loading import interpolations
from aeros_core.errors import ConfigError

HEAD = "# @package _global_\n"
SECRET = "hunter2"

READING = {
    "plain": "${oc.env:AEROS_SECRET}",
    "with a default": "${oc.env:AEROS_SECRET,none}",
    "within text": "before-${oc.env:AEROS_SECRET}-after",
    "with spaces": "${ oc.env : AEROS_SECRET }",
    "escaped": "\\${oc.env:AEROS_SECRET}",
    "twice escaped": "\\\\${oc.env:AEROS_SECRET}",
    "decoded": "${oc.decode:${oc.env:AEROS_SECRET}}",
    "as a default": "${oc.select:nowhere,${oc.env:AEROS_SECRET}}",
    "as a quoted default": "${oc.select:nowhere,'${oc.env:AEROS_SECRET}'}",
    "within a key": "${task.${oc.env:AEROS_SECRET}}",
    "decoded text": "${oc.decode:'$' }",
    "created": "${oc.create:{a: 1}}",
    "by a made name": "${${task.name}:AEROS_SECRET}",
    "by a name made in part": "${oc.${task.name}:AEROS_SECRET}",
    "by the old name": "${env:AEROS_SECRET}",
    "of Hydra": "${hydra:job.env_set.X}",
    "of another library": "${mine:x}",
    "in a date": "${now:'${oc.env:AEROS_SECRET}'}",
}


@pytest.fixture
def refused(aeros, toy_words, tmp_path, monkeypatch):
    """A function that runs what reads a secret; the message, in which it is not."""
    monkeypatch.setenv("AEROS_SECRET", SECRET)
    OmegaConf.register_new_resolver("mine", lambda name: SECRET, replace=True)
    plain = [word for word in toy_words if word != "experiment=null"]

    def run(*words, files=()):
        for name, text in dict(files).items():
            path = tmp_path / "mine" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        folder = ["--config-dir", "mine", "experiment=e"] if files else ["experiment=null"]
        done = aeros("run", *plain, *folder, "task.rounds=1", *words)
        assert done.returncode == 2, done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        assert SECRET not in done.stderr + done.stdout
        assert [path.name for path in tmp_path.iterdir()] == ["mine"] * bool(files)
        return done.stderr

    yield run
    OmegaConf.clear_resolver("mine")


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


@pytest.mark.parametrize("name", READING)
def test_a_file_reads_no_environment(refused, name):
    said = refused(files={"experiment/e.yaml": f"{HEAD}x: [{{y: {quoted(READING[name])}}}]\n"})
    assert "reads the environment" in said or "is not allowed in a configuration" in said


PLACES = {
    "a value": "task: {name: '${oc.env:AEROS_SECRET}'}",
    "a key": "x: {'${oc.env:AEROS_SECRET}': 1}",
    "a defaults list": "defaults: [/task: '${oc.env:AEROS_SECRET}']",
    "a path of a defaults list": "defaults: ['/task/${oc.env:AEROS_SECRET}']",
    "a directory of Hydra": "hydra: {run: {dir: 'out/${oc.env:AEROS_SECRET}'}}",
    "a search": "hydra: {sweeper: {params: {task.seed: '${oc.env:AEROS_SECRET}'}}}",
    "text of YAML": 'task: {name: "\\x24{oc.env:AEROS_SECRET}"}',
}


@pytest.mark.parametrize("name", PLACES)
def test_no_place_in_a_file_reads_the_environment(refused, name):
    said = refused(files={"experiment/e.yaml": f"{HEAD}{PLACES[name]}\n"})
    assert "${oc.env:…} reads the environment" in said
    assert "the shell has $AEROS_SECRET" in said


def test_no_package_header_reads_the_environment(refused):
    refused(files={"experiment/e.yaml": "# @package ${oc.env:AEROS_SECRET}\ntask: {seed: 1}\n"})


def test_no_package_of_a_defaults_list_reads_the_environment(refused):
    text = "defaults: [/trainer@${oc.env:AEROS_SECRET}: linear]"
    refused(files={"experiment/e.yaml": f"{HEAD}{text}\n"})


def test_no_file_that_a_file_takes_reads_the_environment(refused):
    files = {
        "experiment/e.yaml": f"{HEAD}defaults: [/more/x]\n",
        "more/x.yaml": f"{HEAD}task: {{name: '${{oc.env:AEROS_SECRET}}'}}\n",
    }
    refused(files=files)


@pytest.mark.parametrize(
    "word",
    [
        "task.name=${oc.env:AEROS_SECRET}", "task.name='${oc.env:AEROS_SECRET}'",
        "+x={a:'${oc.env:AEROS_SECRET}'}", "+x=[1,'${oc.env:AEROS_SECRET}']",
        "+x='a${oc.env:AEROS_SECRET}'", "+x=$\\{oc.env\\:AEROS_SECRET\\}",
        "hydra.run.dir='${oc.env:AEROS_SECRET}'", "++task.name=${oc.env:AEROS_SECRET}",
        "task.name=${oc.decode:'x'}", "task.name=${mine:x}", "task.name='${hydra:runtime.cwd}'",
    ],
)  # fmt: skip
def test_no_word_reads_the_environment(refused, word):
    said = refused(word)
    assert "reads the environment" in said or "is not allowed" in said


def test_no_word_of_a_sweep_reads_the_environment(refused):
    refused("-m", "task.name=a,'${oc.env:AEROS_SECRET}'")


def test_the_message_says_what_to_type(refused):
    said = refused("task.name=${oc.env:AEROS_SECRET}")
    assert "\n  next: <option>=$AEROS_SECRET on the command line" in said


@pytest.mark.parametrize(
    "text",
    [
        "${task.seed}", "a${task.name}b", "${now:%Y-%m-%d_%H:%M}", "${oc.select:task.seed,3}",
        "${task.${other}}", "a:b", "{a: ${x}}", "$HOME", "${..x}", "${a[0].b}", "100%", "${",
        "${oc.dict.keys:task}", "${oc.dict.values:task}", "file://x:${y}/z:1",
    ],
)  # fmt: skip
def test_what_configurations_need_passes(text):
    interpolations.check_text(text, "a file")
    interpolations.check_node(OmegaConf.create({"a": [{"b": "x"}], "c": None}), "a file")


@pytest.mark.parametrize("text", READING.values(), ids=READING)
def test_the_text_alone_tells(text):
    with pytest.raises(ConfigError, match="a file: "):
        interpolations.check_text(text, "a file")


def test_the_default_of_an_option_of_a_plugin_is_held_to_the_list():
    with pytest.raises(ConfigError):
        interpolations.check_node(OmegaConf.create({"path": "${oc.env:HOME}/x"}), "trainer/mine")
