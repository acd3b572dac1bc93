"""List a bucket that has keys which are not paths, such as ``models//a`` or ``x/../y``.

The library rejects a whole page of keys because of one of them. In that case the page is requested
directly (ListObjectsV2, signature version 4), and such keys are skipped.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote_plus, urlsplit

__all__ = ["Listed", "ListedObjects", "is_path"]

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_EMPTY = hashlib.sha256(b"").hexdigest()
_ENTRY = re.compile(r"<Contents>(.*?)</Contents>", re.DOTALL)
_FOLDER = re.compile(r"<CommonPrefixes>\s*<Prefix>(.*?)</Prefix>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Listed:
    """One object, or a folder: a common prefix of several keys up to a ``/``.

    Args:
        key: Key without the prefix of the repository.
        written: Time of the last write, in seconds since the epoch; 0 for a folder.
        nbytes: Size in bytes; 0 for a folder.
        is_folder: True for a common prefix.
    """

    key: str
    written: float = 0.0
    nbytes: int = 0
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class ListedObjects:
    """Client that lists keys of any form.

    Args:
        address: URL of the bucket.
        prefix: Key prefix of the repository; empty for the whole bucket.
        region: Region used to sign requests.
        retries: Number of times a request is repeated.
        timeout: Seconds for one request.
    """

    address: str
    prefix: str
    region: str
    retries: int
    timeout: float

    @staticmethod
    def can_sign() -> bool:
        """Return whether the environment holds the keys to sign a request."""
        return all(map(os.environ.get, _KEYS[:2]))

    def below(self, key: str, *, deep: bool) -> Iterator[Listed]:
        """Yield the objects below a key.

        Args:
            key: Key without the prefix of the repository.
            deep: Yield all objects, rather than objects and folders of one level.

        Raises:
            OSError: The endpoint rejects the request or does not respond.
        """
        base = f"{self.prefix}/" if self.prefix else ""
        query = {
            "encoding-type": "url",
            "list-type": "2",
            "prefix": f"{base}{key}/" if key else base,
        }
        query |= {} if deep else {"delimiter": "/"}
        while True:
            page = self._page(query)
            decode = unquote_plus if "<EncodingType>url<" in page else html.unescape
            for entry in _ENTRY.findall(page):
                at = datetime.fromisoformat(_value(entry, "LastModified")).timestamp()
                name = decode(_value(entry, "Key")).removeprefix(base)
                yield Listed(name, at, int(_value(entry, "Size")))
            for prefix in _FOLDER.findall(page):
                yield Listed(decode(prefix).removeprefix(base), is_folder=True)
            if _value(page, "IsTruncated") != "true":
                return
            query["continuation-token"] = html.unescape(_value(page, "NextContinuationToken"))

    def _page(self, query: dict[str, str]) -> str:
        for attempt in range(self.retries + 1):
            try:
                request = self._signed(query)
                with urllib.request.urlopen(request, timeout=self.timeout) as answer:  # noqa: S310
                    return str(answer.read().decode())
            except OSError as error:
                refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
                if refused or attempt == self.retries:
                    raise
            time.sleep(min(0.1 * 2**attempt, 5.0))
        raise AssertionError("there is at least one attempt")

    def _signed(self, query: dict[str, str]) -> urllib.request.Request:
        access, secret, token = (os.environ.get(name, "") for name in _KEYS)
        address, now = urlsplit(self.address), datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        headers = {"host": address.netloc, "x-amz-content-sha256": _EMPTY, "x-amz-date": now}
        headers |= {"x-amz-security-token": token} if token else {}
        asked = "&".join(
            f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(query.items())
        )
        names = ";".join(sorted(headers))
        lines = [f"{name}:{headers[name]}\n" for name in sorted(headers)]
        request = ["GET", quote(address.path) or "/", asked, "".join(lines), names, _EMPTY]
        scope = f"{now[:8]}/{self.region}/s3/aws4_request"
        digest = hashlib.sha256("\n".join(request).encode()).hexdigest()
        signature = _signature(secret, scope, f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}")
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names},"
            f" Signature={signature}"
        )
        return urllib.request.Request(f"{self.address}?{asked}", headers=headers)  # noqa: S310 - checked


def is_path(key: str) -> bool:
    """Return whether a key consists of valid names separated by ``/``."""
    names = key.removesuffix("/").split("/")
    return all(name not in ("", ".", "..") and name.isprintable() for name in names)


def _value(text: str, tag: str) -> str:
    found = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    return found[1] if found else ""


def _signature(secret: str, scope: str, text: str) -> str:
    key = f"AWS4{secret}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()
