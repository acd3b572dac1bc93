"""From the updates of a round to one vector, by the fastest way there is.

Begin with `weighted_sum`, which adds updates as they arrive, and `update_matrix`, for rules that
need all at once. `order_statistics` and `distances` serve robust rules, `server_steps` ends a
round.

Rules do not belong here, see `aeros_aggregators.rules`.
"""
