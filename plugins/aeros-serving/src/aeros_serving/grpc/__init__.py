"""The Open Inference Protocol v2 over gRPC.

Begin with `service`, which answers each method; `codec` reads and writes messages.

What both protocols share does not belong here, see `aeros_serving.protocol`.
"""
