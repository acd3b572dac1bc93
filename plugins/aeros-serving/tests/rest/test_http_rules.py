"""What RFC 9110 and 9112 ask of a server: hosts, targets, framing, and offers to upgrade."""

import json
import re
import socket

import pytest

BODY = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]}'
INFER = b"POST /v2/models/toy/infer HTTP/1.1\r\n"
LENGTH = b"content-length: %d\r\n" % len(BODY)
CLOSE = b"connection: close\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"


def statuses(answer):
    """Return the status of each response that came."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z]", answer)]


@pytest.mark.parametrize(
    "framing",
    [
        LENGTH + b"transfer-encoding: chunked\r\n",
        LENGTH + LENGTH,
        LENGTH + b"content-length: 3\r\n",
        b"content-length: 3, 3\r\n",
        b"content-length: +3\r\n",
        b"content-length: -1\r\n",
        b"content-length : 3\r\n",
        b"transfer-encoding: chunked, identity\r\n",
        b"transfer-encoding: xchunked\r\n",
        b"transfer-encoding:\x0bchunked\r\n",
        b"x: a\r\n b\r\n" + LENGTH,
        b"x: a\x00b\r\n" + LENGTH,
        b"x: a\rb\r\n" + LENGTH,
    ],
)
def test_a_request_of_doubtful_length_is_refused_and_nothing_behind_it_read(running, framing):
    server = running()
    answer = server.raw(INFER + b"host: a\r\n" + framing + b"\r\n" + BODY + SMUGGLED)
    assert statuses(answer) == [400]
    assert b"connection: close" in answer
    assert server.infer()[0] == 200


@pytest.mark.parametrize("chunk", [b"0x3\r\nabc\r\n", b"3\nabc\n", b"-3\r\nabc\r\n", b"3 \r\n\r\n"])
def test_a_doubtful_chunk_is_refused(running, chunk):
    head = INFER + b"host: a\r\ntransfer-encoding: chunked\r\n\r\n"
    assert statuses(running().raw(head + chunk + b"0\r\n\r\n" + SMUGGLED)) == [400]


def test_lines_end_with_carriage_return_and_line_feed(running):
    assert statuses(running().raw(b"GET /v2 HTTP/1.1\nhost: a\n\n")) == [400]


def test_http_1_0_has_no_chunks(running):
    head = b"POST /v2/models/toy/infer HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n"
    assert statuses(running().raw(head + b"0\r\n\r\n")) == [400]


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        (b"", 400),
        (b"host: a\r\nhost: b\r\n", 400),
        (b"host: a\r\nhost: a\r\n", 400),
        (b"host: a/b\r\n", 400),
        (b"host: a b\r\n", 400),
        (b"host: user@a\r\n", 400),
        (b"host:\r\n", 200),
        (b"host: a:80\r\n", 200),
        (b"host: [::1]:80\r\n", 200),
    ],
)
def test_a_request_names_one_host(running, hosts, status):
    answer = running().raw(b"GET /v2 HTTP/1.1\r\n" + hosts + CLOSE + b"\r\n")
    assert statuses(answer) == [status]


def test_http_1_0_needs_no_host_and_closes(running):
    assert statuses(running().raw(b"GET /v2 HTTP/1.0\r\n\r\n")) == [200]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://other:80/v2/health/live", 200),
        (b"http://other:80", 200),
        (b"http://other:80?a=b", 200),
        (b"https://other/v2/health/live?a=b", 200),
        (b"/v2/health/live?a=b", 200),
        (b"v2/health/live", 400),
    ],
)
def test_targets_may_have_their_authority(running, target, status):
    head = b"GET " + target + b" HTTP/1.1\r\nhost: a\r\n" + CLOSE + b"\r\n"
    assert statuses(running().raw(head)) == [status]


def test_options_of_the_whole_server_are_refused_as_a_method(running):
    answer = running().raw(b"OPTIONS * HTTP/1.1\r\nhost: a\r\n" + CLOSE + b"\r\n")
    assert statuses(answer) == [405]


def test_another_version_of_http_is_refused(running):
    assert statuses(running().raw(b"GET /v2 HTTP/0.9\r\nhost: a\r\n\r\n")) == [505]


H2C = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"


@pytest.mark.parametrize("cut", [0, 40, 200, -10])
def test_an_offer_of_http2_keeps_its_body(running, cut):
    """Java's default client offers HTTP/2 with every first request."""
    request = INFER + b"host: a\r\n" + H2C + LENGTH + b"\r\n" + BODY
    more = request.replace(b"[1,2,3]", b"[5,5,5]")
    with socket.create_connection(("127.0.0.1", running().http), 20) as sock:
        sock.sendall(request[:cut])
        sock.sendall(request[cut:] + more)
        found = b""
        while b"[10.0,10.0,10.0]" not in found:
            found += sock.recv(65536)
    assert statuses(found) == [200, 200]
    assert b"[2.0,4.0,6.0]" in found


