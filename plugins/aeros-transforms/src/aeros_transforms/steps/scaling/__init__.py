"""Steps that scale values by statistics of the nodes' data.

Begin with `standardise`; `affine` is what it has in common with `min_max`, and `moments` are
mergeable counts, means and squared deviations.

Steps that fit nothing do not belong here, see `aeros_transforms.steps`.
"""
