"""Connect to an S3 endpoint, and translate its errors into advice."""

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
"""The library's message for any request without a response."""

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
    """Return a client of a bucket; nothing is sent yet.

    Args:
        endpoint: URL of the endpoint; empty for AWS.
        bucket: Name of the bucket.
        prefix: Key prefix of the repository.
        region: Region used to sign requests.
        path_style: Address objects as ``endpoint/bucket/key``, not ``bucket.endpoint/key``.
        retries: Number of times a request is repeated, with growing pauses.
        timeout: Seconds for one request.

    Raises:
        ConfigError: An option is invalid, or the environment holds no credentials.
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
    """Return the base URL of a bucket's keys."""
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
            f"repository.bucket={bucket} is not a valid name of a bucket",
            exists="3 to 63 lower-case letters, digits, '.' and '-'",
            hint="repository.bucket=<an existing bucket>",
        )
    if retries < 0:
        raise ConfigError(f"repository.retries must be at least 0, got {retries}")
    if timeout <= 0:
        raise ConfigError(f"repository.timeout must be above 0 seconds, got {timeout}")


def _check_endpoint(endpoint: str) -> None:
    """Reject an invalid address, and one with credentials, which the message must not repeat."""
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
            f"repository.endpoint must be an http:// or https:// address, got {endpoint}",
            hint="for instance repository.endpoint=https://minio.example.org:9000; empty for AWS",
        )


def _bare(endpoint: str) -> str:
    """Return an address without user, password, query and fragment."""
    scheme, sign, rest = endpoint.rpartition("://")
    host = re.split(r"[?#]", rest.rpartition("@")[2])[0]
    return f"{scheme.rpartition('@')[2] or 'https'}://{host}" if sign or host != rest else endpoint


def _check_prefix(prefix: str) -> None:
    words = prefix.split("/") if prefix else []
    if any(word in ("", ".", "..") or not word.isprintable() for word in words):
        raise ConfigError(
            f"repository.prefix={prefix} is not a valid key prefix",
            exists="names separated by '/', none of them '.' or '..'",
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
    """Translate errors of obstore into OSError: FileNotFoundError, or `Refused` with advice.

    Args:
        place: The address of the bucket, for messages.
        let: Exceptions that are raised unchanged.

    Raises:
        OSError: The endpoint rejects the request or does not respond, or the key is missing.
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
                hint="create it, or repository.bucket=<an existing bucket>",
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
                hint=f"check {_KEYS[0]}, {_KEYS[1]} and their permissions",
            ) from error  # fmt: skip
        raise Refused(
            errno.EIO, f"the endpoint failed: {_reason(text, source)}",
            hint="check repository.endpoint and try again; a run continues with"
            " task.resume=true",
        ) from error  # fmt: skip


def _reason(text: str, source: str = "") -> str:
    """Return the error code and message of the endpoint, or else the end of the library's."""
    found = [re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL) for tag in ("Code", "Message")]
    after = re.search(r"after (\d+) retries", text)
    words = ", ".join(match[1] for match in found if match)
    words = words or text.splitlines()[0].rpartition(" - ")[2].strip(": ")
    if words.endswith(_UNSENT):
        words = _unsent(text, source, words)
    again = "1 retry" if after and after[1] == "1" else f"{after[1]} retries" if after else ""
    return f"{words} (after {again})" if again else words


def _unsent(text: str, source: str, words: str) -> str:
    """Return the address that did not respond, and the library's innermost error as reason."""
    why = re.search(r'(?:message|error): "([^"]+)"', source)
    late = "no answer in time" if "kind: Timeout" in source else words
    address = re.search(r"https?://[^/\s]+", text)
    return f"{address[0] if address else 'its address'}: {why[1] if why else late}"
