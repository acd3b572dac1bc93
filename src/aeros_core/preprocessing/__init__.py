"""From a source of data to the partitions that clients train on.

Begin with `pipeline`, which loads, fits and applies the transformers of a task. `source_data` is
what a source returned before the first step; `row_files` reads raw rows for comparison.

Sources, partitioners and steps do not belong here; they live in the plugin aeros-transforms.
"""
