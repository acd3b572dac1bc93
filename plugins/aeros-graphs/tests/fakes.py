"""Members by hand, and a small server of the Open Inference Protocol."""

import json
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from aeros_core.errors import ConfigError, RemoteError
from aeros_core.parameters import Parameters
from aeros_core.records import Model
from aeros_core.schema import Field, Schema
from aeros_graphs.remote.tensors import HEADER

SCHEMA = Schema((Field("x", "float32", (3,)), Field("y", "int64", categories=("a", "b"))), "y")


def model(seed=0, name="m"):
    """Return a model of one matrix (3, 2)."""
    weight = np.random.default_rng(seed).standard_normal((3, 2)).astype(np.float32)
    return Model(name, Parameters.of({"weight": weight}), SCHEMA)


def rows(count=7):
    return {"x": np.random.default_rng(count).standard_normal((count, 3)).astype(np.float32)}


class Linear:
    """An inferencer whose scores are a softmax of ``gain * x @ weight``."""

    def __init__(self, gain=1.0, extra=()):
        self.gain, self.extra, self.asked = gain, extra, []

    def load(self, model, module=None):
        self.weight = np.asarray(model.parameters["weight"])

    def predict(self, batch):
        if "x" not in batch:
            raise ConfigError(f"no field 'x' in {sorted(batch)}")
        self.asked.append(len(batch["x"]))
        scores = np.exp(self.gain * batch["x"] @ self.weight)
        scores /= scores.sum(1, keepdims=True)
        answer = {"scores": scores, "label": scores.argmax(1)}
        return answer | {name: np.zeros(len(scores)) for name in self.extra}


class Fixed:
    """An inferencer that answers every row the same."""

    def __init__(self, **answer):
        self.answer, self.batches = answer, []

    def load(self, model, module=None):
        self.model = model

    def predict(self, batch):
        self.batches.append(batch)
        count = len(next(iter(batch.values())))
        return {
            n: np.array([v] * count).reshape(count, *np.shape(v)) for n, v in self.answer.items()
        }


def graph(kind, members, **options):
    """Return a graph that has taken these members; weights in ``options``."""
    weights = options.pop("weights", [1.0] * len(members))
    nodes = {n: {"model": None, "weight": w} for n, w in zip(members, weights, strict=True)}
    made = kind(members=nodes, **options)
    made.take(members)
    return made


class Endpoint:
    """What a test tells the server to do, and what it has seen."""

    def __init__(self):
        self.weight = np.asarray(model().parameters["weight"])
        self.seen, self.script, self.connections = [], [], set()
        self.release, self.gone = threading.Event(), False

    def answer(self, handler, body):
        length = handler.headers.get(HEADER)
        head = json.loads(body[: int(length)] if length else body)
        (told,) = head["inputs"]
        if length:
            x = np.frombuffer(body[int(length) :], "<f4").reshape(told["shape"])
        else:
            x = np.array(told["data"], np.float32).reshape(told["shape"])
        scores = np.exp(x @ self.weight)
        scores = (scores / scores.sum(1, keepdims=True)).astype(np.float32)
        outputs = {"scores": ("FP32", scores), "label": ("INT64", scores.argmax(1))}
        described, raws = [], []
        for name, (kind, array) in outputs.items():
            one = {"name": name, "datatype": kind, "shape": list(array.shape)}
            if length:
                raws.append(array.tobytes())
                one["parameters"] = {"binary_data_size": len(raws[-1])}
            else:
                one["data"] = array.ravel().tolist()
            described.append(one)
        text = json.dumps({"model_name": "m", "outputs": described}).encode()
        headers = {HEADER: str(len(text))} if length else {}
        return 200, headers, text + b"".join(raws)


class Handler(BaseHTTPRequestHandler):
    """Does with each request what the script says; answers where it says nothing."""

    protocol_version = "HTTP/1.1"
    endpoint: Endpoint

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        told = self.endpoint
        told.seen.append((self.path, dict(self.headers)))
        told.connections.add(self.client_address)
        act = told.script.pop(0) if told.script else None
        if act == "drop" or told.gone:
            self.close_connection = True
            return
        if isinstance(act, float):
            told.release.wait(act)
        status, headers, data = self.reply(act, body)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        for piece in [data] if act != "drip" else [data[i : i + 1] for i in range(len(data))]:
            self.wfile.write(piece)
            if act == "drip" and told.release.wait(0.05):
                return

    def reply(self, act, body):
        if isinstance(act, bytes):
            return 200, {}, act
        if isinstance(act, tuple):
            return act[0], *(act[2:] or ({},)), act[1]
        if isinstance(act, int):
            return act, {}, json.dumps({"error": f"told to say {act}"}).encode()
        return self.endpoint.answer(self, body)

    def log_message(self, *words):
        pass

    def handle(self):
        with suppress(OSError):
            super().handle()


@contextmanager
def serving(context=None):
    """Run a server on loopback; yields its `Endpoint` and address.

    Each entry of ``script`` is used for one request: a status, a number of seconds to wait
    (float), bytes to answer with, ``"drop"`` to close the connection, ``"drip"`` to send slowly.
    """
    endpoint = Endpoint()
    handler = type("Told", (Handler,), {"endpoint": endpoint})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *words: None
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield endpoint, f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        endpoint.gone = True  # for connections that are still open
        endpoint.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Away:
    """An inferencer whose server does not answer, until it is told that it does."""

    def __init__(self, there=None):
        self.there, self.asked = there, 0

    def load(self, model, module=None):
        pass

    def predict(self, batch):
        self.asked += 1
        if self.there is None:
            raise RemoteError(
                "http://there did not answer: gone", hint="inferencer.timeout, or +inferencer.url="
            )
        return self.there.predict(batch)
