"""The gRPC server: limits, token, compression, deadlines, and its end."""

import gzip
import threading
import time

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from aeros_serving.config import Compression, Where
from aeros_serving.grpc.messages import message

SERVICE = "/inference.GRPCInferenceService"
INFER = f"{SERVICE}/ModelInfer"


def request(values=(1, 2, 3), **parameters):
    made = message("ModelInferRequest")(model_name="toy")
    made.inputs.add(name="x", datatype="FP32", shape=[1, 3]).contents.fp32_contents.extend(values)
    for name, value in parameters.items():
        kind = "string_param" if isinstance(value, str) else "int64_param"
        setattr(made.parameters[name], kind, value)
    return made.SerializeToString()


@pytest.fixture
def channel(running):
    """A function that starts a server and returns a channel to it."""
    opened = []

    def connect(**options):
        server = running(**options)
        opened.append(
            grpc.insecure_channel(
                f"127.0.0.1:{server.grpc}", options=[("grpc.max_send_message_length", -1)]
            )
        )
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


def scores(data):
    response = message("ModelInferResponse").FromString(data)
    return list(response.outputs[0].contents.fp32_contents)


def refused(call, *args, **more):
    with pytest.raises(grpc.RpcError) as error:
        call(*args, timeout=60, **more)
    return error.value.code().name, error.value.details()


def test_a_message_longer_than_the_limit_is_refused_compressed_or_not(channel):
    call = channel(max_body=100_000).unary_unary(INFER)
    bomb = request() + bytes(10_000_000)
    assert len(gzip.compress(bomb)) < 100_000
    for compression in (None, grpc.Compression.Gzip, grpc.Compression.Deflate):
        status, why = refused(call, bomb, compression=compression)
        assert status == "RESOURCE_EXHAUSTED"
        assert "larger than max" in why
    assert scores(call(request(), timeout=60)) == [2, 4, 6]


@pytest.mark.parametrize("name", ["Gzip", "Deflate"])
def test_messages_may_be_compressed(channel, name):
    call = channel().unary_unary(INFER)
    assert scores(call(request(), compression=grpc.Compression[name], timeout=60)) == [2, 4, 6]


def test_a_message_that_cannot_be_read_is_the_clients_fault(channel):
    assert refused(channel().unary_unary(INFER), b"\xff\xff")[0] == "INVALID_ARGUMENT"


def test_a_method_that_does_not_exist_is_unimplemented(channel):
    assert refused(channel().unary_unary(f"{SERVICE}/None"), b"")[0] == "UNIMPLEMENTED"


def test_headers_have_a_limit(channel):
    call = channel().unary_unary(INFER)
    long = (("x", "y" * 20_000),)
    assert refused(call, request(), metadata=long)[0] in ("RESOURCE_EXHAUSTED", "INTERNAL")
    assert scores(call(request(), timeout=60)) == [2, 4, 6]


# ---------------------------------------------------------------- the token


def bearing(token):
    return (("authorization", f"Bearer {token}"),)


@pytest.fixture
def guarded(channel, tmp_path):
    token = tmp_path / "token"
    token.write_text("s3cret")
    return channel(token_file=str(token))


def test_the_token_is_asked_for(guarded):
    call = guarded.unary_unary(INFER)
    for metadata in (None, bearing("other"), bearing("s3cret2"), (("authorization", "s3cret"),)):
        status, why = refused(call, request(), metadata=metadata)
        assert (status, why) == ("UNAUTHENTICATED", "the call bears no token that is known here")
    assert scores(call(request(), metadata=bearing("s3cret"), timeout=60)) == [2, 4, 6]


def test_without_the_token_no_message_is_read(guarded):
    """A stream is refused before the client has sent anything."""
    sent = threading.Event()

    def messages():
        sent.wait(60)
        yield request()

    call = guarded.stream_stream(f"{SERVICE}/ModelStreamInfer")
    answers = call(messages(), timeout=60)
    with pytest.raises(grpc.RpcError) as error:
        next(answers)
    assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert not sent.is_set()
    sent.set()


