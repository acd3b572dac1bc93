"""Fitted estimators of scikit-learn as models, through skl2onnx."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, compose, helper, numpy_helper

from aeros_core.data import Batch
from aeros_core.errors import ConfigError, PluginError
from aeros_core.records import Model
from aeros_core.schema import Schema
from aeros_onnx import validation
from aeros_onnx.comparison import compare
from aeros_onnx.graph import packed
from aeros_onnx.session import OnnxSession

__all__ = ["model"]

_Output = tuple[str, int, list[str | None]]
_CLASSES: tuple[_Output, ...] = (
    ("label", TensorProto.INT64, ["rows"]),
    ("scores", TensorProto.FLOAT, ["rows", None]),
)
_NUMBERS: tuple[_Output, ...] = (("scores", TensorProto.FLOAT, ["rows"]),)
OPSET = {"": 18, "ai.onnx.ml": 3}


def model(name: str, estimator: Any, schema: Schema, **told: Any) -> Model:
    """Return a fitted estimator as a model that ``inferencer=onnx`` answers with.

    For classes it answers ``scores`` (probabilities) and ``label`` (codes) as models of
    aeros do, for numbers ``scores``. The graph was compared with the estimator, on rows of
    yours if ``samples`` has them: ``{field: rows}``.

    Args:
        name: Name of the model.
        estimator: A classifier, regressor or pipeline; classes are codes from 0 on.
        schema: One float32 feature of shape (columns,), and the target.
        told: What else to say of the model, as `Model` names it.

    Raises:
        ConfigError: skl2onnx cannot convert it, or it does not fit the schema.
        PluginError: skl2onnx is not installed.
        DataError: The graph does not answer as the estimator does.
    """
    field = schema.features[0] if len(schema.features) == 1 else None
    if field is None or field.dtype != "float32" or len(field.shape) != 1:
        raise ConfigError(
            f"estimator '{name}' takes one float32 vector, the schema has {schema}",
            hint="make one vector of many columns with the step 'stack'",
        )
    classes = schema.target is not None and schema[schema.target].categories is not None
    proto = _converted(name, estimator, field.name, int(field.shape[0] or 0))
    proto = validation.checked(_renamed(proto, classes=classes), name)

    def answer(batch: Batch) -> Batch:
        if not classes:
            return {"scores": np.asarray(estimator.predict(batch[field.name]), np.float32)}
        scores = np.asarray(estimator.predict_proba(batch[field.name]), np.float32)
        return {"scores": scores, "label": np.asarray(estimator.predict(batch[field.name]))}

    compare(name, schema, OnnxSession(proto), answer, told.get("samples"))
    return packed(proto, name, schema=schema, **told)


def _converted(name: str, estimator: Any, field: str, columns: int) -> ModelProto:
    try:
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType
    except ImportError as error:
        raise PluginError(
            f"estimator '{name}' cannot be written as ONNX: {error}",
            provider="aeros-onnx, with its extra 'sklearn'",
            hint="pip install 'aeros-onnx[sklearn]'",
        ) from error
    options = {"zipmap": False} if hasattr(estimator, "predict_proba") else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            proto: ModelProto = to_onnx(
                estimator,
                initial_types=[(field, FloatTensorType([None, columns]))],
                options={id(estimator): options} if options else None,
                target_opset=OPSET,
            )
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"estimator '{name}' cannot be written as ONNX: {type(error).__name__}: {said}",
            hint="fit it first; skl2onnx.supported_converters() lists what can be",
        ) from error
    return proto


def _renamed(proto: ModelProto, *, classes: bool) -> ModelProto:
    """Let the outputs be those of aeros; numbers lose a dimension of one."""
    proto = compose.add_prefix(proto, "estimator.", rename_inputs=False)
    names = [value.name for value in proto.graph.output]
    del proto.graph.output[:]
    nodes, kinds = proto.graph.node, _CLASSES if classes else _NUMBERS
    for name, (output, kind, shape) in zip(names, kinds, strict=False):
        if classes:
            nodes.append(helper.make_node("Identity", [name], [output], name=output))
        else:
            flat = numpy_helper.from_array(np.array([-1], np.int64), "scores.shape")
            proto.graph.initializer.append(flat)
            nodes.append(helper.make_node("Reshape", [name, flat.name], [output], name=output))
        proto.graph.output.append(helper.make_tensor_value_info(output, kind, shape))
    return proto
