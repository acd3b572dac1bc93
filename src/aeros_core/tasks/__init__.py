"""An AI task: its options, its sub-tasks, and what they require of a machine.

Begin with `task`, the options of a training, and `subtask`. `identity` says which options
decide a run's result, so that a run goes on after an upgrade. `infrastructure` measures a machine
and checks requirements; `control` and `waiting` carry pause and cancel to whoever waits;
`round_counters` counts what a round accepted and refused.

The round loop does not belong here, see `aeros_core.federated`.
"""
