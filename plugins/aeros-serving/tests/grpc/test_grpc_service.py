"""The gRPC protocol, asked by tritonclient, grpc.health and reflection."""

import contextlib
import queue
import threading

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from aeros_core.schema import Field, Schema
from aeros_serving.config import Where
from aeros_serving.grpc.codec import request_of
from aeros_serving.grpc.messages import METHODS, POOL, message
from aeros_serving.protocol.errors import Malformed
from aeros_serving.protocol.tensors import DATATYPES

NUMBERS = {
    "BOOL": ("bool", "bool_contents"),
    "INT8": ("int8", "int_contents"),
    "UINT8": ("uint8", "uint_contents"),
    "INT16": ("int16", "int_contents"),
    "UINT16": ("uint16", "uint_contents"),
    "INT32": ("int32", "int_contents"),
    "UINT32": ("uint32", "uint_contents"),
    "INT64": ("int64", "int64_contents"),
    "UINT64": ("uint64", "uint64_contents"),
    "FP32": ("float32", "fp32_contents"),
    "FP64": ("float64", "fp64_contents"),
    "FP16": ("float16", ""),
}


@pytest.fixture
def client(running):
    with triton.InferenceServerClient(f"127.0.0.1:{running().grpc}") as made:
        yield made


def row(*values):
    made = triton.InferInput("x", [1, 3], "FP32")
    made.set_data_from_numpy(np.array([values or (1, 2, 3)], np.float32))
    return [made]


def test_the_messages_are_those_of_tritonclient():
    theirs = service_pb2.DESCRIPTOR
    for name, method in METHODS.items():
        peer = theirs.services_by_name["GRPCInferenceService"].methods_by_name[name]
        for ours, its in (
            (method.input_type, peer.input_type),
            (method.output_type, peer.output_type),
        ):
            assert ours.name == its.name
            for field in ours.fields:
                same = its.fields_by_name[field.name]
                assert (field.number, field.type) == (same.number, same.type)


def test_health_and_metadata(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("toy")
    assert client.is_model_ready("toy", "1")
    assert not client.is_model_ready("toy", "2")
    assert not client.is_model_ready("none")
    assert client.get_server_metadata().name == "aeros-serving"
    told = client.get_model_metadata("toy")
    assert [(t.name, t.datatype, list(t.shape)) for t in told.inputs] == [("x", "FP32", [-1, 3])]
    assert client.get_model_config("toy").config.max_batch_size == 64


@pytest.mark.parametrize("datatype", NUMBERS)
def test_raw_and_typed_contents_say_the_same(toys, running, datatype):
    dtype, contents = NUMBERS[datatype]
    toys.add("all", 1, Schema((Field("x", dtype, (2,)),)), factor=1)
    array = np.array([[1, 0]], dtype)
    tensor = {"name": "x", "datatype": datatype, "shape": [1, 2]}
    made = service_pb2.ModelInferRequest(model_name="all", id="i", inputs=[tensor])
    made.raw_input_contents.append(array.tobytes())
    with grpc.insecure_channel(f"127.0.0.1:{running('all').grpc}") as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=service_pb2.ModelInferRequest.SerializeToString,
            response_deserializer=service_pb2.ModelInferResponse.FromString,
        )
        answer = call(made, timeout=30)
        assert (answer.id, answer.raw_output_contents[0]) == ("i", array.tobytes())
        if contents:
            del made.raw_input_contents[:]
            getattr(made.inputs[0].contents, contents).extend(array[0].tolist())
            answer = call(made, timeout=30)
            assert not answer.raw_output_contents
            assert list(getattr(answer.outputs[0].contents, contents)) == array[0].tolist()
        else:
            del made.raw_input_contents[:]
            with pytest.raises(grpc.RpcError, match="datatype FP16 has to be sent raw"):
                call(made, timeout=30)


