"""The REST protocol through a real socket."""

import contextlib
import gzip
import json
import logging
import threading
import time

import numpy as np
import pytest
import tritonclient.http as triton
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.utils import InferenceServerException

from aeros_core.inference.outputs import named
from aeros_core.roles.inferencer import Count
from aeros_core.schema import Field, Schema
from aeros_serving.config import Where
from aeros_serving.protocol.errors import Malformed
from aeros_serving.rest.codec import request_of

DTYPES = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "FP16": "float16", "FP32": "float32", "FP64": "float64", "BYTES": "str",
}  # fmt: skip


def tensor(**changes):
    return {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]} | changes


def test_health_and_metadata(running):
    server = running()
    for path, told in (
        ("v2/health/live", {"live": True}),
        ("v2/health/ready", {"ready": True}),
        ("v2/models/toy/ready", {"name": "toy", "ready": True}),
        ("v2/models/toy/versions/1/ready", {"name": "toy", "ready": True}),
    ):
        status, _, body = server.ask("GET", f"/{path}")
        assert (status, json.loads(body)) == (200, told)
    told = json.loads(server.ask("GET", "/v2")[2])
    assert told["name"] == "aeros-serving"
    assert "binary_tensor_data" in told["extensions"]
    told = json.loads(server.ask("GET", "/v2/models/toy/versions/1")[2])
    assert told.pop("platform")
    assert told == {
        "name": "toy",
        "versions": ["1"],
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [
            {"name": "scores", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "label", "datatype": "INT64", "shape": [-1]},
        ],
    }


def test_json_in_and_out(running):
    status, answer = running().infer(id="42")
    assert status == 200
    assert answer == {
        "id": "42",
        "model_name": "toy",
        "model_version": "1",
        "outputs": [
            {"name": "scores", "datatype": "FP32", "shape": [1, 3], "data": [2.0, 4.0, 6.0]},
            {"name": "label", "datatype": "INT64", "shape": [1], "data": [2]},
        ],
    }


@pytest.mark.parametrize("datatype", DTYPES)
def test_tritonclient_sends_every_type_as_it_does_by_default(toys, running, datatype):
    toys.add("all", 1, Schema((Field("x", DTYPES[datatype], (2,)),)), factor=1)
    kind = object if datatype == "BYTES" else DTYPES[datatype]
    x = np.array([["1", "ä"], ["0", "1"]] if datatype == "BYTES" else [[1, 0], [0, 1]], dtype=kind)
    with triton.InferenceServerClient(f"127.0.0.1:{running('all').http}") as client:
        given_ = triton.InferInput("x", [2, 2], datatype)
        given_.set_data_from_numpy(x)
        found = client.infer("all", [given_], request_id="r")
    name = "echo" if datatype == "BYTES" else "scores"
    output = found.as_numpy(name)
    expected = [[v.encode() for v in row] for row in x] if datatype == "BYTES" else x.tolist()
    assert output.tolist() == expected
    assert found.get_response()["id"] == "r"


def test_outputs_are_chosen_and_each_says_how_it_comes(running):
    with triton.InferenceServerClient(f"127.0.0.1:{running().http}") as client:
        given_ = triton.InferInput("x", [1, 3], "FP32")
        given_.set_data_from_numpy(np.ones((1, 3), np.float32))
        wanted = [
            triton.InferRequestedOutput("label", binary_data=True),
            triton.InferRequestedOutput("scores", binary_data=False),
        ]
        answer = client.infer("toy", [given_], outputs=wanted).get_response()
        assert [o["name"] for o in answer["outputs"]] == ["label", "scores"]
        assert answer["outputs"][0]["parameters"] == {"binary_data_size": 8}
        assert answer["outputs"][1]["data"] == [2.0, 2.0, 2.0]
        best = [triton.InferRequestedOutput("scores", class_count=2)]
        told = client.infer("toy", [given_], outputs=best).as_numpy("scores")
        assert told.tolist() == [[b"2.000000:0:a", b"2.000000:1:b"]]
        for strange in ("nothing", "label"):
            out = triton.InferRequestedOutput(strange, class_count=1)
            with pytest.raises(InferenceServerException, match=f"output '{strange}'"):
                client.infer("toy", [given_], outputs=[out])


