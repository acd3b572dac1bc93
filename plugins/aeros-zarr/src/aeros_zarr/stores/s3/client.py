"""An S3 endpoint: how it is reached, and what its refusals mean to a person."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from aeros_core.errors import ConfigError
from aeros_zarr.stores.errors import Refused

if TYPE_CHECKING:
    from obstore.store import S3Config

__all__ = ["address", "asked", "connect"]

_LONGEST = timedelta(minutes=5)

_UNSENT = "error sending request"
"""The library's words for whatever keeps a request from being answered."""

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_OTHERS = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_DENIED = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AccessDenied",
    "403 Forbidden",
    "401 Unauthorized",
)


def connect(
    *, endpoint: str, bucket: str, prefix: str, region: str, path_style: bool, retries: int,
    timeout: float,
) -> S3Store:  # fmt: skip
    """Return a bucket; nothing is sent yet.

    Args:
        endpoint: Its URL; empty for AWS.
        bucket: Name of the bucket.
        prefix: Below which key everything lies.
        region: As the endpoint wants it signed.
        path_style: ``endpoint/bucket/key`` rather than ``bucket.endpoint/key``.
        retries: How often a request is repeated, with growing pauses.
        timeout: Seconds for one request.

    Raises:
        ConfigError: An option cannot be, or the environment holds no credentials.
    """
    _check(endpoint, bucket, retries, timeout)
    _check_prefix(prefix.strip("/"))
    _check_credentials()
    seconds = timedelta(seconds=timeout)
    return S3Store(
        bucket,
        prefix=prefix.strip("/") or None,
        config=_config(endpoint, region, path_style),
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "timeout": seconds,
            "connect_timeout": min(seconds, timedelta(seconds=5)),
        },
        retry_config={
            "max_retries": retries,
            "backoff": {
                "init_backoff": timedelta(seconds=0.1),
                "max_backoff": timedelta(seconds=5),
                "base": 2,
            },
            "retry_timeout": min((retries + 1) * (seconds + timedelta(seconds=5)), _LONGEST),
        },
    )


def address(endpoint: str, bucket: str, region: str, *, path_style: bool) -> str:
    """Return the URL of a bucket, below which its keys lie."""
    if endpoint:
        return f"{endpoint.rstrip('/')}/{bucket}" if path_style else endpoint.rstrip("/")
    host = f"s3.{region}.amazonaws.com"
    return f"https://{host}/{bucket}" if path_style else f"https://{bucket}.{host}"


def _config(endpoint: str, region: str, path_style: bool) -> S3Config:
    config: S3Config = {"region": region, "virtual_hosted_style_request": not path_style}
    if endpoint:
        config["endpoint"] = endpoint.rstrip("/")
    return config


def _check(endpoint: str, bucket: str, retries: int, timeout: float) -> None:
    _check_endpoint(endpoint)
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        raise ConfigError(
            f"repository.bucket={bucket} cannot be the name of a bucket",
            exists="3 to 63 small letters, digits, '.' and '-'",
            hint="repository.bucket=<a bucket that exists>",
        )
    if retries < 0 or timeout <= 0:
        raise ConfigError(
            f"repository.retries={retries} repository.timeout={timeout} is not possible",
            exists="at least 0 retries, and more than 0 seconds",
        )


def _check_endpoint(endpoint: str) -> None:
    """Refuse what is no address, and one with credentials, which messages do not repeat."""
    bare = _bare(endpoint)
    if bare != endpoint:
        raise ConfigError(
            "repository.endpoint has credentials, or a query that may hold them: it is kept in"
            " configuration files and repeated in messages",
            exists=f"the environment alone: {', '.join(_KEYS)}, AWS_SESSION_TOKEN",
            hint=f"export {_KEYS[0]}=… {_KEYS[1]}=…, then repository.endpoint={bare}",
        )
    if not re.fullmatch(r"(https?://[^/\s]+/?)?", endpoint):
        raise ConfigError(
            f"repository.endpoint={endpoint} is no address of an S3 endpoint",
            hint="for instance repository.endpoint=https://minio.example.org:9000; empty for AWS",
        )


