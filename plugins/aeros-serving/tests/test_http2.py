"""HTTP/2 by hand, held against the library h2 as a client, and against clients that are none."""

import contextlib
import struct

import h2.events
import h2.exceptions
import h2.settings
import pytest
from h2_pair import ASK, LIMITS, Pair, Transport
from hypothesis import given, settings
from hypothesis import strategies as st

from aeros_serving import http2
from aeros_serving.frames import PREFACE, Code, Fault, Kind, frame
from aeros_serving.headers import Blocks
from aeros_serving.status import HEAD, OK

pytestmark = pytest.mark.usefixtures("loop")


@pytest.mark.parametrize("size", [0, 1, 16_384, 65_535, 65_536, 3_000_000])
def test_a_request_is_answered_whatever_its_size(size):
    pair, body = Pair(), bytes(range(256)) * (size // 256) + bytes(size % 256)
    pair.ask(body)
    while True:  # h2 says what it has taken
        taken = [e for e in pair.events if isinstance(e, h2.events.DataReceived) and e.data]
        fresh = taken[len(getattr(pair, "seen", [])) :]
        pair.seen = taken
        if not fresh:
            break
        for event in fresh:
            pair.client.acknowledge_received_data(event.flow_controlled_length, 1)
        pair.pump()
    head, data, tail = pair.answer()
    assert head == [
        {
            b":status": b"200",
            b"content-type": b"application/grpc",
            b"grpc-accept-encoding": b"identity,deflate,gzip",
        }
    ]
    assert (data, tail) == (body, [{b"grpc-status": b"0"}])
    assert pair.asked[0][0][b":path"] == b"/x.Y/Z"
    assert not pair.server.busy


def test_whoever_says_after_each_frame_that_there_is_room_is_not_cut_off():
    """A large answer takes thousands of frames that ask nothing."""
    pair = Pair(lambda stream, headers: stream.answer(HEAD, bytes(2**26), OK))
    pair.client.send_headers(1, ASK, end_stream=True)
    seen, size = 0, 0
    while True:
        pair.pump()
        fresh, seen = pair.events[seen:], len(pair.events)
        data = [e for e in fresh if isinstance(e, h2.events.DataReceived) and e.data]
        if not data:
            break
        for event in data:
            size += len(event.data)
            pair.client.increment_flow_control_window(event.flow_controlled_length)
            with contextlib.suppress(h2.exceptions.StreamClosedError):  # the last ones
                pair.client.increment_flow_control_window(event.flow_controlled_length, 1)
    assert size == 2**26
    assert not pair.transport.closed


def test_what_answers_entitle_to_has_an_end():
    pair = Pair(lambda stream, headers: stream.answer(HEAD, bytes(2**26), OK))
    pair.client.increment_flow_control_window(2**27)
    pair.client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**27})
    pair.client.send_headers(1, ASK, end_stream=True)
    pair.pump()
    ping = frame(Kind.PING, 0, 0, b"12345678")
    pair.server.data_received(ping * 2**13)  # two for each of 4,096 frames
    assert not pair.transport.closed
    pair.server.data_received(ping * 1001)
    assert pair.transport.closed


def test_the_same_headers_again_and_others_between_are_read_as_they_are():
    pair = Pair()
    for number, extra in enumerate(["one", "one", "two", "one", "two", "two"]):
        pair.ask(b"m", stream=2 * number + 1, headers=[*ASK, ("x-word", extra)])
    words = [headers[b"x-word"] for headers, _ in pair.asked]
    assert words == [b"one", b"one", b"two", b"one", b"two", b"two"]


def test_a_table_that_turns_over_is_read_as_it_is():
    """Many headers, each entered into the table, of which the oldest fall out again."""
    pair = Pair()
    for number in range(200):
        pair.ask(b"m", stream=2 * number + 1, headers=[*ASK, ("x-n", f"{number % 7}-{'y' * 700}")])
    found = [headers[b"x-n"].partition(b"-")[0] for headers, _ in pair.asked]
    assert found == [b"%d" % (number % 7) for number in range(200)]


def literal(word, indexed):
    return (b"\x40" if indexed else b"\0") + b"\1a" + bytes([len(word)]) + word


def test_a_block_that_changes_the_size_of_the_table_is_read_each_time():
    """The client makes its table small, large, small again: what is entered then is no more."""
    blocks = Blocks(2**16)
    small, large = b"\x20", b"\x3f\xe1\x1f"  # 0 and 4,096 bytes
    for size in (small, large, small):
        assert blocks.read(size + literal(b"x", indexed=False)) == {b"a": b"x"}
    blocks.read(literal(b"gone", indexed=True))
    with pytest.raises(Fault):
        blocks.read(b"\xbe")  # the newest entry: there is none


