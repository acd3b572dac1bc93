"""Models in a store: versions, tags and their index.

Begin with `stored_models`; `versions` finds versions and tags, `version_index` lists many
versions with few reads.

Rules for removing versions do not belong here, see `aeros_zarr.archive.retention`.
"""
