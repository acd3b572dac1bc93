"""numba functions over flat vectors, one module a family.

Arrays that a caller may have made read-only come as addresses with ``like``, an array of
their dtype: numba would compile every kernel twice over for read-only arguments.
``start`` and ``stop`` say which elements to work on; every kernel releases the GIL.
"""