def test_only_short_blocks_are_remembered_and_not_for_ever():
    blocks = Blocks(2**16)
    long = b"\0\1a\x7f\xa1\x1e" + b"x" * 4000
    for number in range(1000):
        assert len(blocks.read(long)[b"a"]) == 4000
        assert blocks.read(literal(b"%d" % number, indexed=False)) == {b"a": b"%d" % number}
    assert 0 < len(blocks._known) <= 256
    assert long not in blocks._known


def test_headers_in_many_frames_and_padding_are_read():
    pair = Pair()
    pair.client.send_headers(1, [*ASK, ("x-long", "a" * 40_000)])
    pair.client.send_data(1, b"padded", end_stream=True, pad_length=20)
    pair.pump()
    headers, body = pair.asked[0]
    assert (len(headers[b"x-long"]), body) == (40_000, b"padded")


def test_an_answer_waits_for_the_window_of_its_stream():
    pair = Pair(changed={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 10})
    pair.ask(b"0123456789abcdefghij")
    assert pair.answer()[1] == b"0123456789"
    pair.client.increment_flow_control_window(7, 1)
    pair.pump()
    assert pair.answer()[1:] == (b"0123456789abcdefg", [])
    pair.client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 100})
    pair.pump()
    assert pair.answer()[1:] == (b"0123456789abcdefghij", [{b"grpc-status": b"0"}])


def test_answers_wait_for_a_client_that_does_not_read():
    pair = Pair()
    pair.server.pause_writing()
    pair.ask(b"later")
    assert not pair.transport.reading
    assert pair.answer()[1] == b""
    pair.server.resume_writing()
    pair.pump()
    assert pair.answer()[1:] == (b"later", [{b"grpc-status": b"0"}])


def test_a_client_that_leaves_is_not_answered():
    left, streams = [], []

    def accept(stream, headers):
        stream.gone = lambda: left.append(stream.number)
        streams.append(stream)

    pair = Pair(accept)
    pair.ask(b"a", stream=1)
    pair.ask(b"b", stream=3)
    pair.client.reset_stream(1)
    pair.pump()
    assert left == [1]
    streams[0].answer(HEAD, b"nobody", OK)
    assert pair.transport.out == b""
    pair.server.connection_lost(None)
    assert left == [1, 3]
    assert pair.everyone == set()


def test_what_is_answered_early_is_not_read_on():
    def accept(stream, headers):
        stream.finish(HEAD + OK)

    pair = Pair(accept)
    pair.client.send_headers(1, ASK)
    pair.pump()
    resets = [e for e in pair.events if isinstance(e, h2.events.StreamReset)]
    assert [(e.stream_id, e.error_code) for e in resets] == [(1, 0)]


def test_no_more_requests_are_answered_at_a_time_than_was_said():
    pair = Pair(lambda stream, headers: None)
    most = pair.client.remote_settings.max_concurrent_streams
    assert most == http2.STREAMS
    head = b"\x83\x86\x84"  # POST, http, /: what h2 would not send
    for number in range(most + 2):
        pair.server.data_received(frame(Kind.HEADERS, 4, 2 * number + 1, head))
    said = bytes(pair.transport.out)
    assert said.count(frame(Kind.RST_STREAM, 0, 2 * most + 1, struct.pack(">L", 7))) == 1
    assert said.count(frame(Kind.RST_STREAM, 0, 2 * most + 3, struct.pack(">L", 7))) == 1


def test_pings_are_answered():
    pair = Pair()
    pair.client.ping(b"12345678")
    pair.pump()
    assert any(isinstance(e, h2.events.PingAckReceived) for e in pair.events)


def test_the_end_of_the_server_is_told_and_requests_are_answered_before():
    kept = []
    pair = Pair(lambda stream, headers: kept.append(stream))
    pair.ask(b"a")
    pair.server.finish()
    pair.pump()
    assert (pair.away().error_code, pair.away().last_stream_id) == (0, 1)
    assert not pair.transport.closed
    pair.server.data_received(frame(Kind.HEADERS, 5, 3, b"\x83\x86\x84"))
    assert frame(Kind.RST_STREAM, 0, 3, struct.pack(">L", 7)) in pair.transport.out
    kept[0].answer(HEAD, b"last", OK)
    assert pair.transport.closed


