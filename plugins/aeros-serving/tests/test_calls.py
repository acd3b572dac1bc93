"""gRPC on top of HTTP/2: framing, compression, deadlines, statuses, conversations."""

import asyncio
import gzip
import logging
import zlib

import h2.events
import pytest
from h2_pair import ASK, Pair

from aeros_core.errors import ConfigError
from aeros_serving.calls import Call, Calls, Method
from aeros_serving.failures import Overloaded
from aeros_serving.limits import Limits
from aeros_serving.room import Room
from aeros_serving.status import CODES, failed

pytestmark = pytest.mark.usefixtures("loop")


class Word:
    """A message: some bytes, which say themselves."""

    def __init__(self, data):
        self.data = data

    def SerializeToString(self):
        return self.data


def read(data):
    if data == b"damaged":
        raise ValueError("no word")
    return Word(data)


def framed(data, packed=0):
    return bytes([packed]) + len(data).to_bytes(4, "big") + data


def headers(path="/x.Y/Now", **more):
    kept = [(k, v) for k, v in ASK if k != ":path"]
    return [(":path", path), *kept, *((k.replace("_", "-"), v) for k, v in more.items())]


class Methods:
    """One method of each kind."""

    def __init__(self):
        self.calls, self.left = [], []
        self.room = Room(2**20)

    def now(self, word, call):
        self.calls.append(call)
        call.gone = lambda: self.left.append(word.data)
        if word.data == b"config":
            raise ConfigError("cannot be", hint="do so")
        if word.data == b"full":
            raise Overloaded("too many")
        if word.data == b"broken":
            raise RuntimeError("a bug")
        if word.data != b"wait":
            call.reply(Word(word.data.upper()))

    async def soon(self, word, call):
        try:
            await asyncio.sleep(0 if word.data != b"long" else 60)
        except asyncio.CancelledError:
            self.left.append(word.data)
            raise
        return Word(word.data[::-1])

    async def talk(self, words, call):
        try:
            async for word in words:
                yield Word(word.data * 2)
        except asyncio.CancelledError:
            self.left.append(b"talk")
            raise

    def pair(self, token="", max_body=1000, timeout=5.0):
        kinds = {
            "/x.Y/Now": Method(read, now=self.now),
            "/x.Y/Soon": Method(read, soon=self.soon),
            "/x.Y/Talk": Method(read, stream=self.talk),
            "/x.Y/Open": Method(read, now=self.now, open=True),
        }
        return Pair(Calls(kinds, token, Limits(max_body, timeout, 60.0, room=self.room)))


@pytest.fixture
def methods():
    return Methods()


def turn(loop, pair, times=5):
    """Let tasks run, and carry what they said."""
    asyncio._set_running_loop(None)
    for _ in range(times):
        loop.run_until_complete(asyncio.sleep(0))
    asyncio._set_running_loop(loop)
    pair.pump()


def status(pair, stream=1):
    head, _, tail = pair.answer(stream)
    last = (tail or head)[0]
    return int(last[b"grpc-status"]), last.get(b"grpc-message", b"").decode()


def test_one_message_is_answered_with_one(methods):
    pair = methods.pair()
    pair.ask(framed(b"word"), headers=headers())
    assert pair.answer()[1] == framed(b"WORD")
    assert status(pair) == (0, "")


def test_a_coroutine_answers_when_it_is_done(methods, loop):
    pair = methods.pair()
    pair.ask(framed(b"word"), headers=headers("/x.Y/Soon"))
    assert pair.answer() == ([], b"", [])
    turn(loop, pair)
    assert pair.answer()[1] == framed(b"drow")


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_messages_may_be_compressed(methods, name):
    pack = gzip.compress if name == "gzip" else zlib.compress
    pair = methods.pair()
    pair.ask(framed(pack(b"word"), 1), headers=headers(grpc_encoding=name))
    assert pair.answer()[1] == framed(b"WORD")


