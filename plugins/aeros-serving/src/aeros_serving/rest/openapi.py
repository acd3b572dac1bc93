"""The REST protocol as an OpenAPI 3.1 document."""

from __future__ import annotations

import functools
from typing import Any

import orjson

from aeros_core.inference.explanation import METHODS
from aeros_serving import metadata
from aeros_serving.protocol.tensors import DATATYPES
from aeros_serving.requests import STEPS

__all__ = ["document"]

_ANY: dict[str, Any] = {"type": "object"}
_TEXT = {"type": "string"}
_BOOLEAN = {"type": "boolean"}
_TEXTS = {"type": "array", "items": _TEXT}
_LENGTHS = {"type": "array", "items": {"type": "integer"}}
_PARAMETERS = {
    "timeout": {"type": "integer", "minimum": 0},
    "binary_data_output": {"type": "boolean"},
    "explain": {"enum": list(METHODS)},
    "explain_target": {"type": ["integer", "string"]},
    "explain_steps": {"type": "integer", "minimum": 1, "maximum": STEPS},
    "explain_baseline": {"type": "number"},
}
_NAME = {"name": "name", "in": "path", "required": True, "schema": _TEXT}
_VERSION = {"name": "version", "in": "path", "required": True, "schema": _TEXT}


@functools.lru_cache(maxsize=4)
def document(models: tuple[str, ...]) -> bytes:
    """Return the document as JSON.

    Args:
        models: Names of models that are loaded: examples of names.
    """
    named = {**_NAME, "examples": {name: {"value": name} for name in models}}
    paths: dict[str, Any] = {
        "/": {"get": _get("Where to go", "Welcome")},
        "/v2": {"get": _get("Metadata of the server", "ServerMetadata")},
        "/v2/health/live": {"get": _get("Whether the server runs", "Live")},
        "/v2/health/ready": {"get": _get("Whether the server takes requests", "Ready")},
        "/v2/models/stats": {"get": _get("Statistics of all models", "Statistics")},
        "/metrics": {"get": _metrics()},
        "/v2/repository/index": {
            "post": _post("Models in the repository", "Index", "IndexRequest")
        },
        "/v2/repository/models/{name}/load": _with(named, {"post": _post("Load a model")}),
        "/v2/repository/models/{name}/unload": _with(named, {"post": _post("Unload a model")}),
    }
    for path, parameters in (
        ("/v2/models/{name}", [named]),
        ("/v2/models/{name}/versions/{version}", [named, _VERSION]),
    ):
        for suffix, method in _of_models().items():
            paths[path + suffix] = {"parameters": parameters, **method}
    server = metadata.server()
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": server["name"], "version": server["version"]},
            "paths": paths,
            "components": {"schemas": _schemas()},
        }
    )


def _of_models() -> dict[str, Any]:
    return {
        "": {"get": _get("Metadata of a model", "ModelMetadata")},
        "/ready": {"get": _get("Whether a model takes requests", "ModelReady")},
        "/stats": {"get": _get("Statistics of a model", "Statistics")},
        "/config": {"get": _get("Configuration of a model")},
        "/infer": {"post": _post("Answer rows", "InferenceResponse", "InferenceRequest")},
    }


def _with(parameter: dict[str, Any], methods: dict[str, Any]) -> dict[str, Any]:
    return {"parameters": [parameter], **methods}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _answers(schema: str) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "Done"}
    if schema:
        done["content"] = _json(_ref(schema))
    failed = {"description": "Refused, and why", "content": _json(_ref("Error"))}
    return {"200": done, "4XX": failed, "5XX": failed}


def _get(summary: str, schema: str = "") -> dict[str, Any]:
    return {"summary": summary, "responses": _answers(schema)}


def _metrics() -> dict[str, Any]:
    done = {"description": "Done", "content": {"text/plain": {"schema": _TEXT}}}
    return {"summary": "Metrics for Prometheus", "responses": _answers("") | {"200": done}}


def _post(summary: str, schema: str = "", body: str = "") -> dict[str, Any]:
    operation = _get(summary, schema)
    wanted = _ref(body) if body else _ANY
    required = body == "InferenceRequest"
    operation["requestBody"] = {"required": required, "content": _json(wanted)}
    return operation


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


def _many(name: str) -> dict[str, Any]:
    return {"type": "array", "items": _ref(name)}


def _schemas() -> dict[str, Any]:
    kind = {"type": "string", "enum": list(DATATYPES)}
    tensor = {"name": _TEXT, "datatype": kind, "shape": _LENGTHS}
    brought = {"type": "array", "items": {"type": "integer", "minimum": 0}}
    filled = {**tensor, "shape": brought, "parameters": _ANY, "data": {"type": "array"}}
    least = ["name", "datatype", "shape"]
    return {
        "Error": _object(["error"], error=_TEXT),
        "Live": _object(["live"], live=_BOOLEAN),
        "Ready": _object(["ready"], ready=_BOOLEAN),
        "ModelReady": _object(["name", "ready"], name=_TEXT, ready=_BOOLEAN),
        "Welcome": _object(["name", "see"], name=_TEXT, see=_TEXTS),
        "ServerMetadata": _object(
            ["name", "version", "extensions"], name=_TEXT, version=_TEXT, extensions=_TEXTS
        ),
        "Tensor": _object(least, **tensor),
        "ModelMetadata": _object(
            ["name", "platform", "inputs", "outputs"],
            name=_TEXT, versions=_TEXTS, platform=_TEXT,
            inputs=_many("Tensor"), outputs=_many("Tensor"),
        ),
        "Filled": _object(least, **filled),
        "Wanted": _object(["name"], name=_TEXT, parameters=_ANY),
        "InferenceRequest": _object(
            ["inputs"], id=_TEXT, parameters={"type": "object", "properties": _PARAMETERS},
            inputs=_many("Filled") | {"minItems": 1}, outputs=_many("Wanted"),
        ),
        "InferenceResponse": _object(
            ["model_name", "outputs"], model_name=_TEXT, model_version=_TEXT, id=_TEXT,
            outputs=_many("Filled"),
        ),
        "Statistics": _object(["model_stats"], model_stats={"type": "array", "items": _ANY}),
        "IndexRequest": {"type": "object", "properties": {"ready": _BOOLEAN}},
        "Index": {"type": "array", "items": _object(["name", "state"], name=_TEXT, state=_TEXT)},
    }  # fmt: skip