def test_what_does_not_arrive_in_time_is_ended(loop):
    late = []

    def accept(stream, headers):
        stream.deadline = loop.time() + 5
        stream.late = lambda: late.append(stream.number)

    pair = Pair(accept)
    pair.client.send_headers(1, ASK)
    pair.pump()
    pair.server.sweep(loop.time() + 1)
    assert late == []
    pair.server.sweep(loop.time() + 6)
    assert late == [1]


def test_connections_that_ask_nothing_are_closed(loop):
    silent = http2.Connection(lambda *_: None, LIMITS, set())
    silent.connection_made(Transport())
    silent.sweep(loop.time() + 6)  # not even a hello
    assert silent._transport.closed
    pair = Pair()
    pair.ask(b"x")
    pair.server.sweep(loop.time() + 6)
    assert not pair.transport.closed
    pair.server.sweep(loop.time() + 61)
    pair.pump()
    assert pair.transport.closed
    assert pair.away().error_code == 0


def test_an_answer_that_nobody_takes_is_given_up(loop):
    left, pair = [], Pair(changed={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 10})
    pair.ask(b"0123456789abcdefghij")
    [stream] = pair.server._streams.values()
    stream.gone = lambda: left.append(stream.number)
    now = loop.time()
    for later in (0, 30, 59):
        pair.server.sweep(now + later)
    assert pair.server.busy
    pair.server.sweep(now + 60)
    pair.pump()
    resets = [e for e in pair.events if isinstance(e, h2.events.StreamReset)]
    assert [(e.stream_id, e.error_code) for e in resets] == [(1, Code.CANCEL)]
    assert (left, pair.server.busy) == ([1], False)


def test_an_answer_that_is_taken_slowly_is_not_given_up(loop):
    pair, now = Pair(lambda stream, headers: stream.answer(HEAD, bytes(2**17), OK)), loop.time()
    pair.client.send_headers(1, ASK, end_stream=True)
    pair.pump()
    for minute in range(4):
        pair.server.sweep(now + 59 * minute)
        pair.server.data_received(windows(2**14))
        pair.server.data_received(frame(Kind.WINDOW_UPDATE, 0, 1, struct.pack(">L", 2**14)))
    assert len(pair.transport.out) > 2**16
    assert pair.server.busy


def test_a_client_that_does_not_even_read_its_dismissal_is_cut_off(loop):
    pair = Pair()
    now = loop.time()
    pair.server.sweep(now + 61)
    assert (pair.transport.closed, pair.transport.aborted) == (True, False)
    said = len(pair.transport.out)
    pair.server.sweep(now + 1)
    assert not pair.transport.aborted
    pair.server.sweep(now + 62)
    assert pair.transport.aborted
    assert len(pair.transport.out) == said


def test_a_client_that_sends_no_more_is_answered_what_it_asked_whole(loop):
    streams = {}
    pair = Pair(lambda stream, headers: streams.setdefault(stream.number, stream))
    pair.ask(b"whole", stream=1)
    pair.client.send_headers(3, ASK)
    pair.pump()
    left = []
    streams[3].gone = lambda: left.append(3)
    assert pair.server.eof_received()
    assert left == [3]
    assert not pair.transport.closed
    streams[1].answer(HEAD, b"here", OK)
    assert pair.transport.closed  # nothing more can come
    half = Pair(lambda stream, headers: None)
    half.client.send_headers(1, ASK)
    half.pump()
    assert not half.server.eof_received()


def test_more_clients_than_there_may_be_are_sent_away():
    everyone = set()
    pairs = [Pair(everyone=everyone) for _ in range(3)]
    extra = http2.Connection(lambda *_: None, LIMITS, everyone)
    extra.connection_made(Transport())
    assert extra._transport.closed
    assert len(everyone) == 3
    pairs[0].server.connection_lost(None)
    assert not Pair(everyone=everyone).transport.closed


HELLO = PREFACE + frame(Kind.SETTINGS, 0, 0)
OPEN = frame(Kind.HEADERS, 4, 1, b"\x83\x86\x84")


def windows(*sizes):
    return b"".join(frame(Kind.WINDOW_UPDATE, 0, 0, struct.pack(">L", size)) for size in sizes)


