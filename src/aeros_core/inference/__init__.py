"""Predictions with a stored model: one service, or many nodes.

Begin with `service`: transformers, inferencer and inverse steps as one object. `federated` asks
nodes to predict on their own data, `worker` is the node's side of it, and `statistics` describes
predictions without their rows. `oip_tensors` are the tensors of the Open Inference Protocol, as
servers and clients share them.

A network server does not belong here; it is the plugin aeros-serving.
"""
