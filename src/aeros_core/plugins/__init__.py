"""Discovery of plugins, and the registry of the options they offer.

Begin with `discovery`, which imports installed plugins and records what is wrong with them, and
`registry`, which holds options by group and name. `builtin` is the core's own plugin;
`extension_lookup` finds commands, file formats and kinds of sub-tasks by name.

Building objects from a configuration does not belong here, see `aeros_core.config`.
"""
