"""A connection of the server, and the library h2 as its client, with no socket between."""

import asyncio

import h2.config
import h2.connection
import h2.events
import h2.settings

from aeros_serving import http2
from aeros_serving.limits import Limits
from aeros_serving.status import HEAD, OK

LIMITS = Limits(max_body=2**26, read_timeout=5.0, idle_timeout=60.0, max_connections=3)
ASK = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/x.Y/Z"),
       ("content-type", "application/grpc"), ("te", "trailers")]  # fmt: skip


class Transport(asyncio.Transport):
    """Keeps what is written; can be told that the client does not read."""

    def __init__(self):
        super().__init__()
        self.out, self.closed, self.reading = bytearray(), False, True
        self.aborted = False

    def write(self, data):
        self.out += data

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    def abort(self):
        self.closed = self.aborted = True

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True


class Pair:
    """The server's side of a connection, and h2 as the client's."""

    def __init__(self, accept=None, everyone=None, changed=None):
        self.asked = []
        self.everyone = set() if everyone is None else everyone
        self.server = http2.Connection(accept or self.echo, LIMITS, self.everyone)
        self.transport = Transport()
        self.server.connection_made(self.transport)
        self.client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        if changed:
            self.client.local_settings = h2.settings.Settings(client=True, initial_values=changed)
        self.client.initiate_connection()
        self.events = []
        self.pump()

    def echo(self, stream, headers):
        """Answer a request with what it brought, once it is there."""
        parts = []

        def receive(data, ended):
            parts.append(data)
            if ended:
                self.asked.append((headers, b"".join(parts)))
                stream.answer(HEAD, b"".join(parts), OK)

        stream.receive = receive

    def pump(self):
        """Carry bytes to and fro until nobody says anything."""
        while True:
            out = self.client.data_to_send()
            if out:
                self.server.data_received(out)
            back, self.transport.out = bytes(self.transport.out), bytearray()
            if back:
                self.events += self.client.receive_data(back)
            if not out and not back:
                return self.events

    def ask(self, body=b"", stream=1, headers=ASK, **more):
        self.client.send_headers(stream, headers, end_stream=not body, **more)
        while body:
            self.pump()
            resets = [e for e in self.events if isinstance(e, h2.events.StreamReset)]
            if any(e.stream_id == stream for e in resets):
                return  # it was answered before it was asked whole
            size = min(
                len(body),
                self.client.local_flow_control_window(stream),
                self.client.max_outbound_frame_size,
            )
            assert size, "the window does not open again"
            self.client.send_data(stream, body[:size], end_stream=size == len(body))
            body = body[size:]
        self.pump()

    def answer(self, stream=1):
        """Return headers, content and trailers of an answer; takes content as it comes."""
        mine = [e for e in self.events if getattr(e, "stream_id", 0) == stream]
        kinds = h2.events
        head = [dict(e.headers) for e in mine if isinstance(e, kinds.ResponseReceived)]
        data = b"".join(e.data for e in mine if isinstance(e, kinds.DataReceived))
        tail = [dict(e.headers) for e in mine if isinstance(e, kinds.TrailersReceived)]
        return head, data, tail

    def away(self):
        [event] = [e for e in self.events if isinstance(e, h2.events.ConnectionTerminated)]
        return event
