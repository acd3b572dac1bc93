"""The certificate and the token of a server."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from aeros_core.errors import ConfigError
from aeros_serving.config import LOOPBACK, Serving

__all__ = ["TOKEN", "Security"]

TOKEN = "AEROS_SERVING_TOKEN"  # noqa: S105 - the name of the variable
"""Environment variable with the bearer token."""


@dataclass(frozen=True, slots=True)
class Security:
    """Certificate and token of a server, read.

    Args:
        token: What requests have to bear; empty: nothing.
        context: TLS for the REST protocol; None: no TLS.
        grpc_context: TLS for the gRPC protocol, which clients choose by ALPN; None: no TLS.
    """

    token: str
    context: ssl.SSLContext | None
    grpc_context: ssl.SSLContext | None

    @classmethod
    def of(cls, options: Serving) -> Security:
        """Read what the options name.

        Raises:
            ConfigError: A file cannot be read, or the server would be open to everybody.
        """
        if bool(options.certificate) != bool(options.key):
            raise ConfigError("serving.certificate and serving.key go together")
        token = _token(options)
        if options.host not in LOOPBACK and not options.insecure:
            missing = [
                name
                for name, there in (
                    ("TLS (serving.certificate, serving.key)", options.certificate),
                    (f"a token (serving.token_file, or ${TOKEN})", token),
                )
                if not there
            ]
            if missing:
                raise ConfigError(
                    f"serving.host={options.host} would open the models to the network without"
                    f" {' and '.join(missing)}",
                    exists=f"without them: serving.host={LOOPBACK[0]}",
                    hint="give them, or type serving.insecure=true",
                )
        if not options.certificate:
            return cls(token, None, None)
        grpc_context = _context(options)
        grpc_context.set_alpn_protocols(["h2"])
        return cls(token, _context(options), grpc_context)


def _read(option: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes() if path else b""
    except OSError as error:
        raise ConfigError(f"{option}={path} cannot be read: {error.strerror}") from error


def _token(options: Serving) -> str:
    if not options.token_file:
        return os.environ.get(TOKEN, "").strip()
    token = _read("serving.token_file", options.token_file).decode("utf-8", "replace").strip()
    if not token.isascii() or not token:
        raise ConfigError(f"serving.token_file={options.token_file} holds no token")
    return token


def _context(options: Serving) -> ssl.SSLContext:
    _read("serving.certificate", options.certificate)
    _read("serving.key", options.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.certificate, options.key)
    except ssl.SSLError as error:
        raise ConfigError(
            f"serving.certificate={options.certificate} and serving.key={options.key} do not"
            f" make a certificate: {error.reason}"
        ) from error
    return context
