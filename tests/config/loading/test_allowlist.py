import importlib
import sys

import pytest
from omegaconf import OmegaConf

from aeros_core.config.loading import allowlist
from aeros_core.errors import ConfigError

TRAP = """\
from pathlib import Path

Path("caught").write_text("foreign code ran")
stream = None


def bite(*args, **options):
    return None
"""


@pytest.fixture
def trapped(aeros, toy_words, tmp_path, monkeypatch):
    """A function that runs a task on a stranger's files, and tells whether their code ran."""
    (tmp_path / "trap.py").write_text(TRAP)
    monkeypatch.syspath_prepend(tmp_path)

    def run(files, *words):
        for name, text in files.items():
            path = tmp_path / "strange" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        folder = ["--config-dir", "strange"] if files else []
        done = aeros("run", *toy_words, "task.rounds=1", *folder, *words)
        return done, (tmp_path / "caught").exists()

    yield run
    sys.modules.pop("trap", None)


LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


def experiment(text):
    return {"experiment/e.yaml": f"# @package _global_\n{text}"}


def handler(text, whose="job"):
    lines = f"version: 1\nroot: {{handlers: [h]}}\nhandlers: {{h: {text}}}"
    return {f"hydra/{whose}_logging/j.yaml": lines}


CALLBACK = "hydra: {callbacks: {x: {_target_: trap.bite}}}"
HIDDEN = "mine: {_target_: trap.bite}"

ATTACKS = {
    "a callback on the command line": ({}, ["+hydra.callbacks.x._target_=trap.bite"]),
    "a callback in an experiment": (experiment(CALLBACK), ["experiment=e"]),
    "a callback behind an interpolation": (
        experiment(HIDDEN + "\nhydra: {callbacks: {x: '${mine}'}}"),
        ["experiment=e"],
    ),
    "a launcher": ({"hydra/launcher/l.yaml": "_target_: trap.bite"}, ["-m", "hydra/launcher=l"]),
    "a sweeper": ({"hydra/sweeper/s.yaml": "_target_: trap.bite"}, ["-m", "hydra/sweeper=s"]),
    "a logging factory": (handler("{(): trap.bite}"), ["hydra/job_logging=j"]),
    "a logging stream behind an interpolation": (
        handler("{class: logging.StreamHandler, stream: '${infrastructure.tier}'}"),
        ["hydra/job_logging=j", "infrastructure.tier=ext://trap.stream"],
    ),
    "Hydra's own logging": (handler("{(): trap.bite}", "hydra"), ["hydra/hydra_logging=j"]),
    "a callback in one job of a sweep": (experiment(CALLBACK), ["-m", "experiment=e,none"]),
    "logging in one job of a sweep": (
        handler("{(): trap.bite}") | experiment("defaults: [{override /hydra/job_logging: j}]"),
        ["-m", "experiment=e,none"],
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_configuration_from_a_stranger_runs_no_code(trapped, name):
    files, words = ATTACKS[name]
    done, ran = trapped(files, *words)
    assert not ran
    assert done.returncode == 2
    assert "would run code that no plugin registered\n  exists: " in done.stderr
    assert "\n  next: write a callback as an aeros plugin" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_trap_works(trapped, tmp_path):
    importlib.import_module("trap")
    assert (tmp_path / "caught").exists()


def test_pickles_are_not_read(aeros, toy_words, tmp_path):
    (tmp_path / "job.pickle").write_bytes(b"")
    done = aeros("run", *toy_words, "--experimental-rerun", "job.pickle")
    assert done.returncode == 2
    assert "--experimental-rerun reads a pickle, which may run any code" in done.stderr
    assert "next: aeros run with the words in the run's .hydra/overrides.yaml" in done.stderr


# ---------------------------------------------------------------- the allow-list


def everything(folder):
    """Return what lies below a folder, with its text."""
    found = [path for path in folder.rglob("*") if path.name != "multirun.yaml"]
    return {path: path.read_bytes() if path.is_file() else None for path in found}


@pytest.fixture
def refused(aeros, toy_words, tmp_path):
    """A function that runs a task that has to be refused before anything is written.

    ``{OUT}`` in words and files is a folder outside the working directory.
    """
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "precious.log").write_text("years of work\n")

    def run(words, files=()):
        for name, text in dict(files).items():
            path = tmp_path / "strange" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("{OUT}", str(outside)))
        before = everything(tmp_path) | everything(outside)
        words = [word.replace("{OUT}", str(outside)) for word in words]
        folder = ["--config-dir", "strange"] if files else []
        done = aeros("run", *toy_words, "task.rounds=1", *folder, *words)
        assert done.returncode == 2, done.stderr + done.stdout
        assert done.stderr.startswith("aeros: ")
        assert "Traceback" not in done.stderr + done.stdout
        assert everything(tmp_path) | everything(outside) == before
        return done.stderr

    return run


