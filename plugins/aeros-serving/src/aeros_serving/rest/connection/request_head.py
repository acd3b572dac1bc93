"""What the head of a request has to be before its body is read (RFC 9110 and 9112)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import httptools

from aeros_serving.rest.http_message import HttpRequest, HttpResponse, error_response
from aeros_serving.rest.limits import FRAMING, HEAD

__all__ = [
    "check_head",
    "head_of",
    "malformed",
    "new_parser",
    "too_large",
    "too_long",
    "without_upgrade",
]

_HOST = re.compile(r"[\w.~!$&'()*+,;=%:\[\]-]*", re.ASCII)
"""A host and perhaps a port; a second Host header is joined to it by a comma and a space."""

HEADERS = 256
"""Headers of a request."""

_UPGRADE = (b"upgrade", b"http2-settings")


def new_parser(protocol: object) -> httptools.HttpRequestParser:
    """Return a parser; what a client sends after it asked to close is not an error."""
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def head_of(method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> HttpRequest:
    """Return a request without its body.

    Args:
        method: GET, POST and so on.
        target: As sent: a path, or a URL with its authority.
        headers: Names in lower case, and values.

    Raises:
        ValueError: The target is not ASCII, or no URL.
    """
    path = target.partition(b"?")[0]
    if not path.startswith(b"/") and method != b"CONNECT":
        path = httptools.parse_url(target).path or b"/"
    found: dict[str, str] = {}
    for raw, value in headers:
        name, text = raw.decode("latin-1"), value.decode("latin-1")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return HttpRequest(method.decode("ascii"), path.decode("ascii"), found)


def check_head(request: HttpRequest, version: str, max_body: int) -> HttpResponse | None:
    """Return why a request is refused by its head alone; None: it is not.

    Args:
        request: Without its body.
        version: Of HTTP.
        max_body: Bytes of a body, at most.
    """
    headers = request.headers
    if version not in ("1.1", "1.0"):
        return error_response(505, f"HTTP/{version} is not supported, only HTTP/1.1 and 1.0")
    if request.method == "CONNECT":
        return error_response(501, "CONNECT is not supported: this server is no proxy")
    host = headers.get("host")
    if host is None and version == "1.1":
        return error_response(400, "a request of HTTP/1.1 has a Host header (RFC 9112, 3.2)")
    if host and not _HOST.fullmatch(host):
        return error_response(400, "a request has one Host header with one host (RFC 9112, 3.2)")
    if "transfer-encoding" in headers and version == "1.0":
        return error_response(400, "HTTP/1.0 has no Transfer-Encoding (RFC 9112, 6.1)")
    length = int(headers.get("content-length", "0"))
    return too_large(length, max_body) if length > max_body else None


def malformed(error: Exception) -> HttpResponse:
    """Return the refusal of what the parser cannot read, or has no memory for."""
    if isinstance(error.__context__, MemoryError):
        return error_response(503, "out of memory: the request has no room here")
    why = error.__context__ or error
    return error_response(400, f"this is no HTTP/1.1 request: {why}")


def too_large(size: int, most: int) -> HttpResponse:
    """Return the refusal of a body that is larger than the server takes."""
    return error_response(413, f"the body has {size:,} bytes or more, and {most:,} are taken")


def too_long(head: int, body: int, headers: int) -> str:
    """Return what is wrong with a head that has not ended, or the framing of a body; or nothing.

    Args:
        head: Bytes that came, without those of the body.
        body: Bytes of the body.
        headers: Number of headers.
    """
    if headers > HEADERS:
        return f"the headers are more than {HEADERS}"
    if head > HEAD + FRAMING * body:
        return f"the headers are larger than {HEAD} bytes"
    return ""


def without_upgrade(method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the head of a request as sent, without its offer to speak another protocol.

    A server may ignore the offer (RFC 9110, 7.8), and the body is of HTTP/1.1 then.
    """
    lines = [name + b": " + value for name, value in headers if name not in _UPGRADE]
    return b"\r\n".join([method.encode() + b" " + target + b" HTTP/1.1", *lines, b"", b""])
