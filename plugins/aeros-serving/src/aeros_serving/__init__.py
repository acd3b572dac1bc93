"""Models behind the Open Inference Protocol v2; the command ``aeros serve``.

Importing this module imports no server; see `aeros_serving.config` for the options.
"""

__all__: list[str] = []