def test_compressed_bodies(running):
    server = running(max_body=100_000)
    body = gzip.compress(json.dumps({"inputs": [tensor()]}).encode())
    headers = {"Content-Encoding": "gzip"}
    assert server.ask("POST", "/v2/models/toy/infer", body, headers)[0] == 200
    bomb = gzip.compress(b" " * 200_000)
    assert server.ask("POST", "/v2/models/toy/infer", bomb, headers)[0] == 413
    assert server.ask("POST", "/v2/models/toy/infer", b"none", headers)[0] == 400
    rows = {"inputs": [tensor(shape=[400, 3], data=[1] * 1200)]}
    headers = {"Accept-Encoding": "gzip"}
    status, told, answer = server.ask("POST", "/v2/models/toy/infer", json.dumps(rows), headers)
    assert (status, told["content-encoding"]) == (200, "gzip")
    assert json.loads(gzip.decompress(answer))["outputs"][0]["shape"] == [400, 3]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "the request is no JSON:"),
        (b"", "the request is empty, and its body has to be a JSON object"),
        (b"[]", "the request is no JSON object"),
        ({}, "'inputs' is an array of objects"),
        ({"inputs": [3]}, "'inputs' is an array of objects"),
        ({"inputs": [{"name": "x"}]}, "input 'x' has no datatype and no shape"),
        ({"inputs": [tensor(shape=3)]}, "input 'x' has a shape that is no array"),
        ({"inputs": [{"data": []}]}, "inputs[0] has no name and no datatype and no shape; input"),
        (
            {"inputs": [tensor(data=["1"] * 3), tensor(name="y", data=1), tensor(name=None)]},
            "input 'x': element 0 of data is '1', not a number; input 'y': data must be an array;"
            " inputs[2] has no name; input 'y' is not expected; the model takes x",
        ),
        ({"inputs": [tensor(), tensor()]}, "input 'x' is there twice"),
        ({"inputs": []}, "input 'x' is missing"),
        ({"inputs": [tensor(name="y")]}, "input 'y' is not expected; the model takes x"),
        ({"inputs": [tensor(datatype="FP64", data=[0.1] * 3)]}, "0.1 in row 0 does not fit FP32"),
        ({"inputs": [tensor(shape=[3, 1])]}, "input 'x': shape [3, 1], not [rows, 3]"),
        ({"inputs": [tensor(data=[1, 2, 1e39])]}, "element 2 of data is 1e+39, out of the range"),
        ({"inputs": [tensor()], "id": 3}, "'id' is a text"),
        ({"inputs": [tensor()], "outputs": [{}]}, "an output that is asked for has a name"),
        ({"inputs": [tensor()], "outputs": [{"name": "z"}]}, "output 'z' does not exist"),
        ({"inputs": [tensor()], "parameters": {"timeout": "1"}}, "parameter 'timeout' is micro"),
        ({"inputs": [tensor(parameters={"binary_data_size": 4})]}, "0 bytes are left"),
        ({"inputs": [tensor(parameters={"shared_memory_region": "r"})]}, "shared memory"),
    ],
)
def test_what_is_wrong_with_a_request_is_told(running, body, told):
    server = running()
    data = body if isinstance(body, bytes) else json.dumps(body)
    status, headers, answer = server.ask("POST", "/v2/models/toy/infer", data)
    assert status == 400
    assert headers["content-type"] == "application/json"
    assert told in json.loads(answer)["error"]
    assert server.infer()[0] == 200


