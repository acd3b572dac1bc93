"""docs/models.md is carried out: trained, listed, tagged, verified, loaded, exported."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs/models.md").read_text()
COMMANDS = [
    (words.split(), shown)
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for words, shown in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block, re.MULTILINE)
]
SCRIPTS = dict(re.findall(r"```python title=(\S+)\n(.*?)```", PAGE, re.DOTALL))


def shape(text):
    """Return output with its numbers, dates and widths made alike; they differ by machine.

    The number of a layer does not: ``layers.2.weight``.
    """
    return re.sub(r"[ \t]+", " ", re.sub(r"(?<![a-z]\.)\d[\d,.:T+-]*", "N", text))


def matches(shown, out):
    parts = [re.escape(shape(part)) for part in shown.split("...")]
    return re.fullmatch(".*".join(parts), shape(out), re.DOTALL)


class Page:
    """Types the commands of the page in one folder: each needs what those before it left."""

    def __init__(self, folder):
        self.folder, self.typed = folder, 0

    def type(self, number, here):
        """Type a command, and before it those that were left to another worker."""
        while self.typed < number:
            self._type(self.typed, here)
        return self._type(number, here)

    def _type(self, number, here):
        words, self.typed = COMMANDS[number][0], number + 1
        if "RUN" in words:
            [run] = [path.name for path in (self.folder / "aeros-repository/runs").iterdir()]
            words = [run if word == "RUN" else word for word in words]
        if words[0] == "aeros":
            with contextlib.chdir(self.folder):
                return subprocess.CompletedProcess(words, *here(words[1:]))
        return subprocess.run(
            [sys.executable, *words[1:]],
            cwd=self.folder, capture_output=True, text=True, timeout=300,
        )  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, text in SCRIPTS.items():
        (folder / name).write_text(text)
    return Page(folder)


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=[" ".join(w) for w, _ in COMMANDS])
def test_the_page_of_models_is_true(page, aeros, number):
    _, shown = COMMANDS[number]
    done = page.type(number, aeros.here)
    refused = shown.startswith("aeros: ")
    assert done.returncode == refused, done.stderr
    told = done.stderr if refused else done.stdout
    assert matches(shown, told), told


def test_the_page_shows_every_verb():
    verbs = {words[2] for words, _ in COMMANDS if words[1] == "models"}
    assert verbs == {"list", "tag", "show", "verify", "export", "import", "split", "gc"}
    assert set(SCRIPTS) == {words[1] for words, _ in COMMANDS if words[0] == "python"}


def test_a_comparison_can_fail():
    assert not matches("1 file verified, none is damaged\n", "1 file is damaged\n")
    assert not matches("model a\n...\n", "model b\nc\n")
    assert not matches("layers.1.weight 20\n", "layers.2.weight 20\n")
    assert matches("layers.1.weight 20\n", "layers.1.weight 3\n")


def flipped(path):
    data = bytearray(path.read_bytes())
    data[1000] ^= 4
    path.write_bytes(data)


def test_a_damaged_file_of_a_trained_model_is_named_and_exits_with_1(aeros):
    aeros("run", "task.rounds=1")
    chunks = (aeros.folder / "aeros-repository/blobs").glob("*/c.0")
    chunk = max(chunks, key=lambda path: path.stat().st_size)
    shutil.copytree(aeros.folder / "aeros-repository", aeros.folder / "copy")
    everywhere = [*(aeros.folder / "aeros-repository").rglob(f"{chunk.parent.name}/c.0")]
    for file in everywhere:  # the run has the same blob
        flipped(file)
    process = aeros.start("models", "verify")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert str(chunk) in out
    assert err.startswith(f"aeros: {len(everywhere)} of ")
    assert str(chunk) in aeros("models", "export", "digits", "d.safetensors", code=1)
    assert not (aeros.folder / "d.safetensors").exists()
    healed = aeros("models", "verify", "--heal-from", "copy")
    assert f"from {aeros.folder}/copy/" in healed
    assert all(f"healed: {file} from " in healed for file in everywhere)
    assert healed.endswith("files verified, none is damaged\n")
    aeros("models", "export", "digits", "d.safetensors")


def test_a_copy_that_holds_nothing_is_refused(aeros):
    aeros("run", "task.rounds=1")
    said = aeros("models", "verify", "--heal-from", "nowhere", code=2)
    assert said.startswith("aeros: --heal-from nowhere holds nothing of a repository\n  next: ")
    assert not (aeros.folder / "nowhere").exists()


def test_a_damaged_file_is_healed_from_the_run_that_has_it_too(aeros):
    aeros("run", "task.rounds=1")
    chunks = (aeros.folder / "aeros-repository/blobs").glob("*/c.0")
    chunk = max(chunks, key=lambda path: path.stat().st_size)
    flipped(chunk)
    told = json.loads(aeros("models", "verify", "digits", "--heal", "--json"))
    assert list(told["healed"]) == [str(chunk)]
    assert told["damaged"] == {}
