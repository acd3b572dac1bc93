"""The address of a SuperLink as it is typed: ``HOST:PORT``."""

from __future__ import annotations

from aeros_core.errors import ConfigError

__all__ = ["split"]


def split(address: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``; an IPv6 address stands in brackets.

    Raises:
        ConfigError: It is no such thing.
    """
    host, _, port = address.rpartition(":")
    if (
        not host
        or not (port.isascii() and port.isdigit())
        or not 0 < int(port) < 65536
        or (":" in host) != ("[" in host)
        or not _is_name(host)
    ):
        raise ConfigError(
            f"'{address}' is no address of a SuperLink", hint="HOST:PORT, or [::1]:PORT"
        )
    return host.strip("[]"), int(port)


def _is_name(host: str) -> bool:
    """Tell whether a host could be looked up: labels of up to 63 letters, none of them empty."""
    try:
        return not any(letter.isspace() for letter in host) and bool(host.encode("idna"))
    except UnicodeError:
        return False