@pytest.mark.parametrize("length", ["-1", "x", "999", "1" * 30])
def test_a_malformed_binary_header_is_told(running, length):
    server = running()
    headers = {"Inference-Header-Content-Length": length}
    status, _, answer = server.ask("POST", "/v2/models/toy/infer", b"{}", headers)
    assert status == 400
    assert "inference-header-content-length" in json.loads(answer)["error"]


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-99, 99), st.sampled_from(["x", "FP32", "BYTES"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["inputs", "outputs", "name", "datatype", "shape", "data", "parameters", "id",
                 "binary_data_size", "binary_data", "classification", "timeout"]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(JSON, st.binary(max_size=40), st.one_of(st.none(), st.text(max_size=4)), st.booleans())
def test_no_body_does_harm_to_the_decoder(head, more, length, true):
    text = json.dumps(head).encode()
    with contextlib.suppress(Malformed):
        request = request_of(text + more, str(len(text)) if true else length)
        assert request.tensors.keys() == request.datatypes.keys()


@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("GET", "/v2/models/none", 404, "model 'none' is not loaded; models: toy"),
        ("POST", "/v2/models/toy/versions/7/infer", 404, "no version '7' loaded; versions: 1"),
        ("GET", "/v2/nothing", 404, "there is nothing at /v2/nothing"),
        ("GET", "//v2//nothing/", 404, "there is nothing at /v2/nothing"),
        ("GET", "/v2/models/toy/infer", 405, "this is asked with POST"),
        ("DELETE", "/v2", 405, "this is asked with GET"),
        ("POST", "/v2/repository/models/none/load", 500, "version 1 of model 'none' is damaged"),
        ("POST", "/v2/repository/models/nobody/load", 404, "'nobody' is not in the repository"),
        ("POST", "/v2/repository/models/none/unload", 404, "model 'none' is not loaded"),
    ],
)
def test_what_does_not_exist(toys, running, method, path, status, told):
    server = running()
    toys.repository.all["none", 1] = (None, None)
    found, _, answer = server.ask(method, path, b"{}")
    assert found == status
    assert told in json.loads(answer)["error"]


def test_the_repository_is_listed_loaded_and_unloaded(toys, running):
    toys.add("toy", 2, factor=5.0)
    toys.add("other", 1)
    with triton.InferenceServerClient(f"127.0.0.1:{running('toy:1').http}") as client:
        states = [
            (e["name"], e["version"], e["state"]) for e in client.get_model_repository_index()
        ]
        assert states == [
            ("other", "1", "UNAVAILABLE"), ("toy", "1", "READY"), ("toy", "2", "UNAVAILABLE"),
        ]  # fmt: skip
        client.load_model("other")
        assert client.is_model_ready("other")
        client.unload_model("other")
        assert not client.is_model_ready("other")
        with pytest.raises(InferenceServerException, match="'gone' is not in the repository"):
            client.load_model("gone")


def test_loading_and_unloading_can_be_forbidden(running):
    server = running(control=False)
    for verb in ("load", "unload"):
        assert server.ask("POST", f"/v2/repository/models/toy/{verb}")[0] == 403
    assert server.infer()[0] == 200


def test_statistics_count_what_was_done(running):
    server = running()
    for _ in range(3):
        server.infer()
    server.infer(data=[13, 0, 0])
    server.infer(data=[1])
    told = json.loads(server.ask("GET", "/v2/models/toy/stats")[2])["model_stats"][0]
    assert told["inference_count"] == told["execution_count"] == 3
    assert told["inference_stats"]["success"]["count"] == 3
    assert told["inference_stats"]["fail"]["count"] == 2
    total = told["inference_stats"]["success"]["ns"]
    assert total >= told["inference_stats"]["compute_infer"]["ns"] > 0
    assert told["batch_stats"][0]["batch_size"] == 1
    assert json.loads(server.ask("GET", "/v2/models/stats")[2])["model_stats"][0] == told


