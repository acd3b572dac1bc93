"""What clients may send that grpcio has not made: encodings that do not exist, late messages."""

import socket
import time

import pytest

from aeros_serving.grpc.messages import message

PATH = b"/inference.GRPCInferenceService/ModelInfer"


def literal(name, value):
    """Return a header that enters no table, without Huffman codes (RFC 7541, section 6.2.2)."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def frame(kind, flags, stream, body):
    """Return a frame of HTTP/2 (RFC 9113, section 4.1)."""
    head = len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + body


def opened(server, *more):
    """Return a connection on which a call has begun, whose message has not been sent."""
    head = b"\x83\x86" + literal(b":path", PATH) + literal(b":authority", b"a")
    head += literal(b"content-type", b"application/grpc") + literal(b"te", b"trailers")
    head += b"".join(literal(*each) for each in more)
    sock = socket.create_connection(("127.0.0.1", server.grpc), 20)
    sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(4, 1, 0, b""))
    sock.sendall(frame(1, 4, 1, head))
    return sock


def send(sock, compressed=False):
    """Send the message of the call, and end the client's side of it."""
    made = message("ModelInferRequest")(model_name="toy")
    made.inputs.add(name="x", datatype="FP32", shape=[1, 3]).contents.fp32_contents.extend(
        [1, 2, 3]
    )
    data = made.SerializeToString()
    data = bytes([compressed]) + len(data).to_bytes(4, "big") + data
    sock.sendall(frame(0, 1, 1, data))


def trailers(sock):
    """Return the last header frame of the call."""
    found = b""
    while True:
        while len(found) >= 9 and len(found) >= 9 + int.from_bytes(found[:3], "big"):
            end = 9 + int.from_bytes(found[:3], "big")
            kind, flags, body, found = found[3], found[4], found[9:end], found[end:]
            if kind == 1 and flags & 1:
                return body
        piece = sock.recv(65536)
        assert piece, "the connection was closed before the call was answered"
        found += piece


@pytest.mark.parametrize("encoding", [b"snappy", b"none-such"])
def test_a_message_in_an_encoding_that_does_not_exist_is_refused(running, encoding):
    """grpc-core 1.85 refuses it as INTERNAL, where gRPC's specification says UNIMPLEMENTED."""
    with opened(running(), (b"grpc-encoding", encoding)) as sock:
        send(sock, compressed=True)
        answer = trailers(sock)
    assert any(b"grpc-status\x02" + status in answer for status in (b"12", b"13"))
    assert b"encoding" in answer


def test_the_deadline_is_counted_from_the_start_of_the_call(running):
    """The message comes a second after the headers, and the request waits for others."""
    server = running(delay=60.0)
    began = time.monotonic()
    with opened(server, (b"grpc-timeout", b"2000m")) as sock:
        time.sleep(1.0)
        send(sock)
        answer = trailers(sock)
    assert b"grpc-status\x014" in answer  # DEADLINE_EXCEEDED
    assert 1.0 < time.monotonic() - began < 20.0
