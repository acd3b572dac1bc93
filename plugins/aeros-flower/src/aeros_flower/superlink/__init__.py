"""SuperLinks: embedded, as a process of Flower's, or on another machine.

Begin with `endpoint`, which opens the one that the options name. `embedded` runs in this process,
`subprocess_superlink` starts ``flower-superlink``, `remote` joins one elsewhere; `grid` and
`grid_bridge` carry messages.

Choosing executors does not belong here, see `aeros_flower.membership`.
"""
