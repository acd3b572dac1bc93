"""The inferencer that asks a server of the Open Inference Protocol.

Begin with `inferencer`: tries, hedges and the circuit breaker. `http_client` holds connections,
`tensors` writes and reads bodies.

The server's side does not belong here; it is the plugin aeros-serving.
"""
