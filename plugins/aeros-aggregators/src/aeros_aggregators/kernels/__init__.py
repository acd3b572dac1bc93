"""numba functions over flat vectors, one module a family.

Arrays that a caller may have made read-only come as addresses with ``like``, an array of their
dtype: numba would compile every kernel twice over for read-only arguments. ``start`` and ``stop``
say which elements to work on; every kernel releases the GIL. Begin with `mean`; `numpy_kernels`
does the same in numpy, for vectors too short to load numba for.

Choosing between a kernel, numpy and a device does not belong here, see
`aeros_aggregators.reduction`.
"""
