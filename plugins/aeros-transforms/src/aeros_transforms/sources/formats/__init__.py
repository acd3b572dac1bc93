"""Readers of file formats: separated text, Parquet, idx, plays.

Begin with `frame`, which reads tables into pandas; `parquet` and `thrift` look at a file before
pyarrow does.

Meaning does not belong here: columns become fields in `aeros_transforms.sources`.
"""
