"""Controllers of the core: how instructions reach nodes.

Begin with `local`, which runs every node in this process. `execution` prepares and runs either a
training or a federated inference, for any controller.

Controllers that need a network do not belong here; they are plugins such as aeros-flower.
"""
