"""The commands ``aeros certs make|node|admit|revoke|show|renew``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from aeros_core.errors import ConfigError
from aeros_core.reporting.tables import table
from aeros_flower.security.certificates import Authority, Certificate, read

__all__ = ["add_certs"]

_FOLDER = Path("aeros-certs")


def add_certs(parser: argparse.ArgumentParser) -> None:
    """Give the command ``aeros certs`` its verbs."""
    verbs = parser.add_subparsers(required=True, metavar="make|node|admit|revoke|show|renew")
    make = _verb(verbs, "make", _make, "a development CA, and the server's certificate")
    renew = _verb(verbs, "renew", _renew, "a new certificate of the server from the same CA")
    for verb in (make, renew):
        verb.add_argument("names", nargs="*", metavar="HOST", help="how nodes reach the server")
        verb.add_argument("--days", type=int, default=365, help="how long it lasts (365)")
    node = _verb(verbs, "node", _node, "make a node's key pair and admit it")
    admit = _verb(verbs, "admit", _admit, "admit a node by the public key it made")
    revoke = _verb(verbs, "revoke", _revoke, "admit a node no longer, also while a task runs")
    for verb in (node, admit, revoke):
        verb.add_argument("name", metavar="NAME", help="the node")
    admit.add_argument("public", type=Path, metavar="FILE.pub", help="its public key, P-384 in PEM")
    _verb(verbs, "show", _show, "certificates, how long they last, and admitted nodes")


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    command: Callable[[argparse.Namespace], int],
    help_: str,
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=help_)
    parser.add_argument("--folder", type=Path, default=_FOLDER, help=f"where ({_FOLDER})")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(command=command)
    return parser


def _make(parsed: argparse.Namespace, renew: bool = False) -> int:
    home = Authority(parsed.folder)
    home.make(parsed.names, parsed.days, renew=renew)
    made = read(home.server)
    text = (
        f"{home.server} is for {', '.join(made.names)}, until {made.expires:%Y-%m-%d}\n"
        f"the controller: controller.certificate={home.server} controller.key={home.server_key}\n"
        f"nodes trust it with {home.ca}"
    )
    return _say(parsed, {"ca": str(home.ca), "server": _row(made)}, text)


def _renew(parsed: argparse.Namespace) -> int:
    return _make(parsed, renew=True)


def _node(parsed: argparse.Namespace) -> int:
    home = Authority(parsed.folder)
    secret, listed = home.node(parsed.name)
    text = (
        f"{secret} is private: it goes to the node, and nowhere else\n"
        f"{listed} admits it where controller.admitted={home.nodes}"
    )
    return _say(parsed, {"key": str(secret), "public": str(listed)}, text)


def _admit(parsed: argparse.Namespace) -> int:
    listed = Authority(parsed.folder).admit(parsed.name, parsed.public)
    return _say(parsed, {"public": str(listed)}, f"{listed} admits {parsed.name}")


def _revoke(parsed: argparse.Namespace) -> int:
    gone = Authority(parsed.folder).revoke(parsed.name)
    text = f"{parsed.name} is refused from now on; its public key is {gone}"
    return _say(parsed, {"revoked": str(gone)}, text)


def _show(parsed: argparse.Namespace) -> int:
    home = Authority(parsed.folder)
    if not home.ca.exists():
        raise ConfigError(f"{home.folder} holds no CA", hint="aeros certs make HOST …")
    rows = [_row(read(path)) for path in (home.ca, home.server) if path.exists()]
    admitted = sorted(path.stem for path in home.nodes.glob("*.pub"))
    revoked = sorted(path.stem for path in home.revoked.glob("*.pub"))
    text = table(rows, ["certificate", "for", "expires", "days"])
    text += f"\nadmitted: {', '.join(admitted) or 'nobody'}"
    text += f"\nrevoked: {', '.join(revoked)}" if revoked else ""
    return _say(parsed, {"certificates": rows, "admitted": admitted, "revoked": revoked}, text)


def _row(found: Certificate) -> dict[str, object]:
    return {
        "certificate": str(found.path),
        "for": ", ".join(found.names),
        "expires": f"{found.expires:%Y-%m-%dT%H:%M:%SZ}",
        "days": "EXPIRED" if found.days < 0 else found.days,
    }


def _say(parsed: argparse.Namespace, data: dict[str, object], text: str) -> int:
    print(json.dumps(data, indent=2) if parsed.json else text)
    return 0
