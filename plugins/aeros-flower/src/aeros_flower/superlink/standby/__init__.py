"""The SuperLink of ``aeros up``, which stays between runs.

Begin with `server`, the process that stays; `client` is a run's connection to it.

Starting and stopping it does not belong here, see `aeros_flower.cluster`.
"""
