"""The commands ``aeros executor``, ``aeros up`` and ``aeros down``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aeros_core.errors import ConfigError
from aeros_core.tasks.infrastructure import TIERS, Description, check_tier
from aeros_flower.cli import site_arguments
from aeros_flower.cluster import local_cluster
from aeros_flower.executor import naming
from aeros_flower.security.probe import authority, greet
from aeros_flower.site.loading import policy_of
from aeros_flower.system.address import split
from aeros_flower.system.network import PORT, is_loopback, say

if TYPE_CHECKING:
    from aeros_flower.executor.fleet_client import FleetClient
    from aeros_flower.protocol.executor_info import ExecutorInfo
    from aeros_flower.site.site import Site

__all__ = ["add_down", "add_executor", "add_up"]


def add_executor(parser: argparse.ArgumentParser) -> None:
    """Give ``aeros executor`` its options."""
    parser.description = (
        "Train on this machine for the controller at an address: wait for it, serve it, wait"
        " for the next."
    )
    parser.add_argument(
        "address", nargs="?", default=f"127.0.0.1:{PORT}", metavar="HOST:PORT",
        help=f"where the controller listens (127.0.0.1:{PORT})",
    )  # fmt: skip
    parser.add_argument(
        "--name",
        help="its name (its key's, or this machine's, with a number where another executor has it)",
    )
    parser.add_argument(
        "--own", action="store_true",
        help="all data here are one client's, of this name; else it serves the task's clients",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="settings",
        help="an option of the task's trainer or transformers that is another here",
    )  # fmt: skip
    parser.add_argument("--label", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--tier", help=f"{', '.join(TIERS[:-1])} or {TIERS[-1]}")
    parser.add_argument("--data", action="append", default=[], help="a data set it holds")
    parser.add_argument(
        "--state", type=Path, default=Path(".aeros/state"), metavar="DIR",
        help="where lies what clients keep for themselves (.aeros/state)",
    )  # fmt: skip
    parser.add_argument(
        "--wait", type=float, default=86400.0, metavar="SECONDS",
        help="to look for a controller, at most, before it gives up (a day)",
    )  # fmt: skip
    parser.add_argument("--ca", type=Path, metavar="FILE", help="certificate of the CA to trust")
    parser.add_argument("--key", type=Path, metavar="FILE", help="this node's private key")
    parser.add_argument("--insecure", action="store_true", help="plain HTTP, also beyond loopback")
    parser.add_argument("--metrics", type=int, metavar="PORT", help="serve figures on 127.0.0.1")
    site_arguments.add(parser)
    parser.set_defaults(command=_executor, endures=True)


def add_up(parser: argparse.ArgumentParser) -> None:
    """Give ``aeros up`` its options."""
    parser.description = (
        "Start a controller and executors on this machine, for aeros run deployment=flower."
    )
    parser.add_argument("--nodes", type=int, default=3, help="how many (3)")
    parser.add_argument("--port", type=int, default=PORT, help=f"controller.port ({PORT})")
    parser.add_argument(
        "--folder",
        type=Path,
        default=local_cluster.FOLDER,
        help="where logs go, and where aeros run finds it: controller.folder (.aeros)",
    )
    parser.add_argument(
        "--alone", action="store_true",
        help="executors alone, for a SuperLink that runs already, or runs that listen themselves",
    )  # fmt: skip
    parser.add_argument(
        "--metrics", type=int, metavar="PORT",
        help="serve figures of the first executor on 127.0.0.1:PORT, of the next on PORT+1, …",
    )  # fmt: skip
    parser.set_defaults(command=_up, endures=True)


def add_down(parser: argparse.ArgumentParser) -> None:
    """Give ``aeros down`` its options."""
    parser.description = "End the controller and the executors that aeros up started."
    parser.add_argument("--folder", type=Path, default=local_cluster.FOLDER, help="as for aeros up")
    parser.set_defaults(command=_down)


def _executor(parsed: argparse.Namespace) -> int:
    if parsed.log:
        from aeros_flower.cli import site

        return site.show_log(parsed.policy, parsed.state, as_json=parsed.json)
    _check(parsed)
    split(parsed.address)
    if parsed.check:
        from aeros_flower.cli import site

        place = _place(parsed)
        site_arguments.load_plugin_files(policy_of(place))
        return site.show_check(place, parsed.check)
    return _run(parsed)


def _place(parsed: argparse.Namespace) -> ExecutorInfo:
    """Return what the executor is to be, as the options say."""
    from aeros_flower.protocol.executor_info import ExecutorInfo

    labels = dict(_pair(word, "--label") for word in parsed.label)
    for word in parsed.settings:
        _pair(word, "--set")
    if parsed.name is None:
        named = parsed.key and parsed.key.stem
        parsed.name = named or naming.given(parsed.address, own=parsed.own)
    return ExecutorInfo(
        name=parsed.name,
        own=parsed.own,
        settings=tuple(parsed.settings),
        state=parsed.state,
        description=Description(tier=parsed.tier, labels=labels, data=parsed.data),
        data_root=parsed.data_root,
        policy=parsed.policy,
        same_user=parsed.same_user,
        address=parsed.address,
    )


def _run(parsed: argparse.Namespace) -> int:
    from aeros_flower.executor import supernode
    from aeros_flower.executor.executor import Executor
    from aeros_flower.site.loading import open_site
    from aeros_flower.system.versions import is_tried

    place, insecure = _place(parsed), _insecure(parsed)
    site_arguments.load_plugin_files(policy_of(place))
    site = open_site(place, lambda text: say(f"executor {place.name} {text}"))
    greet = _Greeting(parsed.address, parsed.ca, site, insecure=insecure)
    connect = _connection(parsed, greet) if is_tried() else None
    if parsed.metrics is not None:
        from aeros_flower.metrics import serve_executor

        port = serve_executor(parsed.name, parsed.metrics).port
        say(f"executor {parsed.name} serves figures at http://127.0.0.1:{port}/metrics")
    if connect is not None:
        executor = Executor(place, connect, wait=parsed.wait, site=site)
        try:
            executor.run()
        except KeyboardInterrupt:
            say(f"executor {parsed.name} was told to end")
    else:
        supernode.serve(
            place, parsed.address, insecure=insecure, ca=parsed.ca, key=parsed.key,
            wait=parsed.wait, greeted=greet,
        )  # fmt: skip
    return 0


def _check(parsed: argparse.Namespace) -> None:
    """Refuse a name that is no folder's name, a time and a tier that are none."""
    check_tier(parsed.tier, "--tier ")
    name = parsed.name
    if name is not None and (Path(name).name != name or name in ("", "..")):
        raise ConfigError(
            f"--name '{parsed.name}' is no name: what its clients keep lies in a folder called so",
            hint="--name edge-7",
        )
    if not parsed.wait >= 0:
        raise ConfigError(f"--wait {parsed.wait:g} is no time", hint="--wait 60")
    if parsed.json:
        raise ConfigError("--json belongs to --log", hint="aeros executor --log --json")
    if parsed.same_user and parsed.policy:
        raise ConfigError(
            "--same-user and --policy exclude each other", hint="leave one of them out"
        )
    if parsed.same_user and not is_loopback(split(parsed.address)[0]):
        raise ConfigError(
            f"--same-user is for controllers on this machine, and {parsed.address} is elsewhere",
            hint="--policy FILE says what another controller may ask",
        )


