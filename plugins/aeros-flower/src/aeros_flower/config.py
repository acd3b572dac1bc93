"""The option that this package offers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Flower"]


@dataclass
class Flower:
    """Nodes on other machines: executors that connect to this process through Flower.

    Args:
        host: Address to listen on. Beyond this machine a certificate and keys of nodes are
            demanded.
        port: Port to listen on.
        nodes: Executors to wait for before the first round.
        wait: Seconds to wait for them, and later for one to come back where none is left.
        certificate: File of the server's certificate (PEM); ``aeros certs`` makes one.
        key: File of its private key (PEM).
        admitted: Folder of the public keys of the nodes that may take part.
        insecure: Do without certificate and keys also beyond this machine.
        window_mb: Megabytes of updates that may be on their way at a time: what this
            process may come to hold of them, however many nodes there are.
    """

    _target_: str = "aeros_flower.controller.FlowerController"
    host: str = "127.0.0.1"
    port: int = 9292
    nodes: int = 1
    wait: float = 60.0
    certificate: str | None = None
    key: str | None = None
    admitted: str | None = None
    insecure: bool = False
    window_mb: int = 1024
