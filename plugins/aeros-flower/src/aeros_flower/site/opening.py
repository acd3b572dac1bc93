"""Opens the site that an executor belongs to."""

from __future__ import annotations

from collections.abc import Callable

from aeros_flower.place import Place
from aeros_flower.site.policy import Policy, permissive, read
from aeros_flower.site.site import Site

__all__ = ["open_site", "policy_of"]


def policy_of(place: Place) -> Policy:
    """Return the policy by which an executor works.

    Raises:
        ConfigError: Its file cannot be used.
    """
    if place.same_user:
        return permissive()
    return Policy() if place.policy is None else read(place.policy)


def open_site(place: Place, tell: Callable[[str], None]) -> Site:
    """Return the site that an executor belongs to; nothing is written yet.

    Args:
        place: What the executor is.
        tell: Receives what the site's person is to read.

    Raises:
        ConfigError: The policy cannot be used.
    """
    return Site(policy_of(place), place.name, place.state, tell, place.address)