def _bare(endpoint: str) -> str:
    """Return an address without user, password, query and fragment, wherever they stand."""
    scheme, sign, rest = endpoint.rpartition("://")
    host = re.split(r"[?#]", rest.rpartition("@")[2])[0]
    return f"{scheme.rpartition('@')[2] or 'https'}://{host}" if sign or host != rest else endpoint


def _check_prefix(prefix: str) -> None:
    words = prefix.split("/") if prefix else []
    if any(word in ("", ".", "..") or not word.isprintable() for word in words):
        raise ConfigError(
            f"repository.prefix={prefix} cannot begin a key",
            exists="words with '/' between them, none of them '.' or '..'",
            hint="for instance repository.prefix=team/models; empty for the whole bucket",
        )


def _check_credentials() -> None:
    if not all(map(os.environ.get, _KEYS)) and not any(map(os.environ.get, _OTHERS)):
        raise ConfigError(
            "repository=s3 finds no credentials in the environment",
            exists=f"{' and '.join(_KEYS)} (AWS_SESSION_TOKEN too, if there is one), or"
            " the variables that AWS sets in its containers",
            hint=f"export {_KEYS[0]}=… {_KEYS[1]}=…",
        )


@contextmanager
def asked(place: str, let: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn what obstore raises into OSError: FileNotFoundError, or `Refused` in words.

    Args:
        place: The address of the bucket, for messages.
        let: Errors that pass as they are.

    Raises:
        OSError: The endpoint refuses, does not answer, or has nothing at that key.
    """
    try:
        yield
    except let:
        raise
    except (BaseError, OSError) as error:
        text, _, source = str(error).partition("\n\nDebug source")
        if "NoSuchBucket" in text:
            raise Refused(
                errno.ENOENT, f"the bucket of {place} does not exist",
                hint="make it, or repository.bucket=<one that exists>",
            ) from error  # fmt: skip
        if isinstance(error, FileNotFoundError):
            raise
        if "RequestTimeTooSkewed" in text:
            raise Refused(
                errno.EACCES, "the clock of this machine is too far from the endpoint's",
                hint="set the clock (it is signed into each request), then try again",
            ) from error  # fmt: skip
        denied = isinstance(error, PermissionDeniedError | UnauthenticatedError)
        if denied or any(code in text for code in _DENIED):
            raise Refused(
                errno.EACCES, f"the endpoint refuses these credentials: {_reason(text)}",
                hint=f"look after {_KEYS[0]}, {_KEYS[1]} and what they may do",
            ) from error  # fmt: skip
        raise Refused(
            errno.EIO, f"the endpoint failed: {_reason(text, source)}",
            hint="look after repository.endpoint and try again; a run goes on with"
            " task.resume=true",
        ) from error  # fmt: skip


def _reason(text: str, source: str = "") -> str:
    """Return what the endpoint said, or else the last words of the library."""
    said = [re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL) for tag in ("Code", "Message")]
    after = re.search(r"after (\d+) retries", text)
    words = ", ".join(match[1] for match in said if match)
    words = words or text.splitlines()[0].rpartition(" - ")[2].strip(": ")
    if words.endswith(_UNSENT):
        words = _unsent(text, source, words)
    again = "1 retry" if after and after[1] == "1" else f"{after[1]} retries" if after else ""
    return f"{words} (after {again})" if again else words


def _unsent(text: str, source: str, words: str) -> str:
    """Return which address did not answer, and why where the library's innermost error tells."""
    why = re.search(r'(?:message|error): "([^"]+)"', source)
    late = "no answer in time" if "kind: Timeout" in source else words
    address = re.search(r"https?://[^/\s]+", text)
    return f"{address[0] if address else 'its address'}: {why[1] if why else late}"
