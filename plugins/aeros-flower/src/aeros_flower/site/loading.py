"""Opens the site that an executor belongs to."""

from __future__ import annotations

from collections.abc import Callable

from aeros_core.files.data_files import ANYWHERE, NOWHERE, FileAccess, below
from aeros_flower.protocol.executor_info import ExecutorInfo
from aeros_flower.site.policy.policy import Policy, permissive, read
from aeros_flower.site.site import Site

__all__ = ["files_of", "open_site", "policy_of"]


def policy_of(place: ExecutorInfo) -> Policy:
    """Return the policy by which an executor works.

    Raises:
        ConfigError: Its file cannot be used.
    """
    if place.same_user:
        return permissive()
    return Policy() if place.policy is None else read(place.policy)


def files_of(place: ExecutorInfo, policy: Policy) -> FileAccess:
    """Return which files a task may name at a site.

    Raises:
        ConfigError: The data root is no folder of data.
    """
    root = place.data_root or policy.data_root
    if root is not None:
        return below(root)
    return ANYWHERE if policy.permissive else NOWHERE


def open_site(place: ExecutorInfo, tell: Callable[[str], None]) -> Site:
    """Return the site that an executor belongs to; nothing is written yet.

    Args:
        place: What the executor is.
        tell: Receives what the site's person is to read.

    Raises:
        ConfigError: The policy cannot be used, or the data root.
    """
    policy = policy_of(place)
    files_of(place, policy)
    return Site(policy, place.name, place.state, tell, place.address)
