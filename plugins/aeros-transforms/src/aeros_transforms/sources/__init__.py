"""Sources: the first of the transformers, which load data.

Begin with `table`. `series` and `encode` make fields of columns, `declared_fields` adds what a
task declares, `holdout` splits off test rows.

Readers of one file format do not belong here, see `aeros_transforms.sources.formats`.
"""
