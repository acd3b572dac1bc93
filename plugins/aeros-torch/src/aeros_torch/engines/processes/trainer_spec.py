"""A trainer as plain data, to be made again in another process."""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Mapping
from enum import Enum
from operator import attrgetter
from typing import Any

from aeros_core.records import Module
from aeros_core.schema import Schema
from aeros_torch.training.context import TrainingContext
from aeros_torch.training.setup import TrainingSetup

__all__ = ["draw", "rebuild"]


def draw(context: TrainingContext) -> dict[str, Any] | str:
    """Return what `rebuild` needs, as JSON can say it, or why that cannot be said."""
    drawn = _drawn(context.model)
    if isinstance(drawn, str):
        return drawn
    given = {o: v.value if isinstance(v, Enum) else v for o, v in context.options.items()}
    if (odd := _odd(given)) is not None:
        return f"the option {odd} is not plain data"
    return {
        **drawn,
        "options": {**given, "engine": "sequential"},
        "schema": context.schema.to_json(),
        "layout": context.network.layout.digest,
    }


def _drawn(model: Module) -> dict[str, Any] | str:
    """Return a model and the models it holds, or why that cannot be said."""
    cls, options = _parts(model)
    name = f"{getattr(cls, '__module__', '')}:{getattr(cls, '__qualname__', '')}"
    if name.startswith("__main__:") or "<" in name or name.endswith(":"):
        return f"the model {name.rpartition(':')[2] or cls} is not in a module of its own"
    held: dict[str, Any] = {}
    for option in [option for option, value in options.items() if callable(value)]:
        inner = _drawn(options.pop(option))
        if isinstance(inner, str):
            return inner
        held[option] = inner
    if (odd := _odd(options)) is not None:
        return f"the option {odd} is not plain data"
    return {"model": name, "model_options": options, "held": held}


def _parts(model: Module) -> tuple[Any, dict[str, Any]]:
    if isinstance(model, functools.partial) and not model.args:
        return model.func, dict(model.keywords)
    return model, {}


def _odd(options: Mapping[str, Any]) -> str | None:
    """Return the first option that JSON does not give back as it is."""
    for name, value in options.items():
        try:
            same = json.loads(json.dumps(value)) == value
        except (TypeError, ValueError):
            same = False
        if not same:
            return name
    return None


def rebuild(told: Mapping[str, Any], device: str) -> TrainingContext:
    """Return the training context that was described, on a device.

    Raises:
        ImportError: The model's module is not there.
        ConfigError: It builds another model than it did there.
    """
    setup = TrainingSetup(_bound(told), {**told["options"], "device": device})
    context = setup.context(Schema.from_json(told["schema"]))
    if context.network.layout.digest != told["layout"]:
        raise ImportError(f"{told['model']} builds another model in another process")
    return context


def _bound(told: Mapping[str, Any]) -> Module:
    module, _, name = told["model"].partition(":")
    model = attrgetter(name)(importlib.import_module(module))
    held = {option: _bound(inner) for option, inner in told["held"].items()}
    return functools.partial(model, **told["model_options"], **held)
