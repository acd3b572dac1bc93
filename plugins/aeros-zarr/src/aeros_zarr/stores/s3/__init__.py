"""A bucket of any S3 endpoint as a store.

Begin with `bucket`. `client` connects to the endpoint and translates its errors, `create_once`
and `retries` compensate for missing features of endpoints, `cache` stores downloads.

Records do not belong here, see `aeros_zarr.archive`.
"""
