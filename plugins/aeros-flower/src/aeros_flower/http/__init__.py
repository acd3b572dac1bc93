"""The HTTP side of a SuperLink: server, access control, long polling.

Begin with `server`, an ASGI application served on a port, and `access_control`, which decides who
may reach which path.

What requests carry does not belong here, see `aeros_flower.protocol`.
"""
