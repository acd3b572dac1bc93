"""Certificates and keys, and the checks of a server before it is trusted.

Begin with `certificates`, the development CA, and `keys`, the keys of nodes. `probe` examines a
server and explains in words what is wrong with it.

What a site allows does not belong here, see `aeros_flower.site`.
"""
