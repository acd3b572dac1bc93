"""What the fields of data mean: how schemas, columns and categories are matched.

Sources of several nodes are brought to one schema by name. Begin with `alignment`; `categories`
holds the names of categories and their codes.

The schema itself does not belong here, see `aeros_core.schema`; neither does loading, see
`aeros_core.preprocessing`.
"""
