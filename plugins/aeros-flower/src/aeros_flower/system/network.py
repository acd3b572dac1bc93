"""What both sides need before anything heavy is imported."""

from __future__ import annotations

import sys
from ipaddress import ip_address

__all__ = ["PORT", "READY", "is_everywhere", "is_loopback", "say"]

PORT = 9292
"""Where a controller listens unless something else is said."""

READY = "stands by"
"""What a controller says that waits for runs."""


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine alone."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_everywhere(host: str) -> bool:
    """Tell whether who listens there listens on all addresses of the machine."""
    try:
        return ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False


def say(text: str) -> None:
    """Tell a person what happens, beside what a command prints."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
