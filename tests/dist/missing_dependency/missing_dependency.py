"""Needs a package that is not installed."""

import nowhere_installed.submodule  # noqa: F401
