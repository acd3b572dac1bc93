"""Models in a store: versions, tags and their index.

Begin with `stored_models`; `versions` finds versions and tags, `version_index` lists many with few
reads.

Which versions may go does not belong here, see `aeros_zarr.archive.retention`.
"""
