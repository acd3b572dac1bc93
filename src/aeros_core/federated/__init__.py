"""The rounds of federated learning, as the controller runs them.

Begin with `rounds`, the round loop: `selection` chooses clients and builds their instructions,
`synchronous` or `asynchronous` collects updates, the collector aggregates them, `evaluation` asks
nodes for metrics, `run_state` opens and resumes a run, and `completion` records how it ended.

Transport does not belong here: how an instruction reaches a node is the business of a controller,
see `aeros_core.controllers` and the plugin aeros-flower.
"""
