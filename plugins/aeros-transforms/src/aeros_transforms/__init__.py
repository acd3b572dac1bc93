"""aeros-transforms: data sources, partitioners and preprocessing steps.

This module is light: it says what exists, and the classes behind it are imported when
the configuration chooses one.
"""

from collections.abc import Mapping
from typing import Any

from aeros_core import hookimpl
from aeros_transforms.config import partitioners, sources, steps

__all__ = ["aeros_transformers"]


@hookimpl
def aeros_transformers() -> Mapping[str, type[Any]]:
    """Offer the sources, partitioners and steps of this package."""
    return {
        "digits": sources.Digits,
        "breast_cancer": sources.BreastCancer,
        "iris": sources.Iris,
        "wine": sources.Wine,
        "diabetes": sources.Diabetes,
        "mnist": sources.Mnist,
        "fashion_mnist": sources.FashionMnist,
        "table": sources.Table,
        "npz": sources.Npz,
        "text": sources.Text,
        "iid": partitioners.Iid,
        "dirichlet": partitioners.Dirichlet,
        "shards": partitioners.Shards,
        "by_group": partitioners.ByGroup,
        "quantity": partitioners.Quantity,
        "standardise": steps.Standardise,
        "min_max": steps.MinMax,
        "one_hot": steps.OneHot,
        "reshape": steps.Reshape,
        "flatten": steps.Flatten,
        "stack": steps.Stack,
        "window": steps.Window,
        "select": steps.Select,
        "drop": steps.Drop,
        "clip": steps.Clip,
    }
