"""The engine that trains many clients at once on stacked weights.

Begin with `engine`; `packing` decides which clients step together, `step` takes one step of all of
them, `memory` says how many fit.

Code for a single client does not belong here, see `aeros_torch.engines.sequential`.
"""
