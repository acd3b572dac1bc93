"""The guard of the gRPC port: floods are cut, clients that ask are not."""

import socket
import struct
import threading
import time

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from aeros_serving.grpc.guard import frames, relay
from aeros_serving.grpc.guard.server_frames import ServerFrames
from aeros_serving.grpc.guard.streams import Streams
from aeros_serving.grpc.messages import message
from aeros_serving.protocol.buffer_budget import BufferBudget

INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"


def frame(kind, payload=b"", flags=0, stream=0):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


CALL = frame(frames.HEADERS, b"block", frames.END_HEADERS, 1)


class Calls:
    full = False

    def __init__(self):
        self.begun = 0

    def begin(self):
        self.begun += 1


class Owner:
    def __init__(self):
        self.why = []

    def cut(self, why):
        self.why.append(why)


def reader(size=10**6):
    streams = Streams(BufferBudget(size), Calls(), {})
    owner = Owner()
    return frames.ClientFrames(streams, owner, 10**6), streams, owner


def read(client, data):
    """Read data in which every frame is there; return what is left of the units."""
    at, units = client.read(data, 0, 10**6)
    assert at == len(data)
    return units


FLOODS = {
    "DATA of one byte": frame(frames.DATA, b"a", 0, 1),
    "empty DATA": frame(frames.DATA, b"", 0, 1),
    "padded DATA": frame(frames.DATA, b"\0", frames.PADDED, 1),
    "SETTINGS": frame(frames.SETTINGS),
    "PING": frame(frames.PING, bytes(8)),
    "WINDOW_UPDATE": frame(8, bytes(4)),
    "CONTINUATION": frame(frames.CONTINUATION, b"", 0, 1),
}


@pytest.mark.parametrize("name", FLOODS)
def test_frames_that_advance_no_call_are_cut(name):
    client, _, _ = reader()
    read(client, CALL + frame(frames.DATA, b"\0" + (10**5).to_bytes(4), 0, 1))
    read(client, FLOODS[name] * 20)
    with pytest.raises(frames.Flooded):
        read(client, FLOODS[name] * 5000)


@pytest.mark.parametrize(
    "data",
    [frame(frames.SETTINGS, bytes(6 * 10_900)), frame(frames.HEADERS, bytes(70_000), 0, 1)],
)
def test_frames_that_are_too_long_are_cut(data):
    with pytest.raises(frames.Flooded, match="exceed"):
        read(reader()[0], data)


def test_calls_that_are_reset_are_cut_before_they_are_passed_on():
    client, streams, _ = reader()
    calls = b"".join(
        frame(frames.HEADERS, b"b", frames.END_HEADERS, n) + frame(frames.RESET, bytes(4), 0, n)
        for n in range(1, 2001, 2)
    )
    with pytest.raises(frames.Flooded):
        client.foresee(calls, 0)
    assert streams.calls.begun == 0


@pytest.mark.parametrize("size", [1, 7, 10**6])
def test_messages_are_followed_whatever_the_pieces(size):
    client, streams, _ = reader()
    content = b"".join(b"\0" + n.to_bytes(4) + bytes(n) for n in (0, 1, 300, 5000))
    data = CALL + b"".join(
        frame(frames.DATA, content[at : at + 700], 0, 1) for at in range(0, len(content), 700)
    )
    kept = b""
    for at in range(0, len(data), size):
        kept += data[at : at + size]
        kept = kept[client.read(kept, 0, 10**6)[0] :]
    assert kept == b""
    assert streams.messages[1].complete
    assert streams.budget.held == 0


def test_unfinished_messages_share_one_bound_and_the_oldest_connection_is_cut():
    first, streams, owner = reader(1000)
    begin = frame(frames.DATA, b"\0" + (10**5).to_bytes(4) + bytes(600), 0, 1)
    read(first, CALL + begin)
    other = Owner()
    second = frames.ClientFrames(
        Streams(streams.budget, streams.calls, {}), other, 10**6
    )  # fmt: skip
    read(second, CALL + begin)
    assert "coming longest" in owner.why[0]
    assert other.why == []
    streams.close()
    assert streams.budget.held == 605


