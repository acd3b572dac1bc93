"""The command line: ``aeros run``, ``plugins``, ``models``, ``results`` and ``compare``.

Exit codes: 0 done, 1 failed, 2 what was typed or configured cannot be.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from aeros_core.cli import console
from aeros_core.cli.commands import fill, offered, takes_plugin_files
from aeros_core.errors import AerosError, ConfigError, Interrupted
from aeros_core.hooks.extensions import Command
from aeros_core.plugins import discovery
from aeros_core.plugins.single_files import plugin_files
from aeros_core.version import __version__

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from aeros_core.config.task_algorithms import Delivery
    from aeros_core.plugins.registry import Provided
    from aeros_core.plugins.subtask_runners import FollowUp
    from aeros_core.results import Result

__all__ = ["main"]

TRACEBACK = "AEROS_TRACEBACK"
"""Environment variable: set it to see where an error came from."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    console.occupy()
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup has it ignored
        signal.signal(signal.SIGHUP, _interrupt)
    try:
        files, arguments = plugin_files.split(arguments)
        with plugin_files.requesting(files):
            if files and takes_plugin_files(arguments[:1]):
                plugin_files.load()
            return _flushed(_command(arguments))
    except KeyboardInterrupt:
        return _failed(Interrupted("interrupted"))
    except AerosError as error:
        return _failed(error)
    except BrokenPipeError:  # `aeros … | head` is no error
        console.released(sys.stdout)
        return 0
    except OSError as error:
        if not _takes_more(sys.stdout):
            console.released(sys.stdout)
        return _failed(_of_the_system(error))
    except ImportError as error:
        from aeros_core.config.loading.diagnostics import unimportable

        return _failed(unimportable(error))


def _command(arguments: Sequence[str]) -> int:
    try:
        if arguments[:1] == ["run"]:
            with console.resilient_output():
                return run(arguments[1:])
        parser = _parser(arguments[:1])
        parsed, rest = parser.parse_known_args(arguments)
        if rest and (not hasattr(parsed, "words") or any(word.startswith("-") for word in rest)):
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        if rest:  # argparse takes no words after a flag, people do
            parsed.words += rest
        with console.resilient_output() if getattr(parsed, "endures", False) else nullcontext():
            return int(parsed.command(parsed))
    except SystemExit as done:  # argparse's way out
        return int(done.code or 0)


def _flushed(code: int) -> int:
    sys.stdout.flush()  # a pipe that nobody reads any more shows here, not at the exit
    return code


def _takes_more(stream: TextIO) -> bool:
    """Tell whether a stream takes what it was given."""
    try:
        stream.flush()
    except OSError:
        return False
    return True


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _of_the_system(error: OSError) -> AerosError:
    """Return what a full disk, or a directory that cannot be written, means to a person."""
    where = f"{error.filename}: " if error.filename else ""
    told = AerosError(
        f"{where}{error.strerror or error}",
        hint="free the disk, or write elsewhere with hydra.run.dir=DIR or repository.path=DIR;"
        f" {TRACEBACK}=1 shows where it happened",
    )
    told.__cause__ = error
    return told


