"""Options as a configuration names them: choices, and what is declared of a field.

Begin with `choices`: a part is named by role and option, never by an import path. `metadata` is
what a plugin's dataclass declares of a field, such as that it names a file.

Which options decide a run's result does not belong here, see `aeros_core.tasks.identity`, nor do
the options that plugins offer, see `aeros_core.plugins.registry`.
"""