LOG = "hydra.job_logging.handlers.file.filename"

NEVER = {
    "hydra.job.env_set.LD_PRELOAD": "./x.so",
    "hydra.job.env_set": "{NUMBA_CACHE_DIR: ./k}",
    "hydra.job.env_copy": "[AWS_SECRET_ACCESS_KEY]",
    LOG: "{OUT}/precious.log",
    "hydra.job_logging.handlers.file.mode": "w",
    "hydra.job_logging.handlers.h": "{class: logging.FileHandler, filename: x.log}",
    "hydra.job_logging.root.handlers": "[console, file]",
    "hydra.job_logging.root": "{level: DEBUG, handlers: [file]}",
    "hydra.job_logging.root.level": "ext://os.environ",
    "hydra.job_logging.loggers.x": "{level: DEBUG}",
    "hydra.job_logging.disable_existing_loggers": "true",
    "hydra.hydra_logging.handlers.console.stream": "ext://sys.stdin",
    "hydra.output_subdir": "../..",
    "hydra.output_subdir.x": "1",
    "hydra.job.name": "../../precious",
    "hydra.job.num": "3",
    "hydra.job.id": "../../x",
    "hydra.job.config_name": "other",
    "hydra.job.override_dirname": "../../x",
    "hydra.job.config.override_dirname.kv_sep": "/../",
    "hydra.job.config.override_dirname.item_sep": "\\1",
    "hydra.job.config.override_dirname.exclude_keys": "[1]",
    "hydra.job.chdir": "maybe",
    "hydra.runtime.cwd": "/",
    "hydra.runtime.output_dir": "{OUT}",
    "hydra.runtime.choices.x": "y",
    "hydra.overrides.hydra": "['hydra.run.dir={OUT}/x']",
    "hydra.overrides.task": "['task.seed=7']",
    "hydra.callbacks.x": "{_target_: trap.bite}",
    "hydra.launcher._target_": LAUNCHER,
    "hydra.launcher._partial_": "true",
    "hydra.launcher._recursive_": "false",
    "hydra.launcher._convert_": "all",
    "hydra.launcher._args_": "[1]",
    "hydra.launcher.n_jobs": "2",
    "hydra.sweeper._target_": "hydra._internal.core_plugins.bash_completion.os.system",
    "hydra.sweeper.max_batch_size": "{_target_: trap.bite}",
    "hydra.sweeper.params": "{hydra.run.dir: /x}",
    "hydra.help.template": "$NOTHING",
    "hydra.help.header": "$NOTHING",
    "hydra.hydra_help.template": "x",
    "hydra.verbose": "{a: 1}",
    "hydra.mode": "BOTH",
    "hydra.nosuch": "1",
}
"""Options that may be set by nobody, or not so; by name, with a value as YAML has it."""


def nested(path, value):
    """Return an experiment that sets an option below ``hydra``."""
    first, *rest = path.split(".")
    text = value
    for name in reversed(rest):
        text = f"{{{name}: {text}}}"
    return {"experiment/e.yaml": f"# @package _global_\n{first}: {text}\n"}


@pytest.mark.parametrize("path", NEVER)
def test_an_option_of_hydra_that_is_not_on_the_list_is_refused_from_a_file(refused, path):
    refused(["experiment=e"], nested(path, NEVER[path]))


@pytest.mark.parametrize("path", NEVER)
def test_an_option_of_hydra_that_is_not_on_the_list_is_refused_as_a_word(refused, path):
    value = NEVER[path]
    value = value.replace(": ", ":") if value[0] in "{[" else f"'{value}'"
    refused([f"++{path}={value}"])


@pytest.mark.parametrize(
    "path", ["hydra.job.env_set.X", LOG, "hydra.output_subdir", "hydra.callbacks.x"]
)
def test_each_job_of_a_sweep_is_held_to_the_list(refused, tmp_path, path):
    words = ["-m", "experiment=e,none", "hydra.sweep.dir=swept"]
    (tmp_path / "swept").mkdir()
    (tmp_path / "swept/multirun.yaml").touch()  # Hydra writes it before it composes the jobs
    refused(words, nested(path, NEVER.get(path, "y")))


