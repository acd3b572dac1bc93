"""Content-addressed storage of arrays: each is stored under the digest of its content.

Begin with `blobs`, then `parameter_vectors`, which stores only changed pieces. `verified_files`
reads and repairs, `garbage_collection` removes blobs that no record names.

Runs and models do not belong here, see `aeros_zarr.archive`.
"""