def test_health_asks_for_no_token(guarded):
    stub = health_pb2_grpc.HealthStub(guarded)
    serving = health_pb2.HealthCheckResponse.SERVING
    assert stub.Check(health_pb2.HealthCheckRequest(), timeout=60).status == serving
    for name in ("ServerLive", "ServerReady"):
        guarded.unary_unary(f"{SERVICE}/{name}")(b"", timeout=60)
    assert refused(guarded.unary_unary(f"{SERVICE}/ModelReady"), b"")[0] == "UNAUTHENTICATED"
    reflect = guarded.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    with pytest.raises(grpc.RpcError) as error:
        next(reflect(iter([b""]), timeout=60))
    assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED


# ---------------------------------------------------------------- answers


def sent_bytes(running, **options):
    """Return the bytes that a server sends for one long answer, seen by a proxy between."""
    import socket

    server = running(max_batch=2000, **options)
    door = socket.create_server(("127.0.0.1", 0))
    counted = [0]

    def carry(one, other, count):
        try:
            while data := one.recv(65536):
                counted[0] += len(data) * count
                other.sendall(data)
        except OSError:
            pass
        other.close()

    def serve():
        line, _ = door.accept()
        there = socket.create_connection(("127.0.0.1", server.grpc))
        threading.Thread(target=carry, args=(line, there, 0), daemon=True).start()
        carry(there, line, 1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    made = message("ModelInferRequest")(model_name="toy")
    rows = 1000
    contents = made.inputs.add(name="x", datatype="FP32", shape=[rows, 3]).contents
    contents.fp32_contents.extend([0.5] * 3 * rows)
    with grpc.insecure_channel(f"127.0.0.1:{door.getsockname()[1]}") as channel:
        data = channel.unary_unary(INFER)(made.SerializeToString(), timeout=60)
    assert scores(data) == [1.0] * 3 * rows
    door.close()
    return counted[0]


def test_answers_are_compressed_where_the_server_is_asked_to(running):
    plain = sent_bytes(running)
    for kind in (Compression.gzip, Compression.deflate):
        assert sent_bytes(running, grpc_compression=kind) < plain / 5


@pytest.mark.parametrize("name", [7, "a"])
def test_a_sequence_is_refused_and_not_ignored(channel, name):
    status, why = refused(channel().unary_unary(INFER), request(sequence_id=name))
    assert status == "INVALID_ARGUMENT"
    assert "sequences are not supported" in why


def test_a_sequence_id_of_zero_is_none(channel):
    call = channel().unary_unary(INFER)
    assert scores(call(request(sequence_id=0), timeout=60)) == [2, 4, 6]


def test_reflection_version_1_describes_the_services(channel):
    call = channel().stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(
            file_containing_symbol="grpc.reflection.v1.ServerReflection"
        ),
    ]
    found = [
        reflection_pb2.ServerReflectionResponse.FromString(each)
        for each in call(iter([one.SerializeToString() for one in asked]), timeout=60)
    ]
    names = {each.name for each in found[0].list_services_response.service}
    assert {"inference.GRPCInferenceService", "grpc.reflection.v1.ServerReflection"} <= names
    [data] = found[1].file_descriptor_response.file_descriptor_proto
    file = descriptor_pb2.FileDescriptorProto.FromString(data)
    assert file.package == "grpc.reflection.v1"
    [method] = file.service[0].method
    assert method.input_type == ".grpc.reflection.v1.ServerReflectionRequest"


# ---------------------------------------------------------------- the end


def test_idle_streams_do_not_hold_up_the_end(running):
    server = running(drain=60.0)
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
        silent = threading.Event()

        def messages():
            yield request()
            silent.wait(120)

        answers = channel.stream_stream(f"{SERVICE}/ModelStreamInfer")(messages(), timeout=120)
        next(answers)
        began = time.monotonic()
        ending = threading.Thread(target=server.stop)
        ending.start()
        with pytest.raises(grpc.RpcError) as error:
            next(answers)
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
        assert error.value.details() == "the server is about to end"
        ending.join(300)
        assert time.monotonic() - began < 50  # far below serving.drain
        silent.set()


