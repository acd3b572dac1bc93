"""Arrays under the digest of what they hold, shared by whatever names them.

Begin with `blobs`, then `parameter_vectors`, which stores only what changed. `verified_files`
reads and heals, `garbage_collection` removes what nothing names.

Runs and models do not belong here, see `aeros_zarr.archive`.
"""
