"""File formats of the repository: manifests, zarr arrays, the format marker.

Begin with `manifest`, the JSON file of a record, and `arrays`, the zarr v3 encoding.
`record_schemas` defines the fields of records.

Keys and locations do not belong here, see `aeros_zarr.stores`.
"""
