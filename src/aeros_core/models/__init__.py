"""Stored models: file formats, references and retention.

Begin with `references`, which resolves ``NAME:VERSION`` or ``NAME:TAG``. `formats` finds the file
formats that plugins offer, `safetensors` is the core's own, and `retention` says which versions
may be removed.

Predicting with a model does not belong here, see `aeros_core.inference`; storage is a plugin.
"""
