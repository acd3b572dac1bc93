"""The bytes of the repository: manifests, zarr arrays, the format's marker.

Begin with `manifest`, the JSON that makes a record visible, and `arrays`, the zarr v3 form.
`record_schemas` validates what was read.

Places do not belong here, see `aeros_zarr.stores`.
"""
