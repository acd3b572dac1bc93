"""Numeric rules that the core and its plugins share.

Which dtypes a federated model may hold, how parts of counts are taken exactly, what every
aggregation rule needs to get right, and how kernels are compiled and cached. Begin with `dtypes`.

Aggregation rules and their kernels do not belong here; they live in the plugin aeros-aggregators.
"""