def test_the_end_of_a_call_is_seen_and_whether_a_frame_is_whole():
    _, streams, _ = reader()
    client = frames.ClientFrames(streams, Owner(), 10**6)
    read(client, CALL)
    server = ServerFrames(streams)
    data = frame(frames.HEADERS, b"trailers", frames.END_STREAM, 1)
    for at in range(len(data)):
        assert server.between is (at == 0)
        server.read(data[at : at + 1])
    assert server.between
    assert streams.messages == {}


# ---------------------------------------------------------------- a server


def received(address, data, wait=20.0):
    """Send bytes; return all that comes until the server closes."""
    with socket.create_connection(address, timeout=wait) as sock:
        sock.sendall(data)
        found = b""
        try:
            while piece := sock.recv(65536):
                found += piece
        except ConnectionResetError:
            pass
        return found


def test_a_client_that_floods_is_sent_goaway(running):
    server = running()
    flood = frames.PREFACE + frame(frames.SETTINGS) * 200
    found = received(("127.0.0.1", server.grpc), flood)
    assert struct.pack(">I", frames.ENHANCE_YOUR_CALM) + b"too many frames" in found


def test_a_connection_that_stays_silent_is_closed(running):
    server = running(read_timeout=0.5)
    for data in (b"", frames.PREFACE[:10], b"GET / HTTP/1.1\r\n\r\n"):
        assert received(("127.0.0.1", server.grpc), data) == b""


def test_a_new_connection_takes_the_place_of_an_idle_one(running):
    server = running(max_connections=4)
    address = ("127.0.0.1", server.grpc)
    silent = [socket.create_connection(address, timeout=20) for _ in range(12)]
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        assert stub.Check(health_pb2.HealthCheckRequest(), timeout=60).status
    for each in silent:
        each.close()


def request(rows, count=3):
    made = message("ModelInferRequest")(model_name="toy")
    made.inputs.add(name="x", datatype="FP32", shape=[rows, count])
    made.raw_input_contents.append(np.ones((rows, count), np.float32).tobytes())
    return made.SerializeToString()


def channel_to(server, *options):
    large = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    return grpc.insecure_channel(f"127.0.0.1:{server.grpc}", options=[*large, *options])


def test_large_messages_pass_both_ways(running):
    server = running(max_batch=2**22)
    with channel_to(server) as channel:
        data = channel.unary_unary(INFER)(request(4_000_000), timeout=300)
    answer = message("ModelInferResponse").FromString(data)
    assert np.frombuffer(answer.raw_output_contents[0], np.float32).sum() == 2 * 12_000_000


def test_many_small_messages_on_a_stream_are_no_flood(running):
    """Each is a frame of a few bytes; the server's answer says that it cannot be served."""
    server = running()
    with channel_to(server) as channel:
        answers = channel.stream_stream(STREAM)(iter([b"\x1a\x01a"] * 8000), timeout=300)
        assert sum(1 for _ in answers) == 8000


def test_cancelled_calls_of_a_client_that_is_answered_are_no_flood(running):
    server = running()
    with channel_to(server) as channel:
        call = channel.unary_unary(INFER)
        for _ in range(150):
            call.future(request(1), timeout=60).cancel()
        assert call(request(1), timeout=60)


def test_many_clients_at_once_are_answered(running):
    server = running()
    failed = []

    def ask():
        try:
            with channel_to(server, ("grpc.use_local_subchannel_pool", 1)) as channel:
                call = channel.unary_unary(INFER)
                pending = [call.future(request(1), timeout=120) for _ in range(100)]
                for each in pending:
                    each.result()
        except grpc.RpcError as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failed == []


def test_tls_is_ended_by_the_guard(running, pair):
    certificate, key = pair
    server = running(certificate=str(certificate), key=str(key))
    trust = grpc.ssl_channel_credentials(certificate.read_bytes())
    with grpc.secure_channel(f"localhost:{server.grpc}", trust) as channel:
        assert channel.unary_unary(INFER)(request(1), timeout=60)


def test_a_client_that_takes_no_answer_is_given_up(running):
    assert relay.BUFFER < 2**20
    server = running(idle_timeout=0.5, read_timeout=0.5)
    sock = socket.create_connection(("127.0.0.1", server.grpc), timeout=20)
    sock.sendall(frames.PREFACE + frame(frames.SETTINGS))
    until, found = time.monotonic() + 20, b"?"
    while found and time.monotonic() < until:
        found = sock.recv(65536)
    assert found == b""
    sock.close()
