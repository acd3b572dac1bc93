"""Addresses in what is typed: none may hold a user's name, a password or a token.

What is typed ends in the configuration of the run, which Hydra and the repository keep, and in
messages. So this is looked at before anything is composed or written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from aeros_core.errors import ConfigError

__all__ = ["refuse_credentials"]

_CREDENTIALS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/\s?#'\",\]}]*@")
_SIGNED = re.compile(
    r"(://[^\s?#]*)\?[^\s]*(X-Amz-[A-Za-z-]+|Signature|AWSAccessKeyId|sig|token|password)=[^\s]*",
    re.IGNORECASE,
)


def refuse_credentials(words: Sequence[str]) -> None:
    """Refuse overrides in whose addresses there are credentials, which messages do not repeat.

    Raises:
        ConfigError: One has ``scheme://user:password@host``, or a signed query.
    """
    for word in words:
        if _CREDENTIALS.search(word) or _SIGNED.search(word):
            option, _, value = word.partition("=")
            bare = _SIGNED.sub(r"\1", _CREDENTIALS.sub(r"\1", value))
            raise ConfigError(
                f"{option}: the address has credentials, which configuration files"
                " would keep and messages repeat",
                exists="the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                hint=f"{option}={bare}",
            )