def test_a_call_that_is_computed_is_answered_before_the_end(toys, running):
    inferencer = toys.repository.all["toy", 1][1]
    server = running(where=Where.thread, max_batch=1)
    inferencer.sizes.clear()
    inferencer.gate.clear()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
        coming = channel.unary_unary(INFER).future(request(), timeout=120)
        while not inferencer.sizes:
            time.sleep(0.01)
        ending = threading.Thread(target=server.stop)
        ending.start()
        time.sleep(0.3)
        inferencer.gate.set()
        assert scores(coming.result(timeout=120)) == [2, 4, 6]
        ending.join(300)


def test_what_is_not_computed_within_the_drain_is_unavailable(toys, running):
    inferencer = toys.repository.all["toy", 1][1]
    server = running(where=Where.thread, max_batch=1, drain=0.3)
    inferencer.sizes.clear()
    inferencer.gate.clear()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
        coming = channel.unary_unary(INFER).future(request(), timeout=120)
        while not inferencer.sizes:
            time.sleep(0.01)
        server.stop()
        assert coming.code() == grpc.StatusCode.UNAVAILABLE
        assert "ended before the request was answered" in coming.details()
        inferencer.gate.set()


def test_a_port_that_another_server_has_is_named(running):
    from aeros_core.errors import ConfigError

    first = running()
    with pytest.raises(ConfigError, match=f"serving.grpc_port={first.grpc} cannot be opened"):
        running(grpc_port=first.grpc)


# ---------------------------------------------------------------- calls that stay silent


def silent_calls(channel, count, method=f"{SERVICE}/ModelInfer"):
    """Begin calls whose message does not come; return them, and what ends them."""
    end = threading.Event()

    def never():
        end.wait(120)
        yield from ()

    call = channel.stream_stream(method)
    return [call(never(), timeout=120) for _ in range(count)], end


def test_a_message_that_does_not_come_in_time_ends_the_call(channel):
    (call, *_), end = silent_calls(channel(read_timeout=0.5), 1)
    with pytest.raises(grpc.RpcError) as error:
        next(call)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert error.value.details() == "the message did not arrive whole in time"
    end.set()


def test_silent_calls_are_bounded_and_health_is_not_locked_out(channel):
    there = channel(max_connections=4, read_timeout=3.0)
    calls, end = silent_calls(there, 4)
    infer = there.unary_unary(INFER)
    seen = set()
    until = time.monotonic() + 60
    while "RESOURCE_EXHAUSTED" not in seen and time.monotonic() < until:
        try:
            infer(request(), timeout=60)
        except grpc.RpcError as error:
            seen |= {error.code().name, error.details()}
    assert seen == {"RESOURCE_EXHAUSTED", "the messages of 4 calls have not arrived"}
    stub = health_pb2_grpc.HealthStub(there)
    serving = health_pb2.HealthCheckResponse.SERVING
    assert stub.Check(health_pb2.HealthCheckRequest(), timeout=60).status == serving
    for call in calls:
        assert call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert scores(infer(request(), timeout=60)) == [2, 4, 6]
    end.set()


def test_a_call_without_a_message_is_malformed(channel):
    call = channel().stream_stream(INFER)
    with pytest.raises(grpc.RpcError) as error:
        next(call(iter(()), timeout=60))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_server_without_a_model_is_not_ready(channel):
    there = channel()
    unload = message("RepositoryModelUnloadRequest")(model_name="toy").SerializeToString()
    there.unary_unary(f"{SERVICE}/RepositoryModelUnload")(unload, timeout=60)
    answer = there.unary_unary(f"{SERVICE}/ServerReady")(b"", timeout=60)
    assert not message("ServerReadyResponse").FromString(answer).ready
    stub = health_pb2_grpc.HealthStub(there)
    not_serving = health_pb2.HealthCheckResponse.NOT_SERVING
    assert stub.Check(health_pb2.HealthCheckRequest(), timeout=60).status == not_serving
    assert (
        message("ServerLiveResponse")
        .FromString(there.unary_unary(f"{SERVICE}/ServerLive")(b"", timeout=60))
        .live
    )
