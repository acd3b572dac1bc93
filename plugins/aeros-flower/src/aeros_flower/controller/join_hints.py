"""What a person types so that nodes come to a controller."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from aeros_flower.cluster.local_cluster import FOLDER
from aeros_flower.system.address import split
from aeros_flower.system.network import PORT, is_everywhere, is_loopback

__all__ = ["JoinHints"]


@dataclass(frozen=True, slots=True)
class JoinHints:
    """How nodes are started that find the controller, and that it lets in.

    Args:
        ca: File of the certificate that vouches for it; None: plain HTTP, or the CAs of the
            system.
        keys: Whether nodes need keys.
        insecure: Whether plain HTTP is spoken also beyond this machine.
        app: Whether they are Flower's own nodes, for somebody's app.
        stands: Whether `aeros up` has started executors for it already.
        folder: Where it keeps them.
    """

    ca: str | None = None
    keys: bool = False
    insecure: bool = False
    app: bool = False
    stands: bool = False
    folder: Path = FOLDER

    def words(self, address: str, nodes: int) -> str:
        """Return what starts them.

        Args:
            address: Host and port of the controller.
            nodes: How many there are to be.
        """
        host, port = split(address)
        to = f"{platform.node()}:{port}" if is_everywhere(host) else address
        each = f"on each machine: {self._node(to, host)}"
        if self.app or self.ca or not is_loopback(host):
            return each
        beside = "" if self.folder == FOLDER else f" --folder {self.folder}"
        down = f"aeros down{beside}, then " if self.stands else ""
        beside += "" if port == PORT else f" --port {port}"
        return f"{down}aeros up --nodes {nodes}{beside}, or {each}"

    def _node(self, address: str, host: str) -> str:
        program = "flower-supernode --superlink" if self.app else "aeros executor"
        ca, key = ("root-certificates", "auth-supernode-private-key") if self.app else ("ca", "key")
        words = [program, address]
        words += [f"--{ca} ca.pem"] if self.ca else []
        words += [f"--{key} NAME.key"] if self.keys else []
        open_ = self.insecure if not is_loopback(host) else self.app
        words += ["--insecure"] if open_ and not self.ca else []
        return " ".join(words)
