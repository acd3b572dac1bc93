"""From a Hydra configuration to the objects of a task.

Begin with `store`, which lays the options of plugins before Hydra, and `build`, which makes the
components of a task; `instantiate` makes one of them. `lockfile` and `task_algorithms` install the
algorithms that a task locks.

Reading and checking configuration files does not belong here, see `aeros_core.config.loading`;
neither do the options of plugins, which declare them themselves.
"""