def test_texts(toys, running):
    toys.add("texts", 1, Schema((Field("x", "str"),)))
    with triton.InferenceServerClient(f"127.0.0.1:{running('texts').grpc}") as client:
        given = triton.InferInput("x", [2], "BYTES")
        given.set_data_from_numpy(np.array(["ä", ""], dtype=object))
        assert client.infer("texts", [given]).as_numpy("echo").tolist() == ["ä".encode(), b""]


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        ({"model_name": "none"}, "NOT_FOUND", "model 'none' is not loaded"),
        ({"model_version": "7"}, "NOT_FOUND", "no version '7'"),
        ({"raw_input_contents": [b"123"]}, "INVALID_ARGUMENT", "3 bytes of data"),
        (
            {"raw_input_contents": [b"", b""]},
            "INVALID_ARGUMENT",
            "2 raw_input_contents for 1 inputs",
        ),
        ({"raw_input_contents": [np.full(3, np.nan, "f4").tobytes()]}, "INVALID_ARGUMENT", "NaN"),
        ({"raw_input_contents": [np.full(3, 13, "f4").tobytes()]}, "INTERNAL", "thirteen"),
        ({"raw_input_contents": [np.full(3, 14, "f4").tobytes()]}, "RESOURCE_EXHAUSTED", "no room"),
        (
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1]}]},
            "INVALID_ARGUMENT",
            "12 byt",
        ),
        ({"inputs": [{"name": "x", "datatype": "FP8", "shape": [1]}]}, "INVALID_ARGUMENT", "FP8"),
        (
            {
                "inputs": [
                    {"name": "x", "datatype": "FP32", "shape": [1, 3]},
                    {"name": "y", "datatype": "FP8", "shape": [1]},
                    {"datatype": "FP32", "shape": [1]},
                ],
                "raw_input_contents": [b"123", b"", b""],
            },
            "INVALID_ARGUMENT",
            "input 'x': 3 bytes of data, but FP32 [1, 3] takes 12; input 'y': datatype FP8 is none"
            " of BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, FP32, FP64,"
            " BF16, BYTES; inputs[2] has no name; input 'y' is not expected; the model takes x",
        ),
        ({"outputs": [{"name": "z"}]}, "INVALID_ARGUMENT", "output 'z' does not exist"),
    ],
)
def test_what_is_wrong_with_a_request_is_told(running, change, status, told):
    fine = {
        "model_name": "toy",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3]}],
        "raw_input_contents": [np.ones(3, "f4").tobytes()],
    }
    kind = message("ModelInferRequest")
    with grpc.insecure_channel(f"127.0.0.1:{running().grpc}") as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=kind.SerializeToString,
        )
        with pytest.raises(grpc.RpcError) as refused:
            call(kind(**fine | change), timeout=30)
        assert refused.value.code().name == status
        assert told in refused.value.details()
        assert call(kind(**fine), timeout=30)


@pytest.mark.parametrize(
    ("datatype", "contents", "told"),
    [
        ("INT8", {"int_contents": [300, 0, 0]}, "values that INT8 cannot hold"),
        ("FP32", {"fp64_contents": [1.0]}, "FP32 goes into fp32_contents, not fp64_contents"),
        ("FP32", {"fp32_contents": [1.0]}, "4 bytes of data, but FP32 [1, 3] takes 12"),
        ("", {}, "input 'x' has no datatype"),
    ],
)
def test_what_is_wrong_with_typed_contents_is_told(running, datatype, contents, told):
    tensor = {"name": "x", "datatype": datatype, "shape": [1, 3], "contents": contents}
    kind = message("ModelInferRequest")
    with grpc.insecure_channel(f"127.0.0.1:{running().grpc}") as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=kind.SerializeToString,
        )
        with pytest.raises(grpc.RpcError) as refused:
            call(kind(model_name="toy", inputs=[tensor]), timeout=30)
    assert told in refused.value.details()


def asked(tensors, raw):
    made = message("ModelInferRequest")(model_name="toy", raw_input_contents=raw)
    for name, datatype, shape, contents in tensors:
        tensor = made.inputs.add(name=name, datatype=datatype, shape=shape)
        for kind, values in contents.items():
            getattr(tensor.contents, kind).extend(values)
    return made


SHAPES = st.lists(st.one_of(st.integers(-1, 3), st.sampled_from([2**39, 2**62])), max_size=40)
CONTENTS = st.fixed_dictionaries({}, optional={
    "bool_contents": st.lists(st.booleans(), max_size=4),
    "int_contents": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=4),
    "uint64_contents": st.lists(st.integers(0, 2**64 - 1), max_size=4),
    "fp32_contents": st.lists(st.floats(width=32), max_size=4),
    "bytes_contents": st.lists(st.binary(max_size=4), max_size=4),
})  # fmt: skip
TENSORS = st.tuples(st.sampled_from("xy"), st.sampled_from([*DATATYPES, ""]), SHAPES, CONTENTS)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(TENSORS, max_size=3), st.lists(st.binary(max_size=12), max_size=3))
def test_no_message_does_harm_to_the_decoder(tensors, raw):
    with contextlib.suppress(Malformed):
        request = request_of(asked(tensors, raw))
        read = [(name, shape) for name, _, shape, _ in tensors if name not in request.bad]
        assert request.bad or len(read) == len(tensors)
        for (name, shape), found in zip(read, request.tensors.values(), strict=not request.bad):
            assert found.shape == tuple(shape), name


GOOD = asked([("x", "FP32", [1, 3], {"fp32_contents": [1, 2, 3]})], []).SerializeToString()


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(GOOD)), st.integers(0, 3), st.binary(max_size=4)),
        min_size=1,
        max_size=3,
    )
)
def test_no_bytes_do_harm_to_the_decoder(changes):
    data = GOOD
    for place, taken, put in changes:
        data = data[:place] + put + data[place + taken :]
    with contextlib.suppress(Malformed, DecodeError):
        request_of(message("ModelInferRequest").FromString(data))