@pytest.mark.parametrize(
    ("body", "more", "code", "told"),
    [
        (b"", {}, "INVALID_ARGUMENT", "a call brings one message, not 0"),
        (b"\0\0\0", {}, "INVALID_ARGUMENT", "a call brings one message, not 0 and 3 bytes"),
        (framed(b"word")[:-1], {}, "INVALID_ARGUMENT", "a call brings one message, not 0 and 8"),
        (framed(b"a") + framed(b"b"), {}, "INVALID_ARGUMENT", "a call brings one message, not 2"),
        (framed(b"a") + b"\0", {}, "INVALID_ARGUMENT", "a call brings one message, not 1 and 1"),
        (framed(b"damaged"), {}, "INVALID_ARGUMENT", "the message cannot be read: no word"),
        (framed(b"x", 1), {}, "INVALID_ARGUMENT", "content-encoding identity is none of"),
        (framed(b"x", 1), {"grpc_encoding": "br"}, "INVALID_ARGUMENT", "content-encoding br is"),
        (framed(b"x", 1), {"grpc_encoding": "gzip"}, "INVALID_ARGUMENT", "the body is no"),
        (framed(bytes(1001)), {}, "RESOURCE_EXHAUSTED", "a message is longer than 1,000 bytes"),
        (
            framed(gzip.compress(bytes(9000), mtime=0), 1), {"grpc_encoding": "gzip"},
            "RESOURCE_EXHAUSTED", "the body has more than 1,000 bytes",
        ),
        (framed(b"config"), {}, "INVALID_ARGUMENT", "cannot be"),
        (framed(b"full"), {}, "RESOURCE_EXHAUSTED", "too many"),
        (framed(b"broken"), {}, "INTERNAL", "RuntimeError: a bug"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_status(methods, body, more, code, told, caplog):
    pair = methods.pair()
    with caplog.at_level(logging.CRITICAL):
        pair.ask(body, headers=headers(**more))
    found, message = status(pair)
    assert (found, message[: len(told)]) == (CODES[code], told)
    assert pair.answer()[1] == b""
    pair.ask(framed(b"good"), stream=3, headers=headers())
    assert pair.answer(3)[1] == framed(b"GOOD")


def test_what_is_no_call_is_told_in_http(methods):
    pair = methods.pair()
    wrong = [(k, v) for k, v in headers() if k != "content-type"]
    pair.ask(framed(b"a"), headers=wrong)
    assert pair.answer()[0] == [{b":status": b"415"}]
    got = [(k, "GET" if k == ":method" else v) for k, v in headers()]
    pair.ask(headers=got, stream=3)
    assert pair.answer(3)[0] == [{b":status": b"405"}]


def test_a_method_that_does_not_exist_is_unimplemented(methods):
    pair = methods.pair()
    pair.ask(framed(b"a"), headers=headers("/x.Y/None"))
    assert status(pair) == (CODES["UNIMPLEMENTED"], "there is no method /x.Y/None")


def test_a_call_bears_the_token_unless_the_method_is_open(methods):
    pair = methods.pair(token="secret")
    told = "the call bears no token that is known here"
    pair.ask(framed(b"a"), headers=headers())
    pair.ask(framed(b"a"), headers=headers(authorization="Bearer guess"), stream=3)
    assert [status(pair, n) for n in (1, 3)] == [(CODES["UNAUTHENTICATED"], told)] * 2
    assert methods.calls == []
    pair.ask(framed(b"a"), headers=headers(authorization="Bearer secret"), stream=5)
    pair.ask(framed(b"b"), headers=headers("/x.Y/Open"), stream=7)
    assert (pair.answer(5)[1], pair.answer(7)[1]) == (framed(b"A"), framed(b"B"))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("2S", 2), ("1500m", 1.5), ("3M", 180), ("1H", 3600), ("250000u", 0.25), ("9n", 9e-9),
     (None, float("inf")), ("x", float("inf")), ("123456789S", float("inf")), ("S", float("inf"))],
)  # fmt: skip
def test_how_long_a_client_waits_is_what_it_says(methods, said, seconds):
    pair = methods.pair()
    pair.ask(framed(b"a"), headers=headers(**({"grpc_timeout": said} if said else {})))
    assert methods.calls[0].time_remaining() == pytest.approx(seconds, abs=0.2)


def test_what_takes_longer_than_the_client_waits_is_past_its_deadline(methods, loop):
    pair = methods.pair()
    pair.ask(framed(b"long"), headers=headers("/x.Y/Soon", grpc_timeout="1m"))
    turn(loop, pair)
    asyncio._set_running_loop(None)
    loop.run_until_complete(asyncio.sleep(0.01))
    asyncio._set_running_loop(loop)
    turn(loop, pair)
    assert status(pair) == (CODES["DEADLINE_EXCEEDED"], "the call was past its deadline")
    assert methods.left == [b"long"]


def test_who_leaves_is_worked_for_no_more(methods, loop):
    pair = methods.pair()
    pair.ask(framed(b"wait"), headers=headers())
    pair.ask(framed(b"long"), headers=headers("/x.Y/Soon"), stream=3)
    pair.ask(framed(b"a"), headers=headers("/x.Y/Talk"), stream=5)
    turn(loop, pair)
    for stream in (1, 3):
        pair.client.reset_stream(stream)
    pair.pump()
    turn(loop, pair)
    assert methods.left == [b"wait", b"long"]


def test_a_message_that_does_not_come_whole_in_time_is_told(methods, loop):
    pair = methods.pair(timeout=5.0)
    pair.client.send_headers(1, headers())
    pair.client.send_data(1, framed(b"word")[:-1])
    pair.pump()
    pair.server.sweep(loop.time() + 6)
    pair.pump()
    told = "the message did not arrive whole in time"
    assert status(pair) == (CODES["DEADLINE_EXCEEDED"], told)
    assert not pair.server.busy


def begin(pair, stream=1):
    pair.client.send_headers(stream, headers("/x.Y/Talk"))
    pair.pump()


def say(pair, data, loop, stream=1, ended=False):
    pair.client.send_data(stream, data, end_stream=ended)
    pair.pump()
    turn(loop, pair)


def test_in_a_conversation_each_message_is_answered_as_it_comes(methods, loop):
    pair = methods.pair()
    begin(pair)
    say(pair, framed(b"a") + framed(b"b")[:3], loop)
    assert pair.answer()[1] == framed(b"aa")
    say(pair, framed(b"b")[3:] + framed(b"c"), loop)
    assert pair.answer()[1] == framed(b"aa") + framed(b"bb") + framed(b"cc")
    say(pair, framed(b"d"), loop, ended=True)
    assert pair.answer()[1].endswith(framed(b"dd"))
    assert status(pair) == (0, "")
    assert len(pair.answer()[0]) == 1  # headers come once


def test_a_conversation_that_ends_within_a_message_is_told(methods, loop):
    pair = methods.pair()
    begin(pair)
    say(pair, framed(b"a") + b"\0\0", loop, ended=True)
    assert pair.answer()[1] == framed(b"aa")
    assert status(pair) == (CODES["INVALID_ARGUMENT"], "the last message is not whole")


def test_a_message_in_a_conversation_is_no_longer_than_any(methods, loop):
    pair = methods.pair()
    begin(pair)
    say(pair, framed(b"a"), loop)
    say(pair, framed(bytes(1001)), loop)
    assert status(pair)[0] == CODES["RESOURCE_EXHAUSTED"]
    assert methods.left == [b"talk"]


def test_pieces_of_a_message_are_joined_once(methods, loop, monkeypatch):
    """Otherwise each byte at the end of a long message costs as much as all that is there."""
    pair, joined = methods.pair(max_body=2**20), []
    received = Call._messages

    def messages(call):
        before = len(call._inbox)
        yield from received(call)
        joined.append(before - len(call._inbox))

    monkeypatch.setattr(Call, "_messages", messages)
    begin(pair)
    message = framed(bytes(300))
    for place in range(len(message)):
        say(pair, message[place : place + 1], loop)
    assert pair.answer()[1] == framed(bytes(600))
    assert len(joined) > 100
    assert [count for count in joined if count] == [4, 301]  # its length, and all of it


def test_who_does_not_read_answers_is_not_listened_to(methods, loop):
    """Answers wait for the client's window, and what it may send waits for the answers."""
    pair = methods.pair(max_body=2**20)
    begin(pair)
    sent = 0
    while (room := pair.client.local_flow_control_window(1)) > 0 and sent < 2**23:
        size = min(room, 2**14)
        pair.client.send_data(1, framed(bytes(size - 5)) if size > 5 else bytes(size))
        sent += size
        pair.pump()
        turn(loop, pair)
    assert sent < 2**21


@pytest.mark.parametrize(
    "text", ["plain", "100 % sure", "ü and \n", "x" * 9000, "é" * 900, "a\tb\x7f~"]
)
def test_words_in_trailers_come_back_as_they_were(text):
    from urllib.parse import unquote

    import hpack

    found = dict(hpack.Decoder().decode(failed("INTERNAL", text)))
    assert found["grpc-status"] == "13"
    told = unquote(found["grpc-message"])
    assert text.startswith(told)
    assert len(told) == len(text) or len(found["grpc-message"]) > 3900
    assert len(found["grpc-message"]) <= 4000
    assert found["grpc-message"].isascii()
    assert found["grpc-message"].isprintable()


def test_an_answer_after_the_end_goes_nowhere(methods):
    pair = methods.pair()
    pair.ask(framed(b"wait"), headers=headers())
    call: Call = methods.calls[0]
    call.reply(Word(b"one"))
    call.reply(Word(b"two"))
    call.fail(Overloaded("late"))
    pair.pump()
    assert pair.answer()[1] == framed(b"one")
    assert not any(isinstance(e, h2.events.ConnectionTerminated) for e in pair.events)


# ---------------------------------------------------------------- room


@pytest.mark.parametrize("kind", ["Now", "Soon", "Talk"])
def test_what_a_call_held_is_given_back_once_it_is_whole(methods, loop, kind):
    pair = methods.pair()
    pair.client.send_headers(1, headers(f"/x.Y/{kind}"))
    message = framed(b"a" * 500)
    pair.client.send_data(1, message[:300])
    pair.pump()
    assert 300 < methods.room.held < 600
    pair.client.send_data(1, message[300:], end_stream=True)
    pair.pump()
    turn(loop, pair, 20)
    assert status(pair) == (0, "")
    assert methods.room.held == 0


@pytest.mark.parametrize("kind", ["Now", "Talk"])
def test_the_call_that_has_been_coming_longest_makes_room(methods, loop, kind):
    methods.room = Room(4000)
    pair = methods.pair()
    for stream in range(1, 13, 2):
        pair.client.send_headers(stream, headers(f"/x.Y/{kind}"))
        pair.client.send_data(stream, framed(b"a" * 900)[:700])
    pair.pump()
    turn(loop, pair, 20)
    assert methods.room.held <= methods.room.size
    told = status(pair, 1)
    assert told[0] == CODES["RESOURCE_EXHAUSTED"]
    assert "have not come whole hold 4%2C000 bytes" in told[1].replace(",", "%2C")
    pair.client.send_data(11, framed(b"a" * 900)[700:], end_stream=True)
    pair.pump()
    turn(loop, pair, 20)
    assert status(pair, 11) == (0, "")
    pair.server.connection_lost(None)
    turn(loop, pair)
    assert methods.room.held == 0


@pytest.mark.parametrize("end", ["reset", "late", "unknown"])
def test_what_a_call_held_is_given_back_however_it_ends(methods, loop, end):
    pair = methods.pair()
    pair.client.send_headers(1, headers("/x.Y/Now"))
    pair.client.send_data(1, framed(b"a" * 500)[:300])
    pair.pump()
    if end == "reset":
        pair.client.reset_stream(1)
    elif end == "late":
        pair.server.sweep(loop.time() + 6)
    else:
        pair.client.send_data(1, b"more than one message" * 40, end_stream=True)
    pair.pump()
    assert methods.room.held == 0


def test_a_conversation_that_ends_before_its_client_does_gives_back_what_it_held(methods, loop):
    async def once(words, call):
        async for word in words:
            yield word
            return

    methods.talk = once
    pair = methods.pair()
    pair.client.send_headers(1, headers("/x.Y/Talk"))
    pair.client.send_data(1, framed(b"a") + framed(b"b" * 400)[:200])
    pair.pump()
    turn(loop, pair, 20)
    assert status(pair) == (0, "")
    assert methods.room.held == 0