def test_metrics_are_what_prometheus_reads(running):
    server = running()
    server.infer(data=[0.5, 2.0, -1.0])
    server.infer(data=[13, 0, 0])
    status, headers, body = server.ask("GET", "/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    values = dict(
        line.rsplit(" ", 1) for line in body.decode().splitlines() if not line.startswith("#")
    )
    mine = '{model="toy",version="1"'
    assert values[f"aeros_requests_total{mine}}}"] == "1"
    assert values[f'aeros_errors_total{mine},kind="Refused"}}'] == "1"
    assert values['aeros_model_version{model="toy",role="live"}'] == "1"
    counts = [
        int(v) for k, v in values.items() if k.startswith(f"aeros_total_seconds_bucket{mine}")
    ]
    assert counts == sorted(counts)
    assert counts[-1] == int(values[f"aeros_total_seconds_count{mine}}}"]) == 1
    assert values[f'aeros_input_values_total{mine},input="x"}}'] == "3"
    assert values[f'aeros_input_outside_total{mine},input="x"}}'] == "2"
    assert float(values[f'aeros_input_mean{mine},input="x"}}']) == pytest.approx(0.5)


def test_drift_is_told_beside_what_training_had(toys, running):
    toys.add("kinds", 1, Schema((Field("x", "str", (1,), categories=("a", "b")),)))
    server = running("toy", "kinds")

    def told():
        lines = server.ask("GET", "/metrics")[2].decode().splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if line.startswith("aeros_input"))

    mine = 'model="toy",version="1",input="x"'
    before = told()
    for name in ("aeros_input_mean", "aeros_input_deviation"):
        assert f"{name}{{{mine}}}" not in before  # 0.0 would be an alarm, or hide one
    assert before[f'aeros_input_range{{{mine},bound="low"}}'] == "0.0"
    assert before[f'aeros_input_range{{{mine},bound="high"}}'] == "1.0"
    kinds = 'aeros_input_strange_total{model="kinds",version="1",input="x"}'
    assert before[kinds] == "0"
    server.infer()
    asked = {"inputs": [tensor(datatype="BYTES", shape=[3, 1], data=["a", "c", "d"])]}
    status, _, answer = server.ask("POST", "/v2/models/kinds/infer", json.dumps(asked))
    assert status == 400
    assert b"'c' in row 1, 'd' in row 2 are none of a, b" in answer
    after = told()
    assert after[f"aeros_input_mean{{{mine}}}"] == "2.0"
    assert after[kinds] == "2"


def test_bounds_of_histograms_are_written_as_floats(running):
    text = running().ask("GET", "/metrics")[2].decode()
    bounds = {line.split(',le="')[1].split('"')[0] for line in text.splitlines() if ',le="' in line}
    assert bounds == {str(float(b)) for b in bounds - {"+Inf"}} | {"+Inf"}


def test_who_asks_for_nothing_is_told_where_to_go(running):
    status, _, told = running().ask("GET", "/")
    assert status == 200
    assert {"/v2", "/openapi.json"} <= set(json.loads(told)["see"])


def test_metrics_have_what_an_inferencer_counts(toys, running):
    for version, value in ((1, 3.0), (2, 0.5)):
        inferencer = toys.add("toy", version)
        inferencer.counts = lambda value=value: [
            Count(
                "aeros_member_rows_total", "Rows a member has answered", value, {"member": "cloud"}
            ),
            Count("aeros_remote_open", "1 while a server is left alone", 1),
        ]
    toys.repository.tags["new"] = 2
    server = running("toy:1", canary="new", canary_share=0.5)
    lines = server.ask("GET", "/metrics")[2].decode().splitlines()
    start = lines.index("# HELP aeros_member_rows_total Rows a member has answered.")
    assert lines[start : start + 8] == [
        "# HELP aeros_member_rows_total Rows a member has answered.",
        "# TYPE aeros_member_rows_total counter",
        'aeros_member_rows_total{model="toy",version="1",member="cloud"} 3.0',
        'aeros_member_rows_total{model="toy",version="2",member="cloud"} 0.5',
        "# HELP aeros_remote_open 1 while a server is left alone.",
        "# TYPE aeros_remote_open gauge",
        'aeros_remote_open{model="toy",version="1"} 1',
        'aeros_remote_open{model="toy",version="2"} 1',
    ]