def _failed(error: AerosError) -> int:
    with suppress(OSError):  # who closed standard error sees the exit code
        if os.environ.get(TRACEBACK):
            traceback.print_exception(error)
        print(f"aeros: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    console.released(sys.stderr)
    return error.exit_code


def _parser(typed: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aeros",
        description="Decentralised AI on the IoT-edge-cloud continuum.",
        epilog="aeros run --help tells how to choose parts and set options.",
    )
    parser.add_argument("--version", action="version", version=f"aeros {__version__}")
    parser.add_argument(
        plugin_files.FLAG, metavar="FILE.py", action="append",
        help="a plugin in a single file, for this command only; may also follow the command",
    )  # fmt: skip
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for each in offered(typed):
        command = commands.add_parser(each.record.name, help=_help(each))
        if [each.record.name] == typed:
            fill(each, command)
    return parser


def _help(command: Provided) -> str:
    """Return a command's line of ``aeros --help``, and who provides it."""
    record = command.record
    assert isinstance(record, Command)  # noqa: S101 - of the group of commands
    text = record.help.replace("%", "%%")  # argparse fills in what follows a %
    if command.plugin.distribution == "aeros-core":
        return text
    origin = f"from {command.plugin.distribution}"
    return f"{text} ({origin})" if text else origin


def add_run(parser: argparse.ArgumentParser) -> None:
    """Leave the command ``aeros run`` without arguments: Hydra parses its own."""
    parser.set_defaults(command=lambda _: run([]))


# ---------------------------------------------------------------- aeros run


def run(arguments: Sequence[str]) -> int:
    """Compose a configuration and run the task it describes; ``-m`` runs a sweep."""
    from aeros_core.cli.credentials import refuse_credentials
    from aeros_core.config import lockfile, store
    from aeros_core.config.loading.loader import GuardedLoader
    from aeros_core.config.task_algorithms import Delivery

    registry = discovery.discover()
    store.register(registry)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, where it would print and exit
    sys.argv = ["aeros run"]
    flags, overrides = _split(arguments)
    refuse_credentials(overrides)
    typed = [lockfile.spelled(word) for word in overrides]
    sys.argv = ["aeros run", *flags, *typed]
    with Delivery(registry) as delivery, GuardedLoader.typing(typed):
        return _composed(delivery)


def _composed(delivery: Delivery) -> int:
    """Let Hydra compose what was typed, and run it."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from aeros_core.config import store
    from aeros_core.config.loading import diagnostics

    entry = hydra.main(config_path=store.ROOT, config_name="config", **store.SINCE)
    began = []

    def job(cfg: DictConfig) -> float | None:
        began.append(True)
        return _job(cfg, delivery)

    try:
        entry(job)()
    except SystemExit as done:  # Hydra's own way out of --help, and ours out of a job
        return int(done.code or 0)
    except (HydraException, OmegaConfBaseException) as error:
        raise diagnostics.explain(error, delivery.registry) from error
    except diagnostics.REFUSALS as error:
        if not began:  # Hydra refused what was typed, in its own way
            raise diagnostics.explain(error, delivery.registry) from error
        raise
    return 0


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return flags and overrides; Hydra wants all flags first, people do not."""
    from hydra._internal.utils import get_args_parser

    parsed = get_args_parser().parse_intermixed_args(list(arguments))
    if parsed.experimental_rerun:
        raise ConfigError(
            "--experimental-rerun reads a pickle, which may run any code",
            hint="aeros run with the words in the run's .hydra/overrides.yaml",
        )
    if (parsed.config_path or "").startswith("pkg:"):
        raise ConfigError(
            f"--config-path {parsed.config_path} would import a package", hint="--config-dir DIR"
        )
    overrides = list(parsed.overrides)
    return [word for word in arguments if word not in overrides], overrides


def _job(cfg: DictConfig, delivery: Delivery) -> float | None:
    """Run one composed job; returns the watched metric, for sweepers that optimise."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from aeros_core.config import build, store
    from aeros_core.config.loading import diagnostics
    from aeros_core.config.naming import name_parts
    from aeros_core.plugins import subtask_runners
    from aeros_core.reporting.progress import progress
    from aeros_core.reporting.run_directory import RunDirectory

    runtime = HydraConfig.get()
    try:
        task = build.task_of(cfg)
        delivery.check(task)
        store.check_choices(runtime.runtime.choices, delivery.registry)
        data = name_parts(delivery.registry, store.plain(cfg))
        store.check_typed(runtime.overrides.task, data)
        after = subtask_runners.due(
            task, data, delivery.registry, sweep=runtime.mode == RunMode.MULTIRUN
        )
        report = RunDirectory(Path(runtime.runtime.output_dir), data)
        job = build.build(cfg, delivery.registry, listeners=[report, progress()])
        result = job.controller.run(job.task, job.parts)
    except (AerosError, ImportError) as error:
        if runtime.mode == RunMode.MULTIRUN and not isinstance(error, Interrupted):
            raise  # Hydra tells which job it was, goes on with the next, and fails in the end
        told = diagnostics.unimportable(error) if isinstance(error, ImportError) else error
        raise SystemExit(_failed(told)) from error
    print(f"files are in {report.folder}")
    _carry_out(after, result)
    return result.metrics.get(job.task.stop.metric)


def _carry_out(after: Sequence[FollowUp], result: Result) -> None:
    """Do what comes when a task has ended well."""
    try:
        for follow in after:
            follow(result.model)
    except AerosError as error:
        raise SystemExit(_failed(error)) from error


if __name__ == "__main__":
    sys.exit(main())
