"""The pages are true: the tutorial is carried out, the README's commands work."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs/tutorials/collector.md").read_text()
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def third_party(tmp_path_factory):
    """The tutorial's package, made in an empty directory and installed."""
    return installed(tmp_path_factory.mktemp("nearest"), TUTORIAL)


def installed(folder, page):
    """Return a folder with the files of a page, and the environment in which they are installed."""
    for name, text in re.findall(r"```\w+ title=(\S+)\n(.*?)```", page, re.DOTALL):
        (folder / name).write_text(text)
    site = folder / "site"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site)]
    subprocess.run([*command, "."], cwd=folder, check=True, capture_output=True)
    return folder, {**os.environ, "PYTHONPATH": str(site)}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The inferencer of the page of plugins, installed."""
    return installed(tmp_path_factory.mktemp("plain"), (ROOT / "docs/plugins.md").read_text())


def run(third_party, *words):
    folder, env = third_party
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=500)


def test_the_tutorial_is_short():
    blocks = re.findall(r"```(?:toml|python)[^\n]*\n(.*?)```", TUTORIAL, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    assert len(blocks) == 4
    assert len(lines) <= 31
    assert max(map(len, lines)) <= 100


def test_tutorial_plugin_is_listed(third_party):
    out = run(third_party, "aeros_core.cli.main", "plugins").stdout
    assert re.search(r"nearest +aeros-nearest +1\.0 +ok +collector=nearest", out)


def test_tutorial_plugin_runs(third_party):
    words = ["run", "collector=nearest", "collector.ignore=0.3", "task.rounds=3"]
    done = run(third_party, "aeros_core.cli.main", *words)
    assert done.returncode == 0, done.stderr
    assert "FINISHED after 3 rounds" in done.stdout


def test_tutorial_plugin_is_checked(third_party):
    words = ["run", "collector=nearest", "collector.ignore=much"]
    done = run(third_party, "aeros_core.cli.main", *words)
    assert done.returncode == 2
    assert "collector.ignore" in done.stderr
    words = ["run", "collector=nearest", "collector.ignore=1.5"]
    done = run(third_party, "aeros_core.cli.main", *words)
    assert done.returncode == 2
    assert "collector.ignore must be from 0 to below 1, got 1.5" in done.stderr


def test_tutorial_passes_the_contract(third_party):
    done = run(third_party, "pytest", "-q", "-p", "no:cacheprovider", "test_nearest.py")
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d+ passed", done.stdout)


def test_the_first_plugin_is_a_file_as_the_page_of_plugins_says(tmp_path):
    page = (ROOT / "docs/plugins.md").read_text()
    section = page.partition("## First plugin without a package\n")[2].partition("\n## ")[0]
    [(name, source)] = re.findall(r"```python title=(\S+)\n(.*?)```", section, re.DOTALL)
    (tmp_path / name).write_text(source)
    [console] = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    commands = re.findall(r"^\$ aeros (.*)\n((?:(?!\$ ).*\n)*)", console, re.MULTILINE)
    assert len(commands) == 3
    for words, shown in commands:
        done = run((tmp_path, None), "aeros_core.cli.main", *words.split())
        assert done.returncode == 0, done.stderr
        assert done.stdout == shown or not shown
    assert "FINISHED after 3 rounds" in done.stdout


SAME = """
import numpy as np
from aeros_core.config import build, store
from aeros_core.plugins import discovery
registry = discovery.discover()
answers = []
for name in ("plain", "torch"):
    cfg = store.plain(store.load([f"+inferencer={name}"], registry, root="models"))
    repository = build.build_part(registry, "repository", cfg["repository"])
    model = repository.model("digits", 1)
    service = build.build_service(registry, model, cfg["inferencer"], repository=repository)
    rows = np.random.default_rng(0).uniform(0, 16, (5, 8, 8)).astype("float32")
    answers.append(service.predict({"image": rows}))
    assert len(service.predict({"image": rows[:0]})["scores"]) == 0
