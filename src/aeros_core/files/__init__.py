"""Files: read safely and within bounds whoever wrote them, and written whole.

Opening without following links, limits on decompression, strict JSON, numpy archives, the files
that options name, and writing a file whole or not at all. Begin with `safe_open`.

Configuration files do not belong here, see `aeros_core.config.loading`; neither do model file
formats, see `aeros_core.models`.
"""
