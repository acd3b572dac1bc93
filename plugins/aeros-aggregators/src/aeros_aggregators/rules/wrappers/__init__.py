"""Rules that wrap another rule.

Begin with `wrapper`, the base; `parameter_averaging` averages over rounds, `tree` aggregates in
groups.

Rules that stand alone do not belong here, see `aeros_aggregators.rules`.
"""
