"""Aggregation rules, each the collector of a published method.

Begin with `fedavg`. `adaptive`, `control_variates` and `asynchronous` change the server's step;
`robust`, `krum`, `geometric_median` and `centred_clip` bear with wrong updates.

Arithmetic over vectors does not belong here, see `aeros_aggregators.reduction`.
"""
