"""The controller that drives a task's rounds over Flower.

Begin with `controller` and `nodes`, the round loop's view of the executors. `schema_agreement`
agrees on the data's schema before the first round; `simulation` runs a task on Flower's simulation
engine.

Connections and message formats do not belong here, see `aeros_flower.superlink` and
`aeros_flower.protocol`.
"""
