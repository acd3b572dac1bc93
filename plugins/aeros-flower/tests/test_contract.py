"""What of Flower's internals the adapter relies on; another version fails here, loudly."""

import inspect
from importlib import import_module
from importlib.metadata import version

import pytest

from aeros_core.errors import ConfigError
from aeros_flower import fab, link, versions
from aeros_flower.fleet import Fleet

NAMES = {
    "flwr.cli.build": ["build_fab_from_disk", "build_fab_from_files"],
    "flwr.cli.config_utils": ["get_fab_metadata"],
    "flwr.app": ["Message", "RecordDict", "ArrayRecord", "ConfigRecord", "Array"],
    "flwr.app.message": ["remove_content_from_message"],
    "flwr.common.constant": ["SUPERLINK_NODE_ID"],
    "flwr.common.serde": ["fab_to_proto", "message_from_proto", "message_to_proto"],
    "flwr.proto.fleet_pb2": [
        "ActivateNodeRequest", "DeactivateNodeRequest", "PullMessagesRequest",
        "PushMessagesRequest", "RegisterNodeFleetRequest", "UnregisterNodeFleetRequest",
    ],
    "flwr.proto.heartbeat_pb2": ["SendNodeHeartbeatRequest"],
    "flwr.proto.message_pb2": ["ConfirmMessageReceivedRequest"],
    "flwr.proto.node_pb2": ["Node"],
    "flwr.proto.control_pb2": ["StartRunRequest", "StopRunRequest"],
    "flwr.proto.runtime_pb2": [
        "AcquireTaskRequest", "GetNodesRequest", "PullAppMessagesRequest", "PullTaskInputRequest",
        "PushAppMessagesRequest", "PushTaskOutputRequest", "SendTaskHeartbeatRequest",
    ],
    "flwr.supercore.constant": ["NOOP_FEDERATION_ID", "TaskType"],
    "flwr.supercore.control": ["ControlHttpClient"],
    "flwr.supercore.fab": ["Fab"],
    "flwr.supercore.inflatable.inflatable_object": [
        "get_all_nested_objects", "get_object_head_values_from_object_content", "get_object_tree",
        "iterate_object_tree", "no_object_id_recompute",
    ],
    "flwr.supercore.inflatable.inflatable_protobuf_utils": [
        "make_pull_object_fn_protobuf", "make_push_object_fn_protobuf",
    ],
    "flwr.supercore.inflatable.inflatable_utils": [
        "ObjectPullError", "ObjectPushError", "inflate_object_from_contents", "pull_objects",
        "push_objects",
    ],
    "flwr.supercore.interceptors": [
        "RuntimeTokenHttpInterceptor", "RuntimeVersionHttpInterceptor",
    ],
    "flwr.supercore.interceptors.http.runtime_version": ["RuntimeVersionHttpInterceptor"],
    "flwr.supercore.object_store": ["NoObjectInStoreError"],
    "flwr.supercore.primitives.asymmetric": ["generate_key_pairs", "public_key_to_bytes"],
    "flwr.supercore.runtime": ["RuntimeHttpClient"],
    "flwr.supercore.task_identity": ["TaskIdentity"],
    "flwr.supernode.fleet_http_client": ["FleetHttpClient"],
    "flwr.supernode.node_auth_http_interceptor": ["NodeAuthHttpInterceptor"],
    "flwr.superlink.main": ["create_app"],
}  # fmt: skip

