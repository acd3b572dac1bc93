"""What of Flower's internals the adapter relies on; another version fails here, loudly."""

import ast
import inspect
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

from aeros_core.errors import ConfigError
from aeros_flower.executor.fleet_client import FleetClient
from aeros_flower.superlink import app_bundle, embedded
from aeros_flower.system import flower_internals, versions
from aeros_flower.system.flower_internals import INTERNALS

PUBLIC = {"flwr.app", "flwr.clientapp", "flwr.serverapp", "flwr.simulation"}

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
    for build in (
        lambda: embedded.EmbeddedSuperLink(None),
        lambda: FleetClient("127.0.0.1:1", insecure=True),
    ):
        with pytest.raises(ConfigError, match=r"flwr 1\.40\.0 is installed") as refused:
            build()
        assert "stock SuperNodes" in str(refused.value)
        assert "pip install flwr==1.41.0" in refused.value.hint


def test_our_bundle_is_one_that_flower_reads():
    from flwr.cli.config_utils import get_fab_config, get_fab_metadata

    bundle = app_bundle.ours()
    assert get_fab_metadata(bundle) == ("aeros/aeros-task", "1.0.0")
    components = get_fab_config(bundle)["tool"]["flwr"]["app"]["components"]
    for place in components.values():
        module, _, name = place.partition(":")
        assert hasattr(import_module(module), name)
    assert len(bundle) < 10 * 2**20


@pytest.mark.parametrize(("module", "names"), INTERNALS.items(), ids=INTERNALS)
def test_flower_has_what_we_import(module, names):
    found = import_module(module)
    assert [name for name in names if not hasattr(found, name)] == []
    assert all(getattr(flower_internals, name) is getattr(found, name) for name in names)


def test_one_module_imports_what_is_not_public():
    past = {
        (path.name, module)
        for path in Path(flower_internals.__file__).parents[1].rglob("*.py")
        for module, _ in imported(path)
        if module not in PUBLIC and path.name != "flower_internals.py"
    }
    assert past == set()


def test_types_are_told_of_the_same_names():
    told = {(module, name) for module, name in imported(Path(flower_internals.__file__))}
    assert told == {(module, name) for module, names in INTERNALS.items() for name in names}


def imported(path):
    """Return every import of Flower's in a file: the module, and the name taken from it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found = [(name.name, "") for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            found = [(node.module or "", name.name) for name in node.names]
        else:
            continue
        yield from (one for one in found if one[0].partition(".")[0] == "flwr")


@pytest.mark.parametrize("place", ARGUMENTS, ids=lambda place: place[1])
def test_what_we_call_takes_what_we_give(place):
    module, kind = place
    found = getattr(import_module(module), kind)
    for method, arguments in ARGUMENTS[place].items():
        taken = list(inspect.signature(getattr(found, method)).parameters)
        taken = [name for name in taken if name not in ("self", "cls")]
        assert taken[: len(arguments)] == arguments, method


def test_a_node_asks_at_the_paths_at_which_it_is_kept_waiting():
    from aeros_flower.http import long_polling

    source = inspect.getsource(import_module("flwr.supernode.fleet_http_client"))
    for path in (long_polling._ASKS, *long_polling._BRINGS, *long_polling._COMES):
        assert f'path="{path}"' in source


def test_a_memory_of_messages_is_where_it_was():
    from flwr.server.superlink.linkstate.in_memory_linkstate import InMemoryLinkState

    assert "self.message_ins_store" in inspect.getsource(InMemoryLinkState)
