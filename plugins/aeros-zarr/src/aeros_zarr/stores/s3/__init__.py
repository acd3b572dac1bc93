"""A bucket of any S3 endpoint as a store.

Begin with `bucket`. `client` reaches the endpoint and explains its refusals, `create_once` and
`retries` make up for what endpoints leave out, `cache` keeps downloads.

The repository's rules do not belong here, see `aeros_zarr.archive`.
"""