WRONG = {
    "HTTP/1.1": (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", Code.PROTOCOL_ERROR),
    "TLS": (b"\x16\x03\x01\x02\x00\x01" + b"\0" * 40, Code.PROTOCOL_ERROR),
    "a frame beyond the size": (HELLO + b"\xff\xff\xff\0\0\0\0\0\1", Code.FRAME_SIZE_ERROR),
    "data before headers": (HELLO + frame(Kind.DATA, 0, 1, b"a"), Code.PROTOCOL_ERROR),
    "data of no stream": (HELLO + frame(Kind.DATA, 0, 0, b"a"), Code.PROTOCOL_ERROR),
    "an even stream": (HELLO + frame(Kind.HEADERS, 4, 2, b"\x83"), Code.PROTOCOL_ERROR),
    "a stream again": (HELLO + OPEN + OPEN, Code.PROTOCOL_ERROR),
    "a stream backwards": (HELLO + frame(Kind.HEADERS, 5, 5, b"\x83") + OPEN, Code.PROTOCOL_ERROR),
    "headers that are none": (
        HELLO + frame(Kind.HEADERS, 4, 1, b"\xff\xff"),
        Code.COMPRESSION_ERROR,
    ),
    "an index beyond the table": (
        HELLO + frame(Kind.HEADERS, 4, 1, b"\xfe"),
        Code.COMPRESSION_ERROR,
    ),
    "another frame within headers": (
        HELLO + frame(Kind.HEADERS, 0, 1, b"\x83") + frame(Kind.PING, 0, 0, b"12345678"),
        Code.PROTOCOL_ERROR,
    ),
    "a continuation of nothing": (
        HELLO + frame(Kind.CONTINUATION, 4, 1, b"\x83"),
        Code.PROTOCOL_ERROR,
    ),
    "a continuation of another": (
        HELLO + frame(Kind.HEADERS, 0, 1, b"\x83") + frame(Kind.CONTINUATION, 4, 3, b"\x86"),
        Code.PROTOCOL_ERROR,
    ),
    "more padding than frame": (
        HELLO + OPEN + frame(Kind.DATA, 8, 1, b"\x09abc"),
        Code.PROTOCOL_ERROR,
    ),
    "padding of nothing": (HELLO + OPEN + frame(Kind.DATA, 8, 1), Code.FRAME_SIZE_ERROR),
    "a push": (HELLO + frame(Kind.PUSH_PROMISE, 4, 1, b"\0\0\0\2"), Code.PROTOCOL_ERROR),
    "settings of a stream": (HELLO + frame(Kind.SETTINGS, 0, 1), Code.FRAME_SIZE_ERROR),
    "half a setting": (HELLO + frame(Kind.SETTINGS, 0, 0, b"\0\3\0"), Code.FRAME_SIZE_ERROR),
    "a window beyond all": (
        HELLO + frame(Kind.SETTINGS, 0, 0, b"\0\4\x80\0\0\0"),
        Code.FLOW_CONTROL_ERROR,
    ),
    "frames too small": (HELLO + frame(Kind.SETTINGS, 0, 0, b"\0\5\0\0\0\1"), Code.PROTOCOL_ERROR),
    "a short ping": (HELLO + frame(Kind.PING, 0, 0, b"123"), Code.FRAME_SIZE_ERROR),
    "a window of nothing": (HELLO + windows(0), Code.FLOW_CONTROL_ERROR),
    "a window that runs over": (HELLO + windows(2**31 - 1), Code.FLOW_CONTROL_ERROR),
    "a window of an idle stream": (
        HELLO + frame(Kind.WINDOW_UPDATE, 0, 9, b"\0\0\0\1"),
        Code.PROTOCOL_ERROR,
    ),
    "a short window": (HELLO + frame(Kind.WINDOW_UPDATE, 0, 0, b"\1"), Code.FRAME_SIZE_ERROR),
    "the reset of an idle stream": (
        HELLO + frame(Kind.RST_STREAM, 0, 7, b"\0\0\0\1"),
        Code.PROTOCOL_ERROR,
    ),
    "headers within a request": (
        HELLO + OPEN + frame(Kind.HEADERS, 4, 1, b"\x83"),
        Code.PROTOCOL_ERROR,
    ),
    "pings without end": (
        HELLO + frame(Kind.PING, 0, 0, b"12345678") * 1001,
        Code.ENHANCE_YOUR_CALM,
    ),
    "settings without end": (HELLO + frame(Kind.SETTINGS, 0, 0) * 1001, Code.ENHANCE_YOUR_CALM),
    "frames of no known kind": (HELLO + frame(99, 0, 0) * 1001, Code.ENHANCE_YOUR_CALM),
    "data of nothing without end": (
        HELLO + OPEN + frame(Kind.DATA, 0, 1) * 1001,
        Code.ENHANCE_YOUR_CALM,
    ),
    "headers without end": (
        HELLO
        + frame(Kind.HEADERS, 0, 1, b"\x83")
        + frame(Kind.CONTINUATION, 0, 1, b"\x86" * 1000) * 80,
        Code.ENHANCE_YOUR_CALM,
    ),
    "small headers that unpack to large ones": (
        HELLO
        + frame(Kind.HEADERS, 5, 1, b"\x40\x01a" + b"\x7f\xa1\x1e" + b"x" * 4000)
        + frame(Kind.HEADERS, 5, 3, b"\xbe" * 20),
        Code.ENHANCE_YOUR_CALM,
    ),
    "requests that are taken back without end": (
        HELLO
        + b"".join(
            frame(Kind.HEADERS, 4, n, b"\x83\x86\x84") + frame(Kind.RST_STREAM, 0, n, b"\0\0\0\x08")
            for n in range(1, 2101, 2)
        ),
        Code.ENHANCE_YOUR_CALM,
    ),
    "more than the window has room for": (
        HELLO + OPEN + frame(Kind.DATA, 0, 1, bytes(2**16)) * 17,
        None,
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_client_that_does_not_keep_to_the_protocol_is_told_and_cut_off(case):
    sent, code = WRONG[case]
    seen = []
    server = http2.Connection(lambda stream, headers: seen.append(stream), LIMITS, set())
    server.connection_made(transport := Transport())
    server.data_received(sent)
    if code is None:  # the window is opened again as the data are read
        assert not transport.closed
        return
    assert transport.closed
    said = bytes(transport.out)
    place = said.rindex(b"\x07\0\0\0\0\0")  # GOAWAY of the connection
    assert struct.unpack(">L", said[place + 10 : place + 14])[0] == code
    server.data_received(HELLO)  # is not looked at any more


def test_a_stream_that_is_held_may_not_send_on():
    def accept(stream, headers):
        stream.held = True

    server = http2.Connection(accept, LIMITS, set())
    server.connection_made(transport := Transport())
    server.data_received(HELLO + OPEN + frame(Kind.DATA, 0, 1, bytes(2**16)) * 16)
    assert not transport.closed
    server.data_received(frame(Kind.DATA, 0, 1, b"more"))
    assert transport.closed
    assert struct.pack(">L", Code.FLOW_CONTROL_ERROR) in transport.out[-60:]


def kinds(said):
    """Return the kinds of frames that were said; whole ones, one behind the other."""
    found, said = [], bytes(said)
    while said:
        size = 9 + int.from_bytes(said[:3], "big")
        assert size <= len(said)
        found.append(Kind(said[3]))
        said = said[size:]
    return found


GOOD = HELLO + OPEN + frame(Kind.DATA, 1, 1, b"\0\0\0\0\1a") + frame(Kind.PING, 0, 0, b"12345678")


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(GOOD) - 1), st.binary(max_size=12)), min_size=1, max_size=5
    ),
    st.lists(st.integers(1, 40), max_size=8),
)
def test_whatever_comes_is_answered_or_cut_off(changes, cuts):
    sent = bytearray(GOOD)
    for place, data in changes:
        sent[place : place + len(data)] = data
    pair = []

    def accept(stream, headers):
        pair.append(headers)
        stream.receive = lambda data, ended: ended and stream.answer(HEAD, data, OK)

    server = http2.Connection(accept, LIMITS, set())
    server.connection_made(transport := Transport())
    place = 0
    for size in [*cuts, len(sent)]:
        server.data_received(bytes(sent[place : place + size]))
        place += size
    assert kinds(transport.out)[:2] == [Kind.SETTINGS, Kind.WINDOW_UPDATE]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_frames_of_anything_are_answered_or_cut_off(data):
    server = http2.Connection(lambda stream, headers: None, LIMITS, set())
    server.connection_made(transport := Transport())
    server.data_received(HELLO)
    place = 0
    while place < len(data) and not transport.closed:
        kind, flags, stream = data[place] % 11, data[place], data[place] % 4
        size = data[place] % 23
        server.data_received(frame(kind, flags, stream, data[place + 1 : place + 1 + size]))
        place += 1 + size
    server.sweep(0.0)
    server.connection_lost(None)
    assert (kinds(transport.out)[-1] is Kind.GOAWAY) == transport.closed
