"""One client's update: its state, its limits and its validation.

Begin with `validation`, which checks layout, dtypes, finite values and norm of an update.
`client_state` is the client's side: personal tensors, codec residuals, differences.

Aggregation does not belong here; it is the collector's, a role that plugins implement.
"""
