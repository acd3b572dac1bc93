"""The guard in front of `grpc.aio`: it has the public port, and closes connections that flood.

Begin with `listener`; `relay` passes bytes on, `turns` shares the event loop, `frames` reads the
headers of frames.

What calls ask for does not belong here, see `aeros_serving.grpc.handlers`.
"""
