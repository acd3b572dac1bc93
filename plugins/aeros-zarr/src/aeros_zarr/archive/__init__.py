"""Runs, models and algorithms in any store.

Begin with `repository`, the implementation of the role, and `records`, which converts objects
to manifests and back. `maintenance` verifies, repairs and collects garbage.

Arrays and their bytes do not belong here, see `aeros_zarr.blobs` and `aeros_zarr.format`.
"""