def _insecure(parsed: argparse.Namespace) -> bool:
    host, _ = split(parsed.address)
    if parsed.insecure and parsed.ca:
        raise ConfigError("--insecure and --ca exclude each other", hint="leave one of them out")
    return bool(parsed.insecure or (parsed.ca is None and is_loopback(host)))


class _Greeting:
    """Looks who answers at the controller's address, and lets the site know.

    Args:
        address: ``HOST:PORT``.
        ca: Certificate of the CA to trust; None: those of this system.
        site: Whose policy says which controllers may ask.
        insecure: Whether to speak plain HTTP.

    Raises:
        ConfigError: The policy names no controller that could be there.
    """

    def __init__(self, address: str, ca: Path | None, site: Site, *, insecure: bool) -> None:
        from aeros_flower.site.policy import controllers

        self._address, self._ca, self._site, self.insecure = address, ca, site, insecure
        self._here = controllers.Controller(address)
        allowed, root = site.policy.controllers, authority(ca) if ca else None
        controllers.check_address(allowed, address, insecure=insecure)
        self.context = None if insecure else controllers.context(root, allowed, address, site.meet)

    def __call__(self) -> str:
        """Return why no controller answers that may ask; empty where one does."""
        why = greet(self._address, self._ca, insecure=self.insecure, context=self.context)
        if not why and self.insecure:
            self._site.meet(self._here)
        return why


def _connection(parsed: argparse.Namespace, greet: _Greeting) -> Callable[[], FleetClient]:
    """Return what makes a connection as the options say."""
    from aeros_flower.executor.fleet_client import FleetClient, Lost
    from aeros_flower.security import keys

    pair = None
    if parsed.key:
        secret = keys.private(parsed.key)
        pair = (secret, secret.public_key())

    def connect() -> FleetClient:
        if why := greet():
            raise Lost(why)
        return FleetClient(
            parsed.address,
            insecure=greet.insecure,
            context=greet.context,
            authentication_keys=pair,
        )

    return connect


def _pair(word: str, flag: str) -> tuple[str, str]:
    key, sign, value = word.partition("=")
    if not key or not sign:
        raise ConfigError(f"{flag} {word} says no value", hint=f"{flag} KEY=VALUE")
    return key, value


def _up(parsed: argparse.Namespace) -> int:
    if parsed.nodes < 1:
        raise ConfigError(f"--nodes {parsed.nodes} is below 1", hint="--nodes 3")
    if not 0 < parsed.port < 65536:
        raise ConfigError(f"--port {parsed.port} is no port", hint=f"--port {PORT}")
    figures = parsed.metrics
    if figures is not None and not 0 < figures <= 65536 - parsed.nodes:
        raise ConfigError(
            f"--metrics {figures} is no port, or has too few behind it for {parsed.nodes}",
            hint="--metrics 9465",
        )
    started = local_cluster.up(
        parsed.folder, parsed.nodes, parsed.port, alone=parsed.alone, metrics=figures
    )
    does = "stand by" if started.controller else "will find a controller"
    here = f"at port {parsed.port} of this machine; logs are in {parsed.folder}"
    print(f"{started} {does} {here}")
    print("executors are this user's own: they read any file that a task names (--same-user)")
    if figures is not None:
        last = figures + parsed.nodes - 1
        others = f", of the others at ports up to {last}" if parsed.nodes > 1 else ""
        print(f"figures of executor-1: http://127.0.0.1:{figures}/metrics{others}")
    print(local_cluster.command(parsed.folder))
    return 0


def _down(parsed: argparse.Namespace) -> int:
    print(f"{local_cluster.down(parsed.folder)} ended")
    return 0
