"""Codecs that compress updates: fewer bits, or fewer numbers.

Begin with `quantised`, then `sparse`.

Adding compressed updates up does not belong here, see `aeros_aggregators.reduction.rows`.
"""
