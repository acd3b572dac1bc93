"""Everything that tritonclient can ask of a server, asked of one after the other.

    python tests/benchmarks/serving_surface.py [--json FILE] [--no-mlserver] [--cache FOLDER]
    python tests/benchmarks/serving_surface.py --http HOST:PORT --grpc HOST:PORT --model NAME
        --input NAME:DATATYPE:LENGTHS [--json FILE]

The second form asks a server that runs; its model answers ``scores`` (rows, classes) and
``label``. The first serves the same network with ``aeros serve`` and with MLServer, each asked
by the same script in its own environment, and prints what each of them passes. A check passes
if the client gets what the protocol promises; what a server refuses is shown in its words.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import queue
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = 3
PATIENCE = 20
NAMES = ("scores", "label")
Check = tuple[str, Callable[[], object]]


class Surface:
    """One protocol's client, and what it is asked."""

    def __init__(self, kind: str, address: str, model: str, told: str):
        import tritonclient.grpc
        import tritonclient.http

        self.kind, self.address, self.model = kind, address, model
        self.triton: Any = getattr(tritonclient, kind)
        self.client = self.triton.InferenceServerClient(address)
        name, self.datatype, lengths = told.split(":")
        self.name, shape = name, [int(length) for length in lengths.split(",")]
        rng = np.random.default_rng(0)
        self.rows = rng.random(shape).astype(self._dtype())
        self.binary = kind == "grpc" or self._binary()

    def _dtype(self) -> Any:
        from tritonclient.utils import triton_to_np_dtype

        return triton_to_np_dtype(self.datatype)

    def _binary(self) -> bool:
        """Tell whether the server takes what the client sends by default; else JSON is sent."""
        self.binary = True
        try:
            return self.right(self.client.infer(self.model, self.inputs()))
        except Exception:
            return False

    # ---------------------------------------------------------------- requests

    def inputs(self, rows: Any = None, binary: bool | None = None, **changes: Any) -> list[Any]:
        rows = self.rows if rows is None else rows
        datatype = changes.get("datatype", self.datatype)
        one = self.triton.InferInput(changes.get("name", self.name), list(rows.shape), datatype)
        coding = self.binary if binary is None else binary
        more = {} if self.kind == "grpc" else {"binary_data": coding}
        one.set_data_from_numpy(rows, **more)
        return [one]

    def output(self, name: str, **options: Any) -> Any:
        more = {} if self.kind == "grpc" else {"binary_data": self.binary}
        return self.triton.InferRequestedOutput(name, **more | options)

    def infer(self, inputs: Any = None, model: str = "", **options: Any) -> Any:
        """Return the answer, as the client asks by default where the server takes that."""
        if not self.binary and "outputs" not in options:
            options["outputs"] = [self.output(name) for name in NAMES]
        return self.client.infer(model or self.model, inputs or self.inputs(), **options)

    def right(self, answer: Any, names: tuple[str, ...] = NAMES) -> bool:
        """Tell whether an answer is one to the rows, as every other was."""
        scores, label = answer.as_numpy("scores"), answer.as_numpy("label")
        found = {"scores": scores, "label": label}
        assert all((found[name] is None) != (name in names) for name in found), "other outputs"
        if scores is not None:
            assert scores.shape[0] == len(self.rows), "another number of rows"
            np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-4)
        if scores is not None and label is not None:
            np.testing.assert_array_equal(label.ravel(), scores.argmax(1))
        return True

    def refused(self, call: Callable[[], object], *words: str) -> bool:
        """Tell whether a call is refused, in words that name what is wrong."""
        from tritonclient.utils import InferenceServerException

        said = ""
        try:
            call()
        except InferenceServerException as error:
            said = str(error)
        assert said, "it was taken"
        assert all(word.lower() in said.lower() for word in words), f"says: {said}"
        return self.right(self.infer())  # and the server goes on

    # ---------------------------------------------------------------- checks

    def checks(self) -> Iterator[Check]:
        yield from self._looking()
        yield from self._asking()
        yield from self._http() if self.kind == "http" else self._grpc()
        yield from self._refusing()
        yield from self._changing()

    def _looking(self) -> Iterator[Check]:
        client, model = self.client, self.model
        yield "server live", client.is_server_live
        yield "server ready", client.is_server_ready
        yield "model ready", lambda: client.is_model_ready(model)
        yield "no model ready", lambda: not client.is_model_ready("no-such-model")
        yield "server metadata", lambda: self._plain(client.get_server_metadata())["name"]
        yield "model metadata", lambda: self._plain(client.get_model_metadata(model))["name"]
        yield "model config", lambda: self._plain(client.get_model_config(model))
        yield "statistics of all", lambda: self._plain(client.get_inference_statistics())
        yield "statistics count", self._counted
        yield "repository index", lambda: self.model in str(client.get_model_repository_index())

    def _plain(self, told: Any) -> Any:
        if self.kind == "http":
            return told
        from google.protobuf.json_format import MessageToDict

        found = MessageToDict(told, preserving_proto_field_name=True)
        return found.get("config", found)

    def _counted(self) -> bool:
        def count() -> int:
            told = self._plain(self.client.get_inference_statistics(self.model))
            return sum(int(each.get("inference_count", 0)) for each in told["model_stats"])

        before = count()
        self.infer()
        return count() == before + len(self.rows)

    def _asking(self) -> Iterator[Check]:
        yield "infer", lambda: self.right(self.client.infer(self.model, self.inputs(binary=True)))
        yield "many rows", self._many
        yield "request id", self._named
        yield "choice of outputs", self._chosen
        yield "classification", self._classified
        yield "version of a model", self._versioned
        yield "timeout, priority", lambda: self.right(self.infer(timeout=30_000_000, priority=1))
        yield "parameters", lambda: self.right(self.infer(parameters={"mine": "yes", "n": 1}))
        yield "headers", lambda: self.right(self.infer(headers={"x-mine": "yes"}))
        yield "asynchronous", self._later
        yield "asyncio", lambda: asyncio.run(asyncio.wait_for(self._aio(), PATIENCE))

    def _many(self) -> bool:
        rows = np.concatenate([self.rows] * 20)
        return len(self.infer(self.inputs(rows)).as_numpy("scores")) == len(rows)

    def _named(self) -> bool:
        response = self.infer(request_id="mine-1").get_response()
        return (response["id"] if self.kind == "http" else response.id) == "mine-1"

    def _chosen(self) -> bool:
        return self.right(self.infer(outputs=[self.output("label")]), ("label",))

    def _classified(self) -> bool:
        best = self.infer(outputs=[self.output("scores", class_count=CLASSES)]).as_numpy("scores")
        assert best.shape == (len(self.rows), CLASSES), f"shape {best.shape}"
        scores = self.infer().as_numpy("scores")
        return [int(row[0].split(b":")[1]) for row in best] == scores.argmax(1).tolist()

    def _versioned(self) -> bool:
        response = self.infer().get_response()
        version = response["model_version"] if self.kind == "http" else response.model_version
        assert version, "the answer names no version"
        assert self.client.is_model_ready(self.model, version), "not ready"
        self.client.get_model_metadata(self.model, version)
        return self.right(self.infer(model_version=version))

    def _later(self) -> bool:
        if self.kind == "http":
            return self.right(self.client.async_infer(self.model, self.inputs()).get_result())
        done: queue.Queue[Any] = queue.Queue()
        told = lambda result, error: done.put((result, error))  # noqa: E731
        self.client.async_infer(self.model, self.inputs(), told)
        result, error = done.get(timeout=PATIENCE)
        assert error is None, error
        return self.right(result)

    async def _aio(self) -> bool:
        import importlib

        aio = importlib.import_module(f"tritonclient.{self.kind}.aio")
        async with aio.InferenceServerClient(self.address) as client:
            assert await client.is_server_ready()
            outputs = None if self.binary else [self.output(name) for name in NAMES]
            answers = [client.infer(self.model, self.inputs(), outputs=outputs) for _ in range(4)]
            return min(self.right(answer) for answer in await asyncio.gather(*answers))

    def _http(self) -> Iterator[Check]:
        for told, into, out in (("JSON in and out", 0, 0), ("JSON in", 0, 1), ("JSON out", 1, 0)):
            yield told, lambda into=into, out=out: self._coded(bool(into), bool(out))
        yield "body made and read apart", self._apart
        yield "query parameters", lambda: self.right(self.infer(query_params={"mine": "yes"}))
        for word in ("gzip", "deflate"):
            packed = {"request_compression_algorithm": word}
            yield f"{word} of requests", lambda p=packed: self.right(self.infer(**p))
            asked = {"response_compression_algorithm": word}
            yield f"{word} of answers", lambda a=asked: self.right(self.infer(**a))

    def _coded(self, into: bool, out: bool) -> bool:
        outputs = [self.output(name, binary_data=out) for name in ("scores", "label")]
        answer = self.infer(self.inputs(binary=into), outputs=outputs)
        told = [each.get("parameters", {}) for each in answer.get_response()["outputs"]]
        binary = ["binary_data_size" in each for each in told]
        assert out or not any(binary), "an answer in JSON was asked for"
        np.testing.assert_allclose(
            answer.as_numpy("scores"), self.infer().as_numpy("scores"), rtol=1e-5
        )
        return self.right(answer)

    def _apart(self) -> bool:
        import urllib.request

        made = self.triton.InferenceServerClient.generate_request_body
        body, length = made(self.inputs(binary=True))
        url = f"http://{self.address}/v2/models/{self.model}/infer"
        headers = {"Content-Type": "application/octet-stream"}
        if length is not None:
            headers["Inference-Header-Content-Length"] = str(length)
        with urllib.request.urlopen(
            urllib.request.Request(url, body, headers), None, PATIENCE
        ) as back:
            more = back.headers.get("Inference-Header-Content-Length")
            read = self.triton.InferenceServerClient.parse_response_body
            return self.right(read(back.read(), header_length=int(more) if more else None))

    def _grpc(self) -> Iterator[Check]:
        yield "deadline", lambda: self.right(self.infer(client_timeout=PATIENCE))
        for word in ("gzip", "deflate"):
            asked = {"compression_algorithm": word}
            yield f"{word}", lambda a=asked: self.right(self.infer(**a))
        yield "stream", self._stream
        yield "stream goes on after an error", self._stream_on
        yield "typed contents", self._typed

    def _streamed(self, *models: str) -> list[Any]:
        done: queue.Queue[Any] = queue.Queue()
        with self.triton.InferenceServerClient(self.address) as client:
            client.start_stream(lambda result, error: done.put((result, error)))
            for model in models:
                client.async_stream_infer(model, self.inputs())
            found = [done.get(timeout=PATIENCE) for _ in models]
            client.stop_stream()
        return found

    def _stream(self) -> bool:
        found = self._streamed(*[self.model] * 3)
        assert all(error is None for _, error in found), found
        return min(self.right(result) for result, _ in found)

    def _stream_on(self) -> bool:
        found = self._streamed("no-such-model", self.model)
        assert found[0][1] is not None, "no error"
        assert found[1][1] is None, found[1][1]
        return self.right(found[1][0])

    def _typed(self) -> bool:
        import grpc
        from tritonclient.grpc import service_pb2 as wire
        from tritonclient.grpc import service_pb2_grpc

        request = wire.ModelInferRequest(model_name=self.model)
        one = request.inputs.add(
            name=self.name, datatype=self.datatype, shape=list(self.rows.shape)
        )
        one.contents.fp32_contents.extend(self.rows.ravel().tolist())
        with grpc.insecure_channel(self.address) as channel:
            asked = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            answer = asked.ModelInfer(request, timeout=PATIENCE)
        told = {each.name: each.contents for each in answer.outputs}
        assert told["scores"].fp32_contents, "the answer has no typed contents"
        scores = np.reshape(told["scores"].fp32_contents, (len(self.rows), -1))
        np.testing.assert_allclose(scores, self.infer().as_numpy("scores"), rtol=1e-5)
        return list(told["label"].int64_contents) == scores.argmax(1).tolist()

    def _refusing(self) -> Iterator[Check]:
        rows, infer = self.rows, self.infer
        wide = np.concatenate([rows, rows], axis=-1)
        for told, call, words in (
            ("wrong model", lambda: infer(model="no-such-model"), ("no-such-model",)),
            ("wrong version", lambda: infer(model_version="977"), ("977",)),
            ("wrong input", lambda: infer(self.inputs(name="other")), ("other",)),
            (
                "wrong datatype",
                lambda: infer(self.inputs(rows.astype(bytes).astype(object), datatype="BYTES")),
                ("BYTES",),
            ),
            ("wrong shape", lambda: infer(self.inputs(wide)), ("shape",)),
            ("NaN", lambda: infer(self.inputs(np.full_like(rows, np.nan), binary=True)), ("nan",)),
            ("wrong output", lambda: infer(outputs=[self.output("other")]), ("other",)),
        ):
            yield f"{told} is told", lambda c=call, w=words: self.refused(c, *w)

    def _changing(self) -> Iterator[Check]:
        yield "unload and load", self._loaded
        yield (
            "no such model loads",
            lambda: self.refused(lambda: self.client.load_model("no-such-model"), "no-such-model"),
        )
        client = self.client
        yield "shared memory", client.get_system_shared_memory_status
        yield "CUDA shared memory", client.get_cuda_shared_memory_status
        yield "trace settings", lambda: client.get_trace_settings(self.model)
        yield "log settings", client.get_log_settings

    def _loaded(self) -> bool:
        self.client.unload_model(self.model)
        assert not self.client.is_model_ready(self.model), "ready after unload"
        self.client.load_model(self.model)
        return self.right(self.infer())


