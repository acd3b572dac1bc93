"""A server of toy models in a thread of its own, and requests to it."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aeros_core.errors import PluginError, RepositoryError
from aeros_core.inference.service import Service
from aeros_core.parameters import Parameters
from aeros_core.records import Model, ModelInfo
from aeros_core.schema import Field, Schema
from aeros_serving.config import Serving
from aeros_serving.models.statistics import Drift
from aeros_serving.models.version import LoadedVersion
from aeros_serving.protocol.input_schema import input_schema_of
from aeros_serving.server import Server

POINT = Schema((Field("x", "float32", (3,), (0.0, 1.0)),))


class Silent:
    """Events that nobody hears."""

    def aeros_after_predict(self, **_):
        pass


class Times:
    """Multiplies; can be slow, fail, or wait until it is told to go on."""

    def __init__(self, factor):
        self.factor, self.seconds, self.sizes = factor, 0.0, []
        self.gate, self.door, self.explaining = threading.Event(), threading.Event(), []
        self.gate.set()
        self.door.set()

    def load(self, model, module=None):
        pass

    def predict(self, batch):
        x = next(iter(batch.values()))
        self.sizes.append(len(x))
        time.sleep(self.seconds)
        self.gate.wait(20)
        if x.dtype.kind == "f" and (x == 13).any():
            raise ValueError("thirteen")
        if x.dtype.kind == "f" and (x == 14).any():
            raise MemoryError("no room")
        if x.dtype.kind == "O":
            return {"echo": x}
        scores = x * x.dtype.type(self.factor)
        return {"scores": scores, "label": scores.reshape(len(x), -1).argmax(1)}

    def explain(self, batch, columns, *, steps, baseline):
        """Each score is made of one value: the others have no share in it."""
        self.explaining.append(steps)
        self.door.wait(20)
        if (batch["x"] == 15).any():
            raise PluginError("explanations need captum, which is not installed", hint="pip")
        if (batch["x"] == 16).any():
            raise MemoryError("no room")
        start = np.zeros_like(batch["x"]) if baseline is None else baseline["x"]
        rows = np.arange(len(columns))
        shares = np.zeros_like(start)
        shares[rows, columns] = ((batch["x"] - start) * self.factor)[rows, columns]
        return {"x": shares}, (start * self.factor)[rows, columns]


@dataclass
class Stored:
    """A repository of models by name and version, with tags."""

    all: dict = field(default_factory=dict)
    tags: dict = field(default_factory=dict)

    def models(self, name=None):
        return [
            ModelInfo(
                n, v, "", "", 0, {}, "", 0, tuple(t for t, at in self.tags.items() if at == v)
            )
            for n, v in sorted(self.all)
            if name in (None, n)
        ]


@dataclass
class Toys:
    """What `aeros_serving.models.version.Loader` does, without a registry."""

    repository: Stored = field(default_factory=Stored)
    loaded: list = field(default_factory=list)

    def add(self, name, version, schema=POINT, factor=2.0):
        target = Field("label", "int64", categories=("a", "b", "c"))
        trained = Schema((*schema.fields, target), "label")
        model = Model(name, Parameters.of({}), trained, inputs=trained)
        self.repository.all[name, version] = (model, Times(factor))
        return self.repository.all[name, version][1]

    def load(self, name, version):
        if (name, version) not in self.repository.all:
            raise RepositoryError(f"model '{name}' has no version {version}")
        model, inferencer = self.repository.all[name, version]
        if inferencer is None:
            raise RepositoryError(f"version {version} of model '{name}' is damaged")
        self.loaded.append((name, version))
        return toy(model, inferencer, version)


def toy(model, inferencer, version=1):
    service = Service(model, [], inferencer, Silent())
    made = LoadedVersion(model.name, version, service, input_schema_of(model, []))
    made.warm()
    made.statistics.drift = tuple(
        Drift(f) for f in made.contract.fields.values() if f.dtype not in ("str", "bool")
    )
    return made


class Running:
    """A server in a thread; `stop` drains it."""

    def __init__(self, loader, models, /, **options):
        self.options = replace(Serving(http_port=0, grpc_port=0, poll=0.0, drain=10.0), **options)
        self.loop = uvloop.new_event_loop()
        self.server = Server(loader, self.options)
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        try:
            self.do(self.server.start(models))
        except BaseException:
            self.end()
            raise
        self.http, self.grpc = self.server.http_port, self.server.grpc_port

    def do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def stop(self):
        if not self.loop.is_closed():
            self.do(self.server.stop())
            self.end()

    def end(self):
        self.do(self.loop.shutdown_default_executor())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(30)
        self.loop.close()

    def ask(self, method, path, body=None, headers=None):
        """Return status, headers and body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def request(self, data=(1, 2, 3), **more):
        """Return the bytes of a request for an inference of one row."""
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": list(data)}
        body = json.dumps({"inputs": [tensor], **more}).encode()
        head = (
            f"POST /v2/models/toy/infer HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def infer(self, name="toy", data=(1, 2, 3), **more):
        """Return status and JSON of an inference of one row."""
        body = self.request(data, **more).partition(b"\r\n\r\n")[2]
        status, _, answer = self.ask("POST", f"/v2/models/{name}/infer", body)
        return status, json.loads(answer)

    def raw(self, data, wait=10.0, end=False):
        """Send bytes, and return all that comes until the server closes or waits too long."""
        with socket.create_connection(("127.0.0.1", self.http), timeout=wait) as sock:
            sock.sendall(data)
            if end:
                sock.shutdown(socket.SHUT_WR)
            found = b""
            try:
                while piece := sock.recv(65536):
                    found += piece
            except TimeoutError:
                pass
            return found


@pytest.fixture
def toys():
    loader = Toys()
    loader.add("toy", 1)
    return loader


@pytest.fixture
def running(toys):
    """Start servers: ``running("toy", delay=0.1)``; they are stopped afterwards."""
    started = []

    def start(*models, **options):
        started.append(Running(toys, models or ["toy"], **options))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def served(toys):
    """The toy model, loaded."""
    return toys.load("toy", 1)


@pytest.fixture
def rows():
    """Make rows: ``rows(2)``."""
    return lambda count, value=0.5: {"x": np.full((count, 3), value, np.float32)}


@pytest.fixture(scope="module")
def fuzzed():
    """A server that many bad requests go to."""
    loader = Toys()
    loader.add("toy", 1)
    server = Running(loader, ["toy"], read_timeout=5.0)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    """A certificate of localhost, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    )
    return certificate, private


@pytest.fixture
def loop():
    """An event loop that counts as running, for protocols without a socket."""
    made = asyncio.new_event_loop()
    asyncio.set_event_loop(made)
    asyncio._set_running_loop(made)
    yield made
    asyncio._set_running_loop(None)
    asyncio.set_event_loop(None)
    made.close()
