"""Partitioners: which rows of a table each client of a simulation holds.

Begin with `iid`, then `dirichlet`; `allocation` turns the owner of each row into partitions.

Holding out test rows does not belong here, see `aeros_transforms.sources.holdout`.
"""