def surveyed(http: str, grpc: str, model: str, told: str) -> list[dict[str, str]]:
    """Ask a server everything; return a row for each check, empty ``why`` where it passed."""
    rows = []
    for kind, address in (("http", http), ("grpc", grpc)):
        surface = Surface(kind, address, model, told)
        for name, check in surface.checks():
            try:
                why = "" if check() is not False else "not as promised"
            except Exception as error:  # a client may raise anything
                why = " ".join(str(error).split())[:200] or type(error).__name__
            rows.append({"protocol": kind, "check": name, "why": why})
    return rows


# ---------------------------------------------------------------- the peers


def compared(options: argparse.Namespace) -> list[dict[str, str]]:
    """Serve the same network with both, and have this script ask each in its environment."""
    import serving_servers as servers

    found, told = [], "x:FP32:2,64"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        servers.publish(folder, "tiny")
        with servers.aeros(folder, "model=tiny") as server:
            found += _apart(Path(sys.executable), "aeros", server, told, folder)
        if not options.no_mlserver:
            python = servers.environment(options.cache)
            with servers.mlserver(python, folder, "tiny", 23080, workers=0) as server:
                found += _apart(python, "mlserver", server, told, folder)
    return found


def _apart(python: Path, who: str, server: Any, told: str, folder: Path) -> list[dict[str, str]]:
    out = folder / f"{who}.json"
    command = [str(python), __file__, "--model", "tiny", "--input", told, "--json", str(out)]
    command += ["--http", f"127.0.0.1:{server.http}", "--grpc", f"127.0.0.1:{server.grpc}"]
    subprocess.run(command, stdout=subprocess.DEVNULL, timeout=600)
    rows: list[dict[str, str]] = json.loads(out.read_text())
    return [{"server": who, **row} for row in rows]