PACKAGED = {
    "a package": {"experiment/e.yaml": "# @package hydra.job\nenv_set: {X: y}\n"},
    "a defaults list": {
        "experiment/e.yaml": "# @package _global_\ndefaults: [/strange@hydra.job: x]\n",
        "strange/x.yaml": "env_set: {X: y}\n",
    },
    "an interpolation": {
        "experiment/e.yaml": "# @package _global_\nmine: {env_set: {X: y}}\n"
        "hydra: {job: '${mine}'}\n"
    },
    "the whole node": {
        "experiment/e.yaml": "# @package _global_\nmine: {job: {env_set: {X: y}}}\n"
        "hydra: ${mine}\n"
    },
    "a group of Hydra": {
        "experiment/e.yaml": "# @package _global_\ndefaults: [override /hydra/env: e]\n",
        "hydra/env/e.yaml": "# @package hydra.job\nenv_set: {X: y}\n",
    },
    "a callback that is a part of ours": {
        "experiment/e.yaml": "# @package _global_\ndefaults: [/collector@hydra.callbacks.x: mean]\n"
    },
    "a launcher in the place of a callback": {
        "experiment/e.yaml": "# @package _global_\n"
        "defaults: [/hydra/launcher@hydra.callbacks.x: basic]\n"
    },
    "logging under a name of Hydra": {
        "experiment/e.yaml": "# @package _global_\ndefaults: [override /hydra/job_logging: j]\n",
        "hydra/job_logging/j.yaml": "version: 1\nroot: {level: DEBUG}\n",
    },
    "a launcher with a target of its own": {
        "experiment/e.yaml": "# @package _global_\ndefaults: [override /hydra/launcher: l]\n",
        "hydra/launcher/l.yaml": f"_target_: {LAUNCHER}.launch\n",
    },
    "parameters of a sweep": {
        "experiment/e.yaml": "# @package _global_\n"
        "hydra: {sweeper: {params: {++hydra.job.env_set.X: y}}, mode: MULTIRUN}\n"
    },
}  # fmt: skip


@pytest.mark.parametrize("name", PACKAGED)
def test_no_way_round_the_list(refused, name):
    refused(["experiment=e"], PACKAGED[name])


@pytest.mark.parametrize(
    "word",
    [
        "+hydra.job.env_set.X=y", "hydra.job={env_set:{X:y}}", "hydra={job:{env_set:{X:y}}}",
        "hydra={run:{dir:a}},{run:{dir:b}}", "~hydra.job.env_set", "~hydra.callbacks",
        "hydra.job.env_copy=[NOSUCHVARIABLE]", "hydra.run.dir=a,b",
        "hydra/launcher@hydra.callbacks.x=basic", "+collector@hydra.callbacks.x=mean",
        "hydra.sweeper.max_batch_size=many", "hydra/launcher=nosuch",
    ],
)  # fmt: skip
def test_no_word_gets_round_the_list(refused, word):
    refused([word])


