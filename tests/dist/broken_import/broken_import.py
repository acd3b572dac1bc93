"""Needs a library of the system that is not there."""

raise ImportError("libcuda.so.1: cannot open shared object file")
