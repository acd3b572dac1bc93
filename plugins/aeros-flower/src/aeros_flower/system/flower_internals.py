"""All that is used of Flower beside its public API, which this module alone imports.

It goes with ``flwr==1.41.0`` alone; ``tests/system/test_flower_internals.py`` says what each is
relied on for, and that no other module goes past this one. Public are `flwr.app`,
`flwr.clientapp`, `flwr.serverapp` and `flwr.simulation`.

A name is imported when it is first asked for: all together take twice as long as those that a
node needs.
"""

# ruff: noqa: F401 - what is imported is for those who import it from here

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flwr.app.message import remove_content_from_message
    from flwr.cli.build import build_fab_from_disk, build_fab_from_files
    from flwr.cli.config_utils import get_fab_metadata
    from flwr.common.constant import SUPERLINK_NODE_ID
    from flwr.common.serde import fab_to_proto, message_from_proto, message_to_proto
    from flwr.proto.control_pb2 import StartRunRequest, StopRunRequest
    from flwr.proto.fleet_pb2 import (
        ActivateNodeRequest,
        DeactivateNodeRequest,
        PullMessagesRequest,
        PushMessagesRequest,
        RegisterNodeFleetRequest,
        UnregisterNodeFleetRequest,
    )
    from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
    from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest
    from flwr.proto.node_pb2 import Node
    from flwr.proto.runtime_pb2 import (
        AcquireTaskRequest,
        GetNodesRequest,
        PullAppMessagesRequest,
        PullTaskInputRequest,
        PushAppMessagesRequest,
        PushTaskOutputRequest,
        SendTaskHeartbeatRequest,
    )
    from flwr.supercore.constant import NOOP_FEDERATION_ID, TaskType
    from flwr.supercore.control import ControlHttpClient
    from flwr.supercore.fab import Fab
    from flwr.supercore.inflatable.inflatable_object import (
        get_all_nested_objects,
        get_object_head_values_from_object_content,
        get_object_tree,
        iterate_object_tree,
        no_object_id_recompute,
    )
    from flwr.supercore.inflatable.inflatable_protobuf_utils import (
        make_pull_object_fn_protobuf,
        make_push_object_fn_protobuf,
    )
    from flwr.supercore.inflatable.inflatable_utils import (
        ObjectPullError,
        ObjectPushError,
        inflate_object_from_contents,
        pull_objects,
        push_objects,
    )
    from flwr.supercore.interceptors import (
        RuntimeTokenHttpInterceptor,
        RuntimeVersionHttpInterceptor,
    )
    from flwr.supercore.logger import FLOWER_LOGGER
    from flwr.supercore.object_store import NoObjectInStoreError
    from flwr.supercore.primitives.asymmetric import generate_key_pairs, public_key_to_bytes
    from flwr.supercore.runtime import RuntimeHttpClient
    from flwr.supercore.task_identity import TaskIdentity
    from flwr.superlink.main import create_app
    from flwr.supernode.fleet_http_client import FleetHttpClient
    from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

INTERNALS = {
    "flwr.app.message": ("remove_content_from_message",),
    "flwr.cli.build": ("build_fab_from_disk", "build_fab_from_files"),
    "flwr.cli.config_utils": ("get_fab_metadata",),
    "flwr.common.constant": ("SUPERLINK_NODE_ID",),
    "flwr.common.serde": ("fab_to_proto", "message_from_proto", "message_to_proto"),
    "flwr.proto.control_pb2": ("StartRunRequest", "StopRunRequest"),
    "flwr.proto.fleet_pb2": (
        "ActivateNodeRequest", "DeactivateNodeRequest", "PullMessagesRequest",
        "PushMessagesRequest", "RegisterNodeFleetRequest", "UnregisterNodeFleetRequest",
    ),
    "flwr.proto.heartbeat_pb2": ("SendNodeHeartbeatRequest",),
    "flwr.proto.message_pb2": ("ConfirmMessageReceivedRequest",),
    "flwr.proto.node_pb2": ("Node",),
    "flwr.proto.runtime_pb2": (
        "AcquireTaskRequest", "GetNodesRequest", "PullAppMessagesRequest", "PullTaskInputRequest",
        "PushAppMessagesRequest", "PushTaskOutputRequest", "SendTaskHeartbeatRequest",
    ),
    "flwr.supercore.constant": ("NOOP_FEDERATION_ID", "TaskType"),
    "flwr.supercore.control": ("ControlHttpClient",),
    "flwr.supercore.fab": ("Fab",),
    "flwr.supercore.inflatable.inflatable_object": (
        "get_all_nested_objects", "get_object_head_values_from_object_content", "get_object_tree",
        "iterate_object_tree", "no_object_id_recompute",
    ),
    "flwr.supercore.inflatable.inflatable_protobuf_utils": (
        "make_pull_object_fn_protobuf", "make_push_object_fn_protobuf",
    ),
    "flwr.supercore.inflatable.inflatable_utils": (
        "ObjectPullError", "ObjectPushError", "inflate_object_from_contents", "pull_objects",
        "push_objects",
    ),
    "flwr.supercore.interceptors": ("RuntimeTokenHttpInterceptor", "RuntimeVersionHttpInterceptor"),
    "flwr.supercore.logger": ("FLOWER_LOGGER",),
    "flwr.supercore.object_store": ("NoObjectInStoreError",),
    "flwr.supercore.primitives.asymmetric": ("generate_key_pairs", "public_key_to_bytes"),
    "flwr.supercore.runtime": ("RuntimeHttpClient",),
    "flwr.supercore.task_identity": ("TaskIdentity",),
    "flwr.superlink.main": ("create_app",),
    "flwr.supernode.fleet_http_client": ("FleetHttpClient",),
    "flwr.supernode.node_auth_http_interceptor": ("NodeAuthHttpInterceptor",),
}  # fmt: skip
"""The names, by the module of Flower's that has each."""

_HOMES = {name: module for module, names in INTERNALS.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a name from Flower."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
