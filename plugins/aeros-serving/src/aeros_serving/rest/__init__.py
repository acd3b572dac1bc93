"""The Open Inference Protocol v2 over REST.

Begin with `api`, which answers each path; `codec` reads and writes bodies, JSON and
binary. `openapi` and `prometheus` describe the server.

What both protocols share does not belong here, see `aeros_serving.protocol`.
"""
