"""The command ``aeros options``: every option of every group, with its fields.

`commands` has the command itself. `catalogue` lists what can be chosen, `fields` describes the
fields of one option, and `docstrings` reads both from the options' docstrings. Nothing here
imports an implementation, so no heavy library is loaded.
"""
