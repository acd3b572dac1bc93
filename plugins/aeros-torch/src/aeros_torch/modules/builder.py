"""What a module wants of the data, and the module that fits them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from aeros_core.errors import AerosError, ConfigError
from aeros_core.parameters import Parameters
from aeros_core.records import Module
from aeros_core.schema import Field, Schema
from aeros_torch.modules.device import reproducible
from aeros_torch.modules.early_exit import EarlyExit
from aeros_torch.modules.flat_module import FlatModule
from aeros_torch.modules.skip_init import skip_init

__all__ = ["build", "input_schema", "outputs", "target_of"]

_ANY_FEATURE = Field("features", "float32", (None,))


def input_schema(schema: Schema, model: Module) -> Schema:
    """Return the schema that a model wants: one field of features, and the target.

    A module's class may say what it makes of a field with a static method
    ``expects(field: Field) -> Field``. One that does not takes float32 of any shape,
    and codes too if its constructor takes ``categories``.

    Raises:
        ConfigError: The data have no target.
    """
    target = target_of(schema)
    wanted = replace(target, range=None, unit=None)
    if target.categories is not None:
        wanted = replace(wanted, dtype="int64", shape=())
    elif not _is_number(target.dtype):
        wanted = replace(wanted, dtype="float32")
    if len(target.shape) > 1:
        wanted = replace(wanted, shape=(None,))
    if len(schema.features) != 1:
        return Schema((_ANY_FEATURE, wanted), target.name)
    field = schema.features[0]
    return Schema((_wish(model)(field), wanted), target.name)


def target_of(schema: Schema) -> Field:
    """Return the field to predict.

    Raises:
        ConfigError: There is none.
    """
    if schema.target is None:
        raise ConfigError(
            "the data have no target, so there is nothing to train",
            exists=", ".join(schema.names) or "no field at all",
            hint="name the column to predict where the data is loaded",
        )
    return schema[schema.target]


def outputs(target: Field) -> int:
    """Return how many values a module gives for one example: classes, or numbers."""
    if target.categories is not None:
        return len(target.categories)
    return int(target.shape[0] or 1) if target.shape else 1


def _is_number(dtype: str) -> bool:
    return dtype.rstrip("0123456789") in ("float", "int", "uint") or dtype == "bool"


def _wish(model: Module) -> Callable[[Field], Field]:
    cls = model.func if isinstance(model, functools.partial) else model
    if isinstance(model, functools.partial) and cls is EarlyExit:
        return _wish(model.keywords["trunk"])
    own: Callable[[Field], Field] | None = getattr(cls, "expects", None)
    return own or functools.partial(_anything, takes_codes=_takes_categories(model))


def _anything(field: Field, *, takes_codes: bool) -> Field:
    codes = takes_codes and field.categories is not None
    return Field(field.name, "int64" if codes else "float32", (None,) * len(field.shape))


def _takes_categories(model: Module) -> bool:
    return "categories" in inspect.signature(model).parameters


def build(
    schema: Schema,
    model: Module,
    device: torch.device,
    seed: int = 0,
    held: Parameters | None = None,
) -> FlatModule:
    """Return a new module for these data, its parameters drawn from ``seed``, or ``held``.

    The model is called with ``inputs`` (shape of one example), ``outputs`` (classes or
    values) and, if it takes it, ``categories`` (number of the feature's categories, or
    None).

    Args:
        schema: Of the data.
        model: What makes the module.
        device: Where it lies.
        seed: Of what its layers draw.
        held: Parameters to take up, as `FlatModule` does; nothing is drawn for them.

    Raises:
        ConfigError: Data and model do not fit, the model cannot be built, or ``held`` are of
            another model.
    """
    if lines := schema.mismatches(input_schema(schema, model)):
        raise ConfigError("the data do not meet what the model wants: " + "; ".join(lines))
    field, count = schema.features[0], outputs(target_of(schema))
    options: dict[str, Any] = {"inputs": field.shape, "outputs": count}
    if _takes_categories(model):
        options["categories"] = None if field.categories is None else len(field.categories)
    make = functools.partial(_attempt, model, "cannot be built", **options)
    with reproducible(_CPU, seed):
        module = make() if held is None else skip_init(make)
        if not isinstance(module, nn.Module):
            raise ConfigError(f"trainer/model gives a {type(module).__name__}, not an nn.Module")
        if held is None:
            _try(module.eval(), field, count)
            return FlatModule(module, device)
    network = FlatModule(module.eval(), device, held)
    _try(module, field, count, device)
    return network


_CPU = torch.device("cpu")


def _try(module: nn.Module, field: Field, count: int, device: torch.device = _CPU) -> None:
    """Send one example of zeros through a module, and refuse what does not fit."""
    dtype = getattr(torch, field.dtype)
    example = torch.zeros((1, *_lengths(field)), dtype=dtype, device=device)
    with torch.no_grad():
        output = _attempt(module, f"cannot take an example of {field}", example)
    shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if shape != (1, count):
        raise ConfigError(
            f"{type(module).__name__} answers one example with {shape}, not {(1, count)}",
            hint="end the module with a layer of `outputs` values",
        )


def _lengths(field: Field) -> list[int]:
    if None in field.shape:
        raise ConfigError(
            f"the shape of '{field.name}' is not known: {field}",
            hint="give it a fixed shape, as the steps 'reshape' and 'window' do",
        )
    return [int(length or 0) for length in field.shape]


def _attempt(target: Callable[..., Any], failure: str, *args: object, **options: object) -> Any:
    try:
        return target(*args, **options)
    except AerosError:
        raise
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError) as error:
        cls = target.func if isinstance(target, functools.partial) else target
        name = getattr(cls, "__name__", type(cls).__name__)
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"trainer/model {name} {failure}: {reason}", provider=getattr(cls, "__module__", "")
        ) from error
