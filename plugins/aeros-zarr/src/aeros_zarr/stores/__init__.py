"""Places in which files and folders appear whole or not at all.

Begin with `store`, the Protocol, and `disk`; `aeros_zarr.stores.s3` is the other implementation.
`layout` says where records lie.

What files hold does not belong here, see `aeros_zarr.format`.
"""
