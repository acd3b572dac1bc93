"""Predictions with torch modules.

Begin with `inferencer`. `int8` quantises dense layers, `torch_compile` compiles a module, and
`integrated_gradients` explains a prediction.

Evaluation during training does not belong here, see `aeros_torch.training.evaluation`.
"""
