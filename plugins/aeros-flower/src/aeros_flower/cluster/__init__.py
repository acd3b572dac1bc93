"""A controller and executors on this machine: ``aeros up`` and ``aeros down``.

Begin with `local_cluster`; `folder` keeps what it wrote, and removes nothing else.

Parsing the command line does not belong here, see `aeros_flower.cli`.
"""
