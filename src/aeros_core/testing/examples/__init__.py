"""Example records, parameters and updates for contract tests.

Begin with `records`. `updates` draws random parameters and updates; `fuzzing` has hypothesis
strategies that damage JSON and files.

Assertions do not belong here; they are in the contract tests themselves.
"""
