"""Sessions: `nox` runs the default ones, `nox -l` lists all.

Every environment is installed from wheels built here, with the versions in
tests/constraints.txt. The default sessions begin with `wheels`, which brings everything at
once: to look through an index costs more than to install, and each environment did it anew.
"""

import os
import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "virtualenv"  # nox brings it; it needs no seconds for pip
nox.options.sessions = ["wheels", "lint", "docs", "core", "plugin", "newer_python", "together"]
nox.options.error_on_missing_interpreters = True

ROOT = Path(__file__).parent
BUILT: dict[str, Path] = {}
BROUGHT: list[str] = []  # pip's options once `wheels` has run: no index is asked any more
PLUGINS = sorted(path.name for path in (ROOT / "plugins").iterdir() if path.is_dir())
CONSTRAINTS = ["-c", "tests/constraints.txt"]
TESTING = ("pytest", "pytest-timeout", "pytest-xdist", "hypothesis")
CLIENTS = ("tritonclient[grpc,http]", "schemathesis", "captum", "skl2onnx")
TOGETHER = (*TESTING, "mypy", "moto[s3,server]", *CLIENTS)
SITE = ("mkdocs-material", "mkdocstrings[python]", "ruff")
PATIENCE = "--timeout=600"  # what hangs is named, with its stacks, and the others go on
SIDE_BY_SIDE = ["-n", "auto", "--dist", "worksteal", PATIENCE, "--durations=8"]
MORE = ["-n", str((os.cpu_count() or 1) + 2)]  # where tests wait for processes half of the time
MANY = ["-n", str((os.cpu_count() or 1) + 4)]  # where they wait for most of it
WAITING = {"aeros-flower", "aeros-graphs", "aeros-serving", "aeros-zarr"}
DISCOVERING = (  # what may come out otherwise where plugins are installed
    "architecture", "cli_main", "cli_commands", "config_build", "config_store", "discovery",
    "processes", "safetensors",
)  # fmt: skip
VERSIONED = (  # what Python's own libraries and types decide
    "cli_commands", "config_build", "config_store", "data_files", "task_algorithms", "errors",
    "hookspecs", "messages", "option_types", "plugin_files", "discovery", "processes",
    "public_surface", "registration", "task", "decompression",
)  # fmt: skip
SAME_EVERYWHERE = (  # what Hydra, a parser of YAML and our own words decide
    "architecture", "cli_main", "directories", "allowlist", "models_commands", "results",
    "yaml_files",
)  # fmt: skip
QUIET = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_WARN_SCRIPT_LOCATION": "1",
         "NO_MKDOCS_2_WARNING": "1"}  # fmt: skip
NEWER = ("3.12", "3.13")
BRIEF = {"HYPOTHESIS_PROFILE": "brief"}  # the core session draws more examples of the same
PRIVATE = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def tests_of(*names: str) -> list[str]:
    """Return the core's test modules of these names, wherever below tests/ they lie."""
    found = {path.stem: path for path in sorted((ROOT / "tests").rglob("test_*.py"))
             if "integration" not in path.parts}  # fmt: skip
    return [str(found[f"test_{name}"].relative_to(ROOT)) for name in names]


def install(session: nox.Session, *names: str, also: tuple[str, ...] = (), extra: str = "") -> None:
    """Install wheels of the core and these plugins, an extra of theirs, and others."""
    core, *found = (_wheel(session, name) for name in ("aeros-core", *names))
    targets = [str(core), *(f"{wheel}[{extra}]" if extra else str(wheel) for wheel in found)]
    # Byte code is compiled when something is imported: most of it never is.
    session.install("-q", "--no-compile", *CONSTRAINTS, *BROUGHT, *targets, *also, env=QUIET)
    seen = Path(session.virtualenv.location) / "wheels-are-installed"
    if seen.exists():  # `nox -r` uses an environment again: the last wheels have the same version
        again = ["-q", "--no-compile", "--no-deps", "--force-reinstall"]
        session.install(*again, str(core), *map(str, found), env=QUIET)
    seen.touch()


def _wheel(session: nox.Session, name: str, *found: str) -> Path:
    """Return the wheel of a distribution, built once however many sessions want it."""
    if name not in BUILT:
        folder = Path(session.create_tmp()) / "wheels" / name
        shutil.rmtree(folder, ignore_errors=True)
        source = "." if name == "aeros-core" else f"plugins/{name}"
        options = ["-q", "--no-deps", "-w", str(folder), *found]
        session.run("pip", "wheel", *options, source, env=QUIET, silent=True)
        [BUILT[name]] = folder.glob("*.whl")
    return BUILT[name]


@nox.session
def run(session: nox.Session) -> None:
    """Run a task with every plugin: `nox -s run -- experiment=digits task.rounds=5`."""
    install(session, *PLUGINS)
    session.run("aeros", "run", *session.posargs)


