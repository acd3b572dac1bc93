"""The registration and event hooks of aeros, one module a kind.

`aeros_core.hookspecs` has all of them together. Begin with `option_hooks`, then `extension_hooks`;
`extensions` are the records that they return, `event_hooks` what callbacks hear.

Calling hooks does not belong here, see `aeros_core.plugins`.
"""
