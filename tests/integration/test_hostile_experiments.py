"""An experiment file from a stranger, run as a person runs it: processes, a compiler, the disk."""

import os
import shutil
import subprocess
import sys

import pytest

HEAD = "# @package _global_\n"

LIBRARY = """
#include <stdio.h>
__attribute__((constructor)) static void caught(void) {
    FILE *file = fopen("%s", "w");
    if (file) fclose(file);
}
"""


@pytest.fixture
def hostile(aeros):
    """A function that runs a stranger's experiment; what it says. It exits with 2."""

    def run(text, *words, name="e"):
        path = aeros.folder / f"strange/experiment/{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEAD + text)
        said = aeros.apart(
            "run", "--config-dir", "strange", f"experiment={name}", "task.rounds=1", *words, code=2
        )
        assert said.startswith("aeros: ")
        assert "Traceback" not in said
        assert not (aeros.folder / "outputs").exists()
        return said

    return run


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler")
def test_no_library_is_loaded_into_the_workers(hostile, aeros):
    caught = aeros.folder / "caught"
    (aeros.folder / "x.c").write_text(LIBRARY % caught)
    words = ["gcc", "-shared", "-fPIC", "-o", "x.so", "x.c"]
    subprocess.run(words, cwd=aeros.folder, check=True, timeout=120)
    preloaded = os.environ | {"LD_PRELOAD": str(aeros.folder / "x.so")}
    subprocess.run([sys.executable, "-c", ""], env=preloaded, check=True, timeout=120)
    assert caught.exists(), "the trap does not work"
    caught.unlink()
    said = hostile(
        "hydra: {job: {env_set: {LD_PRELOAD: ./x.so}}}\ntrainer: {engine: workers, workers: 2}\n"
    )
    assert "hydra.job.env_set.LD_PRELOAD would change the environment" in said
    assert not caught.exists()


def test_no_kernel_cache_of_a_stranger_is_chosen(hostile, aeros):
    said = hostile("hydra: {job: {env_set: {NUMBA_CACHE_DIR: ./kernels}}}\n")
    assert "hydra.job.env_set.NUMBA_CACHE_DIR" in said
    assert not (aeros.folder / "kernels").exists()


def test_a_secret_of_the_shell_is_in_no_file(hostile, aeros, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2-hunter2")
    text = "task: {name: '${oc.env:AWS_SECRET_ACCESS_KEY}'}\n"
    assert "hunter2" not in hostile(text)
    assert "hunter2" not in hostile("hydra: {job: {env_copy: [AWS_SECRET_ACCESS_KEY]}}\n")
    for path in aeros.folder.rglob("*"):
        assert path.is_dir() or b"hunter2" not in path.read_bytes()


def test_a_log_is_written_over_no_file(hostile, aeros):
    (aeros.folder / "thesis.tex").write_text("years of work")
    for handler in ("{filename: thesis.tex, mode: w}", "{filename: thesis.tex}"):
        said = hostile(f"hydra: {{job_logging: {{handlers: {{file: {handler}}}}}}}\n")
        assert "hydra.job_logging.handlers.file.filename=thesis.tex" in said
    assert (aeros.folder / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    "text",
    [
        "hydra: {output_subdir: ../..}\n",
        "hydra: {sweeper: {_target_: hydra._internal.core_plugins.bash_completion.os.system}}\n",
        "hydra: {launcher: {_target_: hydra._internal.core_plugins.bash_completion.os.system}}\n",
        "task: !!python/object/apply:os.system ['touch caught']\n",
        "task:\n\tseed: 1\n",
        "trainer: {model: {_partial_: true}}\n",
        "trainer: {_partial_: true}\n",
        "trainer: {_args_: [1]}\n",
        "collector: {_recursive_: false}\n",
        "transformer: {standardise: {_convert_: all}}\n",
    ],
)
def test_what_a_stranger_may_not_write_is_refused(hostile, aeros, text):
    hostile(text, "trainer/model=mlp")
    assert not (aeros.folder / "caught").exists()


@pytest.mark.parametrize(
    "word",
    [
        "hydra.searchpath=[pkg://this]", "+trainer._partial_=true", "+trainer.model._partial_=true",
        "+collector._args_=[1]", "+transformer.standardise._recursive_=false",
        "+trainer._mode_=x", "trainer.model._target_=os.system", "+task._target_=os.system",
        "+task.foo=1", "+hydra.sweeper._target_=os.system",
    ],
)  # fmt: skip
def test_what_a_person_may_not_type_is_refused(aeros, word):
    said = aeros.apart("run", "task.rounds=1", word, code=2)
    assert said.startswith("aeros: ")
    assert "Traceback" not in said
    assert "Zen of Python" not in said


def test_a_library_that_cannot_be_imported_is_named(aeros, monkeypatch):
    (aeros.folder / "broken/numba").mkdir(parents=True)
    text = "raise ImportError('libLLVM.so: no such file')\n"
    (aeros.folder / "broken/numba/__init__.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(aeros.folder / "broken"))
    monkeypatch.setenv("AEROS_TEST_COLD", "1")  # what was imported before would be used
    said = aeros.apart("run", "task.rounds=1", code=2)
    assert "aeros: numba cannot be imported: libLLVM.so: no such file\n" in said
    assert "\n  next: pip install --force-reinstall numba" in said
    assert "Traceback" not in said
