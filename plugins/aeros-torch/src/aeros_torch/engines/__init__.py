"""Training engines: one client after the other, or many at once.

Begin with `selection`, which chooses an engine, and `sequential`, the plainest of them. The sub-
packages hold the others: `compiled` (kernels), `processes` (worker processes) and `vectorised`
(stacked weights).

Optimizers, losses and data do not belong here, see `aeros_torch.training` and
`aeros_torch.modules`.
"""
