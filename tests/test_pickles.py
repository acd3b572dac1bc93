"""Nothing here reads bytes that may run code: no pickle, on no wire and in no store."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("src", "conf", "plugins/*/src", "tests/benchmarks", "tests/integration")
SOURCES = sorted(
    [path for folder in FOLDERS for path in ROOT.glob(f"{folder}/**/*.py")] + [ROOT / "noxfile.py"]
)
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/README.md")])

MODULES = {
    "pickle", "_pickle", "cPickle", "pickletools", "marshal", "shelve", "dill", "cloudpickle",
    "joblib", "dbm", "jsonpickle", "hickle", "multiprocessing", "concurrent.futures.process",
}  # fmt: skip
"""What reads bytes that may run code, or sends objects so that another process does."""

CALLS = {"eval", "exec", "compile", "__import__", "breakpoint"}
METHODS = {"read_pickle", "to_pickle", "unsafe_load", "full_load", "ProcessPoolExecutor"}

TORCH_SAVES = {"plugins/aeros-torch/src/aeros_torch/export/state_dict.py"}
"""The files of other programs are written as they want them; they are read with care."""


def offences(text, name=""):
    """Yield what of a module could read a pickle, or run what it has read."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if _within(a.name))
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (each for each in names if _within(each))
            yield from (each for each in names if each in ("torch.load", "numpy.load"))
        elif isinstance(node, ast.Call) and (why := _called(node, name)):
            yield why


def _within(module):
    return any(module == each or module.startswith(f"{each}.") for each in MODULES)


def _called(call, name):
    """Return a call if it reads, or lets something read, what may run code."""
    told = {word.arg: ast.unparse(word.value) for word in call.keywords}
    what = ast.unparse(call.func)
    last = what.rpartition(".")[2]
    pickles = told.get("allow_pickle", "False") != "False"
    loads = what in ("torch.load", "torch.jit.load", "torch.hub.load") and (
        told.get("weights_only") != "True"
    )
    saves = what == "torch.save" and name not in TORCH_SAVES and "benchmarks" not in name
    yaml = what == "yaml.load" and "Safe" not in told.get("Loader", "")
    if what in CALLS or last in METHODS or pickles or loads or saves or yaml:
        return ast.unparse(call)[:80]
    return ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_reads_a_pickle(path):
    name = str(path.relative_to(ROOT))
    assert list(offences(path.read_text(encoding="utf-8"), name)) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_page_shows_how_to_read_one(path):
    text = path.read_text(encoding="utf-8")
    for block in re.findall(r"```python[^\n]*\n(.*?)```", text, re.DOTALL):
        if ">>>" not in block:
            assert list(offences(block)) == []
    for loads in re.findall(r"torch\.load\([^`]*?\)", text, re.DOTALL):
        assert "weights_only=True" in re.sub(r"\s", "", loads)


@pytest.mark.parametrize(
    "text",
    [
        "import pickle", "from pickle import loads", "import joblib.memory", "import dill as d",
        "from multiprocessing.connection import Client", "import concurrent.futures.process",
        "from concurrent.futures import ProcessPoolExecutor\nProcessPoolExecutor(2)",
        "torch.load(path)", "torch.load(path, weights_only=False)", "from torch import load",
        "np.load(path, allow_pickle=True)", "np.load(path, allow_pickle=flag)",
        "pandas.read_pickle(path)", "eval(text)", "exec(text)", "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)", "torch.save(model, path)", "torch.jit.load(path)",
    ],
)  # fmt: skip
def test_the_test_finds(text):
    assert list(offences(text))


@pytest.mark.parametrize(
    "text",
    [
        "torch.load(path, weights_only=True)", "np.load(path)", "np.load(path, allow_pickle=False)",
        "module.eval()", "re.compile(text)", "yaml.load(text, Loader=yaml.SafeLoader)",
        "import concurrent.futures",
    ],
)  # fmt: skip
def test_the_test_lets_pass(text):
    assert not list(offences(text))
