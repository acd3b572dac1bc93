"""The command ``aeros options``: every option of every group, with its fields.

Begin with `commands`, which prints what the others find: `catalogue` lists what can be chosen,
`fields` describes the fields of one option, and `docstrings` reads the texts.

Knowledge of a particular option does not belong here: everything is read from its dataclass. No
implementation is imported to list options, so no heavy library is loaded.
"""