def test_an_offer_of_http2_keeps_a_chunked_body(running):
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    head = INFER + b"host: a\r\n" + H2C + b"transfer-encoding: chunked\r\n\r\n"
    answer = running().raw(head + chunks + b"GET /v2 HTTP/1.1\r\nhost: a\r\n" + CLOSE + b"\r\n")
    assert statuses(answer) == [200, 200]
    assert b"[2.0,4.0,6.0]" in answer


def test_an_offer_of_http2_needs_the_token_and_has_the_bound(running, tmp_path):
    (tmp_path / "token").write_text("s3cret")
    server = running(token_file=str(tmp_path / "token"))
    assert statuses(server.raw(INFER + b"host: a\r\n" + H2C + LENGTH + b"\r\n" + BODY)) == [401]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v2 HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n",
        b"GET /v2 HTTP/1.1\r\nhost: a\r\n" + H2C,
    ],
    ids=["websocket", "h2c"],
)
def test_an_upgrade_is_answered_once_as_a_request_of_http_1_1(running, head):
    last = b"GET /v2/health/live HTTP/1.1\r\nhost: a\r\n" + CLOSE + b"\r\n"
    answer = running().raw(head + b"\r\n" + last)
    assert statuses(answer) == [200, 200]
    assert answer.endswith(b'{"live":true}')


def test_connect_is_refused_once(running):
    answer = running().raw(b"CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n" + SMUGGLED)
    assert statuses(answer) == [501]


@pytest.mark.parametrize("value", [b"close", b"Close", b"keep-alive, close"])
def test_a_client_that_asks_to_close_is_closed(running, value):
    answer = running().raw(b"GET /v2 HTTP/1.1\r\nhost: a\r\nconnection: " + value + b"\r\n\r\n")
    assert statuses(answer) == [200]
    assert b"\r\nconnection: close\r\n" in answer


def test_a_head_is_answered_without_its_body(running):
    answer = running().raw(b"HEAD /v2 HTTP/1.1\r\nhost: a\r\n" + CLOSE + b"\r\n")
    assert statuses(answer) == [200]
    assert answer.endswith(b"\r\n\r\n")


def test_version_1_of_the_protocol_is_told_where_to_go(running):
    status, _, body = running().ask("POST", "/v1/models/toy:predict", b'{"instances": [[1]]}')
    told = "version 1 of the protocol is not supported; ask POST /v2/models/toy/infer, or GET"
    assert (status, json.loads(body)["error"]) == (404, f"{told} /v2/models/toy")


@pytest.mark.parametrize("sequence", [7, "a"])
def test_a_sequence_is_refused_and_none_is_not(running, sequence):
    server = running()
    status, answer = server.infer(parameters={"sequence_id": sequence, "sequence_start": True})
    assert (status, "sequences are not supported" in answer["error"]) == (400, True)
    assert server.infer(parameters={"sequence_id": 0})[0] == 200
