"""No socket stays open where a connection ends before TLS begins."""

import select
import socket
import ssl
import struct

import pytest

from aeros_flower.security.tls_socket import TlsSocket


def test_a_connection_that_is_reset_before_the_handshake_is_closed():
    made = []

    class Noted(TlsSocket):
        def recv(self, *args):
            made.append(self)
            return super().recv(*args)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = Noted
    with socket.create_server(("127.0.0.1", 0)) as door:
        line = socket.create_connection(door.getsockname(), timeout=60)
        there, _ = door.accept()
        there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        there.close()  # resets
        assert select.select([line], [], [], 60)[0]
        with pytest.raises(ConnectionResetError):
            context.wrap_socket(line, server_hostname="localhost")
    assert [one.fileno() for one in made] == [-1]