ARGUMENTS = {
    ("flwr.server.superlink.linkstate.linkstate", "LinkState"): {
        "create_run": [
            "fab_id", "fab_version", "fab_hash", "override_config", "federation_id",
            "federation_config", "flwr_aid", "primary_task_type",
        ],
        "get_run_info": ["run_ids"],
        "claim_task": ["task_id"],
        "activate_task": ["task_id"],
        "finish_task": ["task_id", "sub_status", "details"],
        "acknowledge_task_heartbeat": ["task_id"],
        "create_node": ["owner_aid", "owner_name", "public_key", "heartbeat_interval"],
        "get_node_id_by_public_key": ["public_key"],
        "get_nodes": ["run_id"],
        "start_session": ["run_id"],
        "store_message_and_object_tree": ["message", "object_tree", "session_id"],
        "store_object": ["run_id", "session_id", "object_id", "object_content"],
        "get_object": ["run_id", "object_id"],
        "get_message_res": ["message_ids", "run_id"],
        "delete_messages": ["message_ins_ids"],
        "store_fab": ["fab"],
        "get_fab": ["fab_hash"],
    },
    ("flwr.supernode.fleet_http_client", "FleetHttpClient"): {
        "from_server_address": [
            "server_address", "insecure", "root_certificates", "interceptors",
        ],
        "RegisterNode": ["request"], "ActivateNode": ["request"], "PullMessages": ["request"],
        "PushMessages": ["request"], "PullObject": ["request"], "PushObject": ["request"],
        "ConfirmMessageReceived": ["request"], "SendNodeHeartbeat": ["request"],
        "DeactivateNode": ["request"], "UnregisterNode": ["request"],
    },
    ("flwr.supercore.control", "ControlHttpClient"): {
        "StartRun": ["request"], "StopRun": ["request"],
    },
    ("flwr.supercore.runtime", "RuntimeHttpClient"): {
        "AcquireTask": ["request"], "PullTaskInput": ["request"], "PushTaskOutput": ["request"],
        "SendTaskHeartbeat": ["request"], "GetNodes": ["request"], "PushMessages": ["request"],
        "PullMessages": ["request"], "PushObject": ["request"], "PullObject": ["request"],
        "ConfirmMessageReceived": ["request"],
    },
    ("flwr.supercore.object_store", "ObjectStore"): {
        "get_object_tree": ["object_id"], "delete": ["object_id"],
    },
}  # fmt: skip


def test_this_is_the_version_that_was_tried():
    assert version("flwr") == versions.TRIED == "1.41.0"


def test_another_version_is_refused_and_told_what_else_there_is(monkeypatch):
    monkeypatch.setattr(versions, "version", lambda name: "1.40.0")
    for build in (lambda: link.Link(None), lambda: Fleet("127.0.0.1:1", insecure=True)):
        with pytest.raises(ConfigError, match=r"flwr 1\.40\.0 is installed") as refused:
            build()
        assert "stock SuperNodes" in str(refused.value)
        assert "pip install flwr==1.41.0" in refused.value.hint


def test_our_bundle_is_one_that_flower_reads():
    from flwr.cli.config_utils import get_fab_config, get_fab_metadata

    bundle = fab.ours()
    assert get_fab_metadata(bundle) == ("aeros/aeros-task", "1.0.0")
    components = get_fab_config(bundle)["tool"]["flwr"]["app"]["components"]
    for place in components.values():
        module, _, name = place.partition(":")
        assert hasattr(import_module(module), name)
    assert len(bundle) < 10 * 2**20


@pytest.mark.parametrize(("module", "names"), NAMES.items(), ids=NAMES)
def test_flower_has_what_we_import(module, names):
    found = import_module(module)
    assert [name for name in names if not hasattr(found, name)] == []


@pytest.mark.parametrize("place", ARGUMENTS, ids=lambda place: place[1])
def test_what_we_call_takes_what_we_give(place):
    module, kind = place
    found = getattr(import_module(module), kind)
    for method, arguments in ARGUMENTS[place].items():
        taken = list(inspect.signature(getattr(found, method)).parameters)
        taken = [name for name in taken if name not in ("self", "cls")]
        assert taken[: len(arguments)] == arguments, method


def test_a_node_asks_at_the_paths_at_which_it_is_kept_waiting():
    from aeros_flower import doorbell

    source = inspect.getsource(import_module("flwr.supernode.fleet_http_client"))
    for path in (doorbell._ASKS, *doorbell._BRINGS, *doorbell._COMES):
        assert f'path="{path}"' in source


def test_a_memory_of_messages_is_where_it_was():
    from flwr.server.superlink.linkstate.in_memory_linkstate import InMemoryLinkState

    assert "self.message_ins_store" in inspect.getsource(InMemoryLinkState)
