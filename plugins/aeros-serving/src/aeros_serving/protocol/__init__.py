"""The Open Inference Protocol as data: tensors, input schemas, errors.

Begin with `tensors`, between the protocol's tensors and numpy's arrays, and `input_schema`, which
validates a request against the model's schema.

Encodings of one protocol do not belong here, see `aeros_serving.rest` and `aeros_serving.grpc`.
"""
