"""The options of ``aeros executor`` by which a site decides."""

from __future__ import annotations

import argparse
from pathlib import Path

from aeros_core.errors import ConfigError
from aeros_core.plugins.single_files import plugin_files
from aeros_flower.site.policy.policy import Policy

__all__ = ["add", "load_plugin_files"]


def load_plugin_files(policy: Policy) -> None:
    """Load the files that ``--plugin`` names, if a policy allows them.

    Raises:
        ConfigError: The policy does not allow one; none is loaded then.
        PluginError: One cannot be used.
    """
    for file in plugin_files.requested():
        if not policy.names("plugin_files", file.version):
            raise ConfigError(
                f"--plugin {file.path} is not allowed by the policy of this executor",
                exists=", ".join(policy.plugin_files) or "installed plugins alone",
                hint=f"plugin_files: ['{file.version}'] in {policy.location}",
            )
    plugin_files.load()


def add(parser: argparse.ArgumentParser) -> None:
    """Give ``aeros executor`` the options by which a site decides."""
    parser.add_argument(
        "--data-root", type=Path, metavar="DIR",
        help="a folder: files that tasks name are looked for below it; without one, none is read",
    )  # fmt: skip
    parser.add_argument(
        "--policy", type=Path, metavar="FILE",
        help="what this site allows, as YAML; without one the documented defaults hold",
    )  # fmt: skip
    parser.add_argument(
        "--same-user", action="store_true",
        help="the controller at this machine's HOST:PORT is your own: allow whatever it asks",
    )  # fmt: skip
    parser.add_argument(
        "--check", nargs="+", metavar="WORD",
        help="say what a task would be allowed, and end; words as for aeros run",
    )  # fmt: skip
    parser.add_argument("--log", action="store_true", help="print the site's log, and end")
    parser.add_argument("--json", action="store_true", help="with --log: its lines as they are")
