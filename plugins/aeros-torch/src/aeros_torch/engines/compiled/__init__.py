"""The engine that trains small networks with compiled kernels.

Begin with `engine`; `architecture` recognises the networks it can train and `kernel_set` chooses
their kernels. `mlp`, `convnet` and `lstm` hold the training loops.

Kernels of a single layer do not belong here, see `aeros_torch.kernels`.
"""
