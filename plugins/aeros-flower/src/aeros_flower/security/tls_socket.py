"""A socket of TLS that is closed where its connection ends before TLS begins."""

from __future__ import annotations

import ssl

__all__ = ["TlsSocket"]


class TlsSocket(ssl.SSLSocket):
    """Closes itself when the connection is reset; a context makes it as ``sslsocket_class``.

    ``SSLContext.wrap_socket`` reads from a connection that was reset before the handshake, and
    in Python 3.11 leaves the socket open that it has made by then.
    """

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Return what was received.

        Raises:
            OSError: The connection was reset, and the socket is closed; or see `socket.recv`.
        """
        try:
            return super().recv(buflen, flags)
        except ConnectionError:
            self.close()
            raise
