"""The options that this package offers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aeros_core.options.metadata import address_option, file_option, folder_option

__all__ = ["Flower", "FlowerSimulation", "Metrics"]


@dataclass
class Flower:
    """Nodes on other machines: executors that connect to this process through Flower.

    Args:
        superlink: ``HOST:PORT`` of a SuperLink that runs already, started with ``--isolation
            process``; executors go there. None: one within this process.
        ca: File of the CA's certificate that vouches for it (PEM); None: plain HTTP to this
            machine, elsewhere the CAs of this system.
        host: Address to listen on. Beyond this machine a certificate and keys of nodes are
            demanded.
        port: Port to listen on; None: that of what ``aeros up`` started in this directory,
            whose controller is used where one stands by there, or 9292.
        nodes: Executors to wait for before the first round; None: as many as ``aeros up``
            started in this directory, or 1.
        folder: That of ``aeros up --folder``.
        only: Names of the executors that may take part, or patterns of names as ``edge-*``;
            none: all that come.
        wait: Seconds to wait for them, and later for one to come back where none is left, or
            for a SuperLink elsewhere that is lost.
        certificate: File of the server's certificate (PEM); ``aeros certs`` makes one.
        key: File of its private key (PEM).
        admitted: Folder of the public keys of the nodes that may take part.
        insecure: Do without certificate and keys also beyond this machine.
        window_mb: Megabytes of updates that may be on their way at a time: what this
            process may come to hold of them, however many nodes there are.
        stock: Let Flower's own SuperNodes take part beside executors; they run the ClientApp
            of aeros.
        app: Folder of a Flower app: SuperNodes run its ClientApp, which need know nothing of
            aeros, and all nodes are spoken to in Flower's own dialect.
        train_config: What of a strategy's ``train_config`` that app reads, as ``{lr: 0.01}``:
            said in the record ``config`` of each message, to train and to evaluate.
        run_config: What is another in the app's ``[tool.flwr.app.config]``, as with ``flwr run
            --run-config``.
    """

    _target_: str = "aeros_flower.controller.controller.FlowerController"
    superlink: str | None = address_option()
    ca: str | None = file_option()
    host: str = address_option("127.0.0.1")
    port: int | None = None
    nodes: int | None = None
    folder: str = folder_option(".aeros")
    only: list[str] = field(default_factory=list)
    wait: float = 60.0
    certificate: str | None = file_option()
    key: str | None = file_option()
    admitted: str | None = folder_option()
    insecure: bool = False
    window_mb: int = 1024
    stock: bool = False
    app: str | None = folder_option()
    train_config: Any = None
    run_config: Any = None


@dataclass
class FlowerSimulation:
    """Nodes in Flower's simulation engine: processes of Ray, on this machine or a cluster.

    Args:
        nodes: Virtual SuperNodes; each serves any number of the task's clients.
        cpus: Processors that Ray counts for one of them at work.
        gpus: GPUs that Ray counts for one of them at work; parts of one are possible.
        wait: Seconds to wait for them before the first round.
    """

    _target_: str = "aeros_flower.controller.simulation.SimulationController"
    nodes: int = 2
    cpus: float = 1.0
    gpus: float = 0.0
    wait: float = 120.0


@dataclass
class Metrics:
    """Figures of the task for Prometheus, under ``http://HOST:PORT/metrics`` while it runs.

    Args:
        host: Address to listen on. Beyond this machine the three files are demanded.
        port: Port to listen on; 0: whichever is free.
        certificate: File of the server's certificate (PEM).
        key: File of its private key (PEM).
        ca: File of the CA whose clients may ask (PEM).
    """

    _target_: str = "aeros_flower.metrics.PrometheusMetrics"
    host: str = address_option("127.0.0.1")
    port: int = 9464
    certificate: str = file_option("")
    key: str = file_option("")
    ca: str = file_option("")
