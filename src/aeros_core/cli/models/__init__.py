"""The commands ``aeros models``.

Begin with `commands`, which lists, shows and tags models and holds the parser of the others:
`files`, `garbage_collection` and `verify`.

Logic does not belong here, see `aeros_core.models`.
"""