def test_a_secret_of_the_environment_is_not_shown(refused, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    assert "hunter2" not in refused(["hydra.job.env_copy=[AWS_SECRET_ACCESS_KEY]"])


def test_the_message_says_what_to_type_instead(refused):
    said = refused(["+hydra.job.env_set.LD_PRELOAD=./x.so"])
    assert "hydra.job.env_set.LD_PRELOAD would change the environment of the process" in said
    assert "\n  next: export LD_PRELOAD=<value> before aeros run" in said


# ---------------------------------------------------------------- the search path


@pytest.mark.parametrize("scheme", ["pkg://trap", "pkg://this", "structured://trap"])
def test_no_package_is_imported_for_a_search_path(trapped, scheme):
    done, ran = trapped({}, f"hydra.searchpath=[{scheme}]")
    assert done.returncode == 2
    assert not ran
    assert f"hydra.searchpath={scheme} would import a package" in done.stderr


def test_no_package_is_imported_for_a_primary_configuration(trapped):
    files = {"main.yaml": "hydra: {searchpath: [pkg://trap]}\n"}
    done, ran = trapped(files, "--config-name", "main")
    assert (done.returncode, ran) == (2, False)


def test_no_package_is_imported_behind_an_interpolation(trapped):
    files = {"main.yaml": "mine: {searchpath: [pkg://trap]}\nhydra: ${mine}\n"}
    done, ran = trapped(files, "--config-name", "main")
    assert (done.returncode, ran) == (2, False)


def test_no_package_is_imported_as_the_path_of_configurations(trapped):
    done, ran = trapped({}, "--config-path", "pkg://trap")
    assert (done.returncode, ran) == (2, False)
    assert "would import a package" in done.stderr


def test_a_file_names_no_search_path_outside(refused):
    files = {"main.yaml": "hydra: {searchpath: ['file://{OUT}']}\n"}
    assert "leads outside the working directory" in refused(["--config-name", "main"], files)


def test_a_search_path_that_was_typed_is_taken(aeros, toy_words, tmp_path):
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/experiment/e.yaml").write_text("# @package _global_\ntask: {seed: 77}\n")
    words = [word for word in toy_words if word != "experiment=null"]
    for typed in (["hydra.searchpath=[file://mine]"], ["--config-dir", "mine"]):
        done = aeros("run", "--cfg", "job", *words, "experiment=e", *typed)
        assert "seed: 77" in done.stdout, done.stderr


# ---------------------------------------------------------------- what goes on to work


ALLOWED = [
    ["hydra/job_logging=disabled"], ["hydra/hydra_logging=disabled"], ["hydra/job_logging=none"],
    ["hydra/job_logging=stdout"], ["hydra.verbose=true"], ["hydra.verbose=[aeros]"],
    ["hydra.verbose=aeros"], ["hydra.job.name=mine"], ["hydra.job.name='${task.name}'"],
    ["hydra.job.chdir=true", "repository.path=here"], ["hydra.output_subdir=null"],
    ["hydra.output_subdir=.config"], ["hydra.mode=RUN"], ["hydra.job_logging.root.level=DEBUG"],
    ["hydra.run.dir=here/there"], ["hydra.run.dir='here/${task.seed}/${now:%H}'"],
    ["hydra/launcher=basic"], ["hydra/sweeper=basic"], ["hydra={run:{dir:x}}"],
    ["hydra.job.config.override_dirname.kv_sep=-"], ["hydra.help.header=Mine"],
    ["hydra.sweeper.max_batch_size=2"],
]  # fmt: skip


@pytest.mark.parametrize("words", ALLOWED, ids=" ".join)
def test_what_users_of_hydra_need_works(aeros, toy_words, words):
    done = aeros("run", *toy_words, "task.rounds=1", *words)
    assert done.returncode == 0, done.stderr


SWEEPS = [
    ["task.seed=1,2"], ["task.seed=1", "hydra.sweep.dir=a/b"],
    ["task.seed=1,2", "hydra.sweep.subdir='${hydra.job.override_dirname}'"],
    ["task.seed=1,2", "hydra.sweep.subdir='s${task.seed}/${hydra.job.num}'"],
    ["task.name=a,b"],
    ["task.seed=1,2", "hydra.sweeper.max_batch_size=1"],
]  # fmt: skip


@pytest.mark.parametrize("words", SWEEPS, ids=" ".join)
def test_sweeps_work(aeros, toy_words, tmp_path, words):
    done = aeros("run", "-m", *toy_words, "task.rounds=1", *words)
    assert done.returncode == 0, done.stderr
    jobs = 1 + any("," in word for word in words)
    assert len(list(tmp_path.rglob(".hydra/config.yaml"))) == jobs


def test_an_experiment_may_sweep(aeros, toy_words, tmp_path):
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/experiment/e.yaml").write_text(
        "# @package _global_\n"
        "hydra: {mode: MULTIRUN, sweeper: {params: {task.seed: '1,2'}}, sweep: {dir: swept}}\n"
    )
    words = [word for word in toy_words if word != "experiment=null"]
    done = aeros("run", *words, "--config-dir", "mine", "experiment=e", "task.rounds=1")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "swept").rglob("result.json"))) == 2


@pytest.mark.parametrize(
    "flags",
    [
        ["--cfg", "job"], ["--cfg", "hydra"], ["--cfg", "all"], ["--cfg", "job", "--resolve"],
        ["--help"], ["--info", "all"], ["--info", "defaults"],
        ["--info", "defaults-tree"], ["--info", "searchpath"], ["--info", "plugins"],
        ["--cfg", "job", "--package", "task"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_shows_the_configuration_works(aeros, toy_words, tmp_path, flags):
    done = aeros("run", *flags, *toy_words)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not list(tmp_path.iterdir())


def test_the_help_of_hydra_is_shown(aeros):
    done = aeros("run", "--hydra-help")
    assert done.returncode == 0
    assert "hydra/launcher: basic" in done.stdout


def test_each_option_of_hydra_is_decided_upon():
    """What Hydra has is on the list, chosen by group, or refused; a new one shows here."""
    from hydra.conf import HydraConf

    decided = {path.split(".")[1] for path in allowlist.SETTABLE}
    chosen = {"launcher", "sweeper", "defaults"}
    refused = {"callbacks", "hydra_help", "overrides", "runtime", "searchpath"}
    assert set(HydraConf.__dataclass_fields__) == decided | chosen | refused


# ---------------------------------------------------------------- the list itself


def test_an_option_that_no_plugin_registered_is_refused():
    hydra = OmegaConf.create({"launcher": {"_target_": LAUNCHER, "n_jobs": 2}})
    with pytest.raises(ConfigError) as refused:
        allowlist.check_plugins(hydra)
    assert refused.value.asked == "hydra.launcher.n_jobs is not an option of this launcher"


@pytest.mark.parametrize(
    "target", ["hydra_plugins.mine.Sweeper", LAUNCHER + ".launch", LAUNCHER[:-1], "${nowhere}"]
)
def test_a_target_that_merely_begins_like_an_allowed_one_is_refused(target):
    hydra = OmegaConf.create({"launcher": {"_target_": target}})
    with pytest.raises(ConfigError, match="would run code that no plugin registered"):
        allowlist.check_plugins(hydra)