ours, theirs = answers
np.testing.assert_allclose(ours["scores"], theirs["scores"], rtol=1e-5, atol=1e-7)
np.testing.assert_array_equal(ours["label"], theirs["label"])
print(list(ours))
"""


def test_the_inferencer_of_the_page_of_plugins_answers_as_torch_does(plain):
    folder, env = plain
    listed = run(plain, "aeros_core.cli.main", "plugins").stdout
    assert re.search(r"plain +aeros-plain +1\.0 +ok +inferencer=plain", listed)
    done = run(plain, "aeros_core.cli.main", "run", "trainer/model=softmax", "task.rounds=3")
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "-c", SAME]
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout) == (0, "['scores', 'label']\n"), done.stderr


COMMANDS = [
    line[2:].partition(" #")[0].split()
    for line in README.splitlines()
    if line.startswith("$ aeros run") and "medain" not in line and "deployment=flower" not in line
]  # test_flower.py, between up and down


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_readme_commands_run(aeros, words):
    aeros(*words[1:], "task.rounds=1")


def shape(text):
    """Return the lines of an output with numbers, names of runs, folders and spaces made equal."""
    text = re.sub(r"(?<= in )/\S*?/(?=outputs/)", "", text)
    text = re.sub(r"\d{8}T\d{6}-[0-9a-f]{6}|\d{4}-\d\d-\d\d_[\d-]+", "RUN", text)
    text = re.sub(r" +", " ", re.sub(r"\d+(\.\d+)?(e-\d+)?", "N", text))
    return [line.strip() for line in text.splitlines()]


def sample(before, after="```"):
    """Return what the README shows between two texts, without what is left out."""
    shown = README.partition(before)[2].partition(after)[0]
    return shape("\n".join(line for line in shown.splitlines() if line != "…"))


def test_readme_run_is_what_is_printed(aeros):
    printed = shape(aeros("run"))
    shown = sample("```text\n")
    assert shown[:2] + shown[3:] == printed[:2] + printed[-3:]
    assert shown[2] == printed[-4]


def test_readme_comparison_is_what_is_printed(aeros):
    aeros("run", "-m", "collector=fedavg,median", "task.seed=0,1", "task.rounds=2")
    printed = shape(aeros("compare", "multirun/digits"))
    shown = sample("$ aeros compare multirun/digits\n")
    assert shown == [*printed[:3], "curves are in multirun/digits/compare.png"]
    assert (aeros.folder / "multirun/digits/compare.png").exists()


def test_readme_error_is_what_is_printed(aeros):
    shown = README.partition("$ aeros run collector=medain\n")[2].partition("```")[0]
    said = aeros("run", "collector=medain", code=2)
    assert said.splitlines()[0] == shown.splitlines()[0]
    assert said.splitlines()[-1] == shown.splitlines()[-1]


def test_readme_names_the_two_lines():
    lines = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert [line.rpartition("/")[2] for line in lines] == ["nox -s run", "nox"]
    assert (ROOT / ".ci/run").read_text().count("README.md") >= 1


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            generated = page.name == "index.md" and link == "api/index.md"  # by the site
            assert generated or (page.parent / link).exists(), f"{page.name}: {link}"


def test_an_estimator_of_scikit_learn_is_stored_as_the_page_of_onnx_says(aeros):
    pytest.importorskip("skl2onnx")
    page = (ROOT / "plugins/aeros-onnx/README.md").read_text()
    [(name, script)] = re.findall(r"```python title=(\S+)\n(.*?)```", page, re.DOTALL)
    (aeros.folder / name).write_text(script)
    done = subprocess.run(
        [sys.executable, name], cwd=aeros.folder, capture_output=True, text=True, timeout=300
    )
    assert f"$ python {name}\n{done.stdout}" in page, done.stderr
    assert json.loads(aeros("models", "show", "iris", "--json"))["samples"] == 16
