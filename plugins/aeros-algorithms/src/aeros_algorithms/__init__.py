"""Algorithms as signed wheels; the command ``aeros algorithms``.

It offers no option of its own: what it installs for a task does.
"""

__all__: list[str] = []
