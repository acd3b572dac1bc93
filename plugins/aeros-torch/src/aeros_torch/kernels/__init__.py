"""numba and LLVM kernels of single layers: forward, backward, step.

Begin with `dense_layer`; `jit` says how kernels are compiled, `gemm_panels` and `gemm_tiles` emit
the innermost loops.

Whole networks do not belong here, see `aeros_torch.engines.compiled`.
"""
