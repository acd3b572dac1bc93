"""aeros-transforms: data sources, partitioners and preprocessing steps.

This module is light: it says what exists, and the classes behind it are imported when the
configuration chooses one. The packages of options go by names of their own here, as importing
`aeros_transforms.sources` sets an attribute ``sources`` of this module. Begin with
`aeros_transforms.sources.table` and `aeros_transforms.steps.scaling.standardise`.

Folding them into a pipeline does not belong here, see `aeros_core.preprocessing.pipeline`.
"""

from collections.abc import Mapping
from typing import Any

from aeros_core import hookimpl
from aeros_transforms.config import partitioners as partitioning
from aeros_transforms.config import sources as loading
from aeros_transforms.config import steps as mapping

__all__ = ["aeros_transformers"]


@hookimpl
def aeros_transformers() -> Mapping[str, type[Any]]:
    """Offer the sources, partitioners and steps of this package."""
    return {
        "digits": loading.Digits,
        "breast_cancer": loading.BreastCancer,
        "iris": loading.Iris,
        "wine": loading.Wine,
        "diabetes": loading.Diabetes,
        "mnist": loading.Mnist,
        "fashion_mnist": loading.FashionMnist,
        "table": loading.Table,
        "npz": loading.Npz,
        "text": loading.Text,
        "iid": partitioning.Iid,
        "dirichlet": partitioning.Dirichlet,
        "shards": partitioning.Shards,
        "by_group": partitioning.ByGroup,
        "quantity": partitioning.Quantity,
        "standardise": mapping.Standardise,
        "min_max": mapping.MinMax,
        "one_hot": mapping.OneHot,
        "reshape": mapping.Reshape,
        "flatten": mapping.Flatten,
        "stack": mapping.Stack,
        "window": mapping.Window,
        "select": mapping.Select,
        "drop": mapping.Drop,
        "clip": mapping.Clip,
    }
