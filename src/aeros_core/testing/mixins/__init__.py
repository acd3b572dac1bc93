"""Parts of the contract tests that are too long for one module.

`RepositoryTests` inherits `repository_models` and `repository_runs`; `CollectorTests` inherits
`collector_state`. Begin with the contract that inherits them.

A contract of its own does not belong here; it is a module of `aeros_core.testing`.
"""