def shown(rows: list[dict[str, str]]) -> None:
    """Print a line for each check: who passes, and why one does not."""
    servers = list(dict.fromkeys(row.get("server", "passes") for row in rows))
    places = {(row["protocol"], row["check"]): dict[str, str]() for row in rows}
    for row in rows:
        places[row["protocol"], row["check"]][row.get("server", "passes")] = row["why"]
    print(f"{'':5} {'check':30} {' '.join(f'{name:9}' for name in servers)}")
    for (protocol, check), whys in places.items():
        passed = " ".join(f"{'no' if whys.get(name) else 'yes':9}" for name in servers)
        why = "; ".join(f"{name}: {text}" for name, text in whys.items() if text)
        print(f"{protocol:5} {check:30} {passed} {why}")
    for name in servers:
        own = [row for row in rows if row.get("server", "passes") == name]
        print(f"{name}: {sum(not row['why'] for row in own)} of {len(own)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--http", help="address of a server that runs")
    parser.add_argument("--grpc", help="its other address")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--input", default="x:FP32:2,64", help="what the model takes")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--quick", action="store_true", help="changes nothing: it is quick")
    parser.add_argument("--no-mlserver", action="store_true")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "aeros-benchmarks")
    options = parser.parse_args()
    if options.http:
        rows = surveyed(options.http, options.grpc, options.model, options.input)
    else:
        rows = compared(options)
    shown(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
