"""Fails on import, and not with ImportError."""

raise OSError("libgomp.so.1: cannot open shared object file")