def test_a_stream_goes_on_after_an_error(client):
    told = queue.Queue()
    client.start_stream(lambda result, error: told.put((result, error)))
    client.async_stream_infer("toy", row(), request_id="1")
    client.async_stream_infer("none", row(), request_id="2")
    client.async_stream_infer("toy", row(4, 5, 6), request_id="3")
    answers = [told.get(timeout=30) for _ in range(3)]
    client.stop_stream()
    assert answers[0][0].as_numpy("scores").tolist() == [[2, 4, 6]]
    assert "model 'none' is not loaded" in str(answers[1][1])
    assert answers[2][0].as_numpy("scores").tolist() == [[8, 10, 12]]


def test_the_repository_and_statistics(toys, client):
    toys.add("other", 1)
    client.infer("toy", row())
    assert client.get_inference_statistics("toy").model_stats[0].inference_count == 1
    assert len(client.get_inference_statistics().model_stats) == 1
    index = client.get_model_repository_index().models
    assert [(m.name, m.state) for m in index] == [("other", "UNAVAILABLE"), ("toy", "READY")]
    client.load_model("other")
    assert client.is_model_ready("other")
    client.unload_model("other")
    assert not client.is_model_ready("other")
    with pytest.raises(InferenceServerException, match="'none' is not in the repository"):
        client.load_model("none")


def test_a_deadline_and_a_cancelled_call_free_the_queue(toys, running):
    inferencer = toys.repository.all["toy", 1][1]
    server = running(where=Where.thread, max_batch=1)
    inferencer.sizes.clear()
    inferencer.gate.clear()
    with triton.InferenceServerClient(f"127.0.0.1:{server.grpc}") as client:
        first = threading.Thread(target=client.infer, args=("toy", row()))
        first.start()
        while not inferencer.sizes:
            pass
        with pytest.raises(InferenceServerException, match="Deadline Exceeded"):
            client.infer("toy", row(), client_timeout=0.2)
        inferencer.gate.set()
        first.join(timeout=300)
        client.infer("toy", row())
    assert inferencer.sizes == [1, 1]


def test_grpc_health(running):
    with grpc.insecure_channel(f"127.0.0.1:{running().grpc}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "inference.GRPCInferenceService", "toy"):
            status = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=30).status
            assert status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as refused:
            stub.Check(health_pb2.HealthCheckRequest(service="none"), timeout=30)
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND
        watched = stub.Watch(health_pb2.HealthCheckRequest(service="toy"), timeout=30)
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
        watched.cancel()


def test_a_watch_without_a_message_is_told(running):
    with grpc.insecure_channel(f"127.0.0.1:{running().grpc}") as channel:
        watch = channel.stream_stream("/grpc.health.v1.Health/Watch")
        with pytest.raises(grpc.RpcError) as refused:
            next(watch(iter([]), timeout=30))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == "no message says what to watch"


def test_who_watches_is_told_of_the_end_and_does_not_delay_it(running):
    server = running(drain=60.0)
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watched = stub.Watch(health_pb2.HealthCheckRequest(), timeout=30)
        found = [next(watched).status]
        ending = threading.Thread(target=server.stop)
        ending.start()
        found += [answer.status for answer in watched]
        ending.join(timeout=300)
        assert not ending.is_alive()
    kinds = health_pb2.HealthCheckResponse
    assert found == [kinds.SERVING, kinds.NOT_SERVING]


def test_reflection_tells_the_services(running):
    with grpc.insecure_channel(f"127.0.0.1:{running().grpc}") as channel:
        told = ProtoReflectionDescriptorDatabase(channel)
        assert set(told.get_services()) == {
            "inference.GRPCInferenceService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
        }
        file = told.FindFileContainingSymbol("inference.ModelInferRequest")
    assert file.name == "grpc_service.proto"
    assert "ModelInferResponse" in {each.name for each in file.message_type}


def test_the_compiled_file_is_of_the_one_beside_it():
    from importlib.resources import files

    source = files("aeros_serving.grpc").joinpath("grpc_service.proto").read_text()
    words = source.replace("{", " ").replace(";", " ").split()
    declared = {words[i + 1] for i, word in enumerate(words[:-1]) if word in ("message", "enum")}
    file = POOL.FindFileByName("grpc_service.proto")
    compiled = set(file.message_types_by_name) | set(file.enum_types_by_name)
    for one in file.message_types_by_name.values():
        compiled |= {inner.name for inner in one.nested_types if not inner.name.endswith("Entry")}
    assert declared == compiled
    for one in file.message_types_by_name.values():
        for field in one.fields:
            assert f"{field.name} = {field.number};" in source
