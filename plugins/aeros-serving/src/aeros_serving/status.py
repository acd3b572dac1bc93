"""Statuses of gRPC, and the header blocks that say them (gRPC over HTTP/2, "Responses")."""

from __future__ import annotations

from urllib.parse import quote

__all__ = ["CODES", "HEAD", "OK", "failed", "refused"]

CODES = {
    name: number
    for number, name in enumerate(
        (
            "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
            "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
            "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
            "UNAUTHENTICATED",
        )
    )
}  # fmt: skip

_LONGEST = 4000
"""Bytes of a message; a client's limit of all trailers is often 8 KiB."""

_PLAIN = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
"""What stands for itself in a message, beside letters and digits."""


def _field(name: bytes, value: bytes) -> bytes:
    """Return a header that enters no table (RFC 7541, section 6.2.2)."""
    return b"\0" + _length(name) + name + _length(value) + value


def _length(text: bytes) -> bytes:
    """Return a length in seven bits and, where it takes more, further bytes (section 5.1)."""
    size = len(text)
    if size < 127:
        return bytes([size])
    size, made = size - 127, bytearray([127])
    while size >= 128:
        made.append(size & 127 | 128)
        size >>= 7
    made.append(size)
    return bytes(made)


_SUCCESS = b"\x88"  # ":status: 200" of the static table
_TYPE = _field(b"content-type", b"application/grpc")

HEAD = _SUCCESS + _TYPE + _field(b"grpc-accept-encoding", b"identity,deflate,gzip")
"""What stands before every message."""

OK = _field(b"grpc-status", b"0")
"""What stands behind the last message of a call that went well."""


def failed(status: str, text: str) -> bytes:
    """Return the trailers of a call that did not go well.

    Args:
        status: Name of the status.
        text: Why, in words.
    """
    text = text[:_LONGEST]
    while len(told := quote(text, safe=_PLAIN)) > _LONGEST:  # what is not plain becomes longer
        text = text[: len(text) * _LONGEST // len(told)]
    return _field(b"grpc-status", b"%d" % CODES[status]) + _field(b"grpc-message", told.encode())


def refused(number: int) -> bytes:
    """Return the headers for what is no call at all: a status of HTTP alone."""
    return _field(b":status", b"%d" % number)