@nox.session
def wheels(session: nox.Session) -> None:
    """Bring what the default sessions install into one folder, found and resolved once."""
    folder = Path(session.create_tmp()) / "brought"
    shutil.rmtree(folder, ignore_errors=True)
    bring = ["pip", "wheel", "-q", "-w", str(folder), *CONSTRAINTS]
    session.run(*bring, "setuptools>=77", *SITE, env=QUIET)
    found = ["--no-index", "--find-links", str(folder)]
    core, *plugins = (_wheel(session, name, *found) for name in ("aeros-core", *PLUGINS))
    session.run(*bring, str(core), *(f"{one}[test]" for one in plugins), *TOGETHER, env=QUIET)
    BROUGHT.extend(found)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format with ruff."""
    session.install("-q", *CONSTRAINTS, *BROUGHT, "ruff", env=QUIET)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def core(session: nox.Session) -> None:
    """Test the core alone, without any plugin."""
    install(session, also=TESTING)
    session.run("pytest", *SIDE_BY_SIDE, "tests", "--ignore=tests/integration", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site with the API reference; a dead link is an error."""
    session.install("-q", "--no-compile", *CONSTRAINTS, *BROUGHT, *SITE, env=QUIET)
    site = (Path(session.create_tmp()) / "site").resolve()
    session.run("mkdocs", "build", "-q", "-f", "docs/site/mkdocs.yml", "-d", str(site), env=QUIET)
    session.log(f"open {site / 'index.html'}")


@nox.session
@nox.parametrize("name", PLUGINS, ids=PLUGINS)
def plugin(session: nox.Session, name: str) -> None:
    """Test one plugin alone with the core, in an environment of its own."""
    install(session, name, also=TESTING, extra="test")
    session.run(
        "pytest", *SIDE_BY_SIDE, *(MORE if name in WAITING else []),
        "-c", f"plugins/{name}/pyproject.toml", f"plugins/{name}/tests",
        *session.posargs, env=PRIVATE,
    )  # fmt: skip


@nox.session(venv_backend="none")
@nox.parametrize("version", NEWER, ids=NEWER)
def newer_python(session: nox.Session, version: str) -> None:
    """Test what a newer Python may change of the core, most on the newest, and aeros-algorithms."""
    same = [f"--ignore={path}" for path in tests_of(*SAME_EVERYWHERE)]
    most = ["tests", "--ignore=tests/integration", *same]
    _on_newer(session, version, most if version == NEWER[-1] else tests_of(*VERSIONED))


@nox.session(venv_backend="none")
@nox.parametrize("version", NEWER, ids=NEWER)
def newer_python_wholly(session: nox.Session, version: str) -> None:
    """Test all of the core on newer Pythons, of which the default sessions test a part."""
    _on_newer(session, version, ["tests", "--ignore=tests/integration"])


def _on_newer(session: nox.Session, version: str, tests: list[str]) -> None:
    """Run tests of the core, and those of aeros-algorithms, on a Python where it is installed."""
    interpreter = _interpreter(version)
    if interpreter is None:
        session.skip(f"Python {version} is not installed")
    folder = Path(session.create_tmp()) / f"python-{version}"
    session.run(interpreter, "-m", "venv", "--clear", str(folder), external=True)
    python = str(folder / "bin" / "python")
    bring = ["-m", "pip", "install", "-q", "--no-compile", *CONSTRAINTS]
    core = str(_wheel(session, "aeros-core"))
    session.run(python, *bring, core, *TESTING, env=QUIET, external=True)
    test = [python, "-m", "pytest", *SIDE_BY_SIDE]
    session.run(*test, *tests, *session.posargs, env=BRIEF, external=True)
    plugin = "plugins/aeros-algorithms"
    wheel = f"{_wheel(session, 'aeros-algorithms')}[test]"
    session.run(python, *bring, core, wheel, env=QUIET, external=True)
    there = ["-c", f"{plugin}/pyproject.toml", f"{plugin}/tests"]
    session.run(*test, *there, *session.posargs, external=True)


def _interpreter(version: str) -> str | None:
    """Return a Python of this version from the path or from pyenv; None if there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}"), *map(str, pyenv.glob(f"{version}.*/bin/python"))]
    for each in filter(None, found):  # a shim of pyenv is there without a Python behind it
        asked = subprocess.run([each, "--version"], capture_output=True, text=True, check=False)
        if asked.returncode == 0 and asked.stdout.startswith(f"Python {version}."):
            return each
    return None


@nox.session
def together(session: nox.Session) -> None:
    """Check all types; test discovery with every plugin installed, and everything together."""
    install(session, *PLUGINS, also=TOGETHER)
    found = [*tests_of(*DISCOVERING), "tests/integration"]
    session.run("pytest", *SIDE_BY_SIDE, *MANY, *found, *session.posargs)


@nox.session
def accuracy(session: nox.Session) -> None:
    """Run the long experiments on real data and hold them to published accuracy."""
    install(session, *PLUGINS, also=TESTING)
    session.run("pytest", "tests/integration", "-m", "accuracy", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Run what kills and waits for minutes: every component of Flower, at every phase."""
    install(session, *PLUGINS, also=(*TESTING, "flwr[simulation]"))
    session.run(
        "pytest", PATIENCE, "tests/integration", "-m", "soak", *session.posargs,
        env={"AEROS_TEST_COLD": "1"},  # each command in a Python of its own, as users start it
    )  # fmt: skip


@nox.session
def hydra_next(session: nox.Session) -> None:
    """Test the core on the next Hydra, before it is out."""
    install(session)
    session.install("-q", "pytest", "hypothesis", env=QUIET)
    session.install("-q", "--pre", "--upgrade", "hydra-core>=1.4.0.dev0", env=QUIET)
    session.run("pytest", "tests", "--ignore=tests/integration", *session.posargs)


@nox.session
def benchmark(session: nox.Session) -> None:
    """Run benchmark programs beside their peers: `nox -s benchmark -- aggregation --quick`."""
    install(session, *PLUGINS, also=("flwr", "moto[s3,server]"))
    programs, options = _split(session.posargs)
    for program in programs or ["aggregation", "repository"]:
        session.run("python", f"tests/benchmarks/{program}.py", *options, env=PRIVATE)


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    first = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    return words[:first], words[first:]