def test_the_openapi_document_names_every_path(running):
    from openapi_spec_validator import validate

    document = json.loads(running().ask("GET", "/openapi.json")[2])
    validate(document)
    assert "/v2/models/{name}/versions/{version}/infer" in document["paths"]


def test_too_many_requests_are_refused_as_such(toys, running):
    inferencer = toys.repository.all["toy", 1][1]
    server = running(max_queue=1, where=Where.thread)
    inferencer.gate.clear()
    found = []
    body = server.request().partition(b"\r\n\r\n")[2]

    def ask():
        status, headers, _ = server.ask("POST", "/v2/models/toy/infer", body)
        found.append(status)
        assert headers.get("retry-after") == ("1" if status == 429 else None)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 30
    while len(found) < 6:
        assert time.monotonic() < end
    inferencer.gate.set()
    for thread in threads:
        thread.join(timeout=300)
    assert sorted(found) == [200, 200, *[429] * 6]


def test_a_timeout_of_the_request_is_kept(toys, running):
    inferencer = toys.repository.all["toy", 1][1]
    server = running(where=Where.thread)
    inferencer.sizes.clear()  # those of warming
    inferencer.gate.clear()
    first = threading.Thread(target=server.infer)
    first.start()
    end = time.monotonic() + 30
    while not inferencer.sizes:
        assert time.monotonic() < end
    threading.Timer(0.3, inferencer.gate.set).start()
    status, answer = server.infer(parameters={"timeout": 1000})
    first.join(timeout=300)
    assert status == 504
    assert "past its deadline" in answer["error"]


def test_an_answer_that_cannot_be_written_is_told(toys, running, monkeypatch, caplog):
    server = running()
    _, inferencer = toys.repository.all["toy", 1]
    odd = {"scores": np.ones((1, 2), np.complex64)}
    monkeypatch.setattr(inferencer, "predict", lambda batch: odd)
    told = "arrays of complex64 have no datatype in the protocol"
    assert server.infer() == (501, {"error": told})
    monkeypatch.setattr(inferencer, "predict", lambda batch: {"scores": [1.0]})
    with caplog.at_level(logging.CRITICAL):
        status, answer = server.infer()
    assert (status, answer) == (500, {"error": answer["error"]})


@pytest.mark.parametrize("path", ["/v2/{}", "/v2/models/{}", "/v2/models/toy/versions/{}"])
def test_a_long_path_is_not_repeated_whole(running, path):
    server = running()
    status, _, body = server.ask("GET", path.format("x" * 5000))
    assert status == 404
    assert body.count(b"x") < 200
    assert "…" in json.loads(body)["error"]


@pytest.mark.parametrize("where", [Where.inline, Where.thread])
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"y": [1.0]}, "answered 'y' with a list, not an array"),
        ([1.0], "answered with a list, not a dict of arrays"),
        ({"y": np.array([object()], object)},
         "answered 'y' with an array that holds an object, not str or bytes alone"),
    ],
    ids=["list", "no dict", "objects"],
)  # fmt: skip
def test_what_is_no_answer_is_told_with_whose_it_is(toys, running, caplog, answer, told, where):
    inferencer = toys.repository.all["toy", 1][1]
    server = running(where=where)
    inferencer.predict = lambda batch: answer
    assert server.infer() == (500, {"error": f"inferencer {named(inferencer)} {told}"})
    assert not caplog.records
    assert server.server.models.queue("toy").served.statistics.errors == {"Refused": 1}


@pytest.mark.parametrize("where", [Where.inline, Where.thread])
def test_a_model_that_would_end_the_process_fails_alone(toys, running, caplog, where):
    inferencer = toys.repository.all["toy", 1][1]
    server, before = running(where=where), inferencer.predict

    def ends(batch):
        raise SystemExit(3)

    inferencer.predict = ends
    assert server.infer() == (500, {"error": "SystemExit: 3"})
    assert [record.getMessage() for record in caplog.records] == ["a model failed"]
    inferencer.predict = before
    assert server.infer()[0] == 200
