"""torch models in other forms: ONNX and state_dict files.

Begin with `onnx`, which builds a graph; `onnx_layers` has one function for each kind of layer.

Reading ONNX models does not belong here; it is the plugin aeros-onnx.
"""
