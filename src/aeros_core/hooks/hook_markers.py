"""Markers of hooks: ``hookspec`` for specifications here, ``hookimpl`` for implementations."""

from __future__ import annotations

import pluggy

__all__ = ["hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("aeros")
hookimpl = pluggy.HookimplMarker("aeros")
"""Marks a function of a plugin, or a method of a callback, as an implementation."""
