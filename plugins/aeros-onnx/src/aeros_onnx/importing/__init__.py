"""Files from anywhere become models that can be served, or are refused with what to do.

Begin with `loading`; `external_data` reads what a file keeps beside it, `rewriting` changes what
cannot be served as it is, `signature` and `trial` look at what a graph takes and gives.

What is looked at again whenever a stored graph is loaded does not belong here, see
`aeros_onnx.validation`.
"""
