"""Wheels as strangers may have made them, and what is signed of them.

Begin with `wheel`, which inspects one without running it, and `signed_statement`. `requirements`
and `name_conflicts` say what refuses one, `unpacked` knows its files again.

Trust does not belong here, see `aeros_algorithms.keys`.
"""
