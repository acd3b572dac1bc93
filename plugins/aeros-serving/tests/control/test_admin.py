"""What clients may do to models, in both protocols: load and unload, and how that fails."""

import json
import logging

import grpc
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from aeros_core.errors import ConfigError, PluginError, RepositoryError

CLIENTS = {"http": tritonclient.http, "grpc": tritonclient.grpc}
PATH = "/srv/secret/aeros-repository"


@pytest.fixture(params=CLIENTS)
def ask(request, toys, running):
    """A function that asks the repository: ``ask("load", "toy", version="2")``."""
    kind, server = request.param, running()

    def rest(verb, name, **parameters):
        body = json.dumps({"parameters": parameters})
        status, _, answer = server.ask("POST", f"/v2/repository/models/{name}/{verb}", body)
        return status, json.loads(answer)["error"] if answer else ""

    def rpc(verb, name, **parameters):
        made = getattr(service_pb2, f"RepositoryModel{verb.title()}Request")(model_name=name)
        for key, value in parameters.items():
            field = {bool: "bool_param", int: "int64_param", str: "string_param"}[type(value)]
            setattr(made.parameters[key], field, value)
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            try:
                getattr(stub, f"RepositoryModel{verb.title()}")(made, timeout=30)
            except grpc.RpcError as refused:
                return refused.code().name, refused.details()
        return 200, ""

    asked = rest if kind == "http" else rpc
    asked.kind, asked.server = kind, server
    return asked


def status(ask, http, name):
    """Return what the status is in the protocol that is asked."""
    return http if ask.kind == "http" else name


@pytest.mark.parametrize(
    ("verb", "parameters", "told"),
    [
        (
            "load",
            {"config": "{}"},
            "parameter 'config' is not taken: a model is loaded as the repository has it;"
            " parameters: version",
        ),
        ("load", {"file:1/model.pt": "x"}, "parameter 'file:1/model.pt' is not taken: a model"),
        ("load", {"version": True}, "parameter 'version' is a version or a tag"),
        ("unload", {"version": "1"}, "parameter 'version' is not taken: a model is unloaded by"),
        ("unload", {"unload_dependents": True}, "parameter 'unload_dependents' is false: no model"),
    ],
)
def test_parameters_that_are_not_known_are_refused_by_name(ask, verb, parameters, told):
    code, said = ask(verb, "toy", **parameters)
    assert code == status(ask, 400, "INVALID_ARGUMENT")
    assert said.startswith(told)
    assert ask.server.infer()[0] == 200


def test_what_is_no_object_is_refused(running):
    server = running()
    for body, told in ((b'{"parameters": 3}', "'parameters' is an object"), (b"3", "no JSON obj")):
        for verb in ("load", "unload"):
            code, _, said = server.ask("POST", f"/v2/repository/models/toy/{verb}", body)
            assert code == 400
            assert told in json.loads(said)["error"]


@pytest.mark.parametrize("kind", CLIENTS)
def test_tritonclient_loads_and_unloads_as_it_does_by_default(toys, running, kind, caplog):
    toys.add("other", 1)
    server = running()
    with (
        caplog.at_level(logging.INFO),
        CLIENTS[kind].InferenceServerClient(f"127.0.0.1:{getattr(server, kind)}") as client,
    ):
        client.load_model("other")
        assert client.is_model_ready("other")
        client.unload_model("other", unload_dependents=False)
        client.load_model("other")
        client.unload_model("other")
        assert not client.is_model_ready("other")
        with pytest.raises(InferenceServerException, match="parameter 'config' is not taken"):
            client.load_model("other", config="{}")
    assert caplog.messages.count("model 'other': version 1 is loaded, as a client asked") == 2
    assert caplog.messages.count("model 'other' is unloaded, as a client asked") == 2


@pytest.mark.parametrize(
    ("error", "http", "name", "told"),
    [
        (
            RepositoryError(
                f"version 1 of model 'other' cannot be read: {PATH}/blobs/ab is damaged",
                exists="versions 1",
                hint="aeros models verify --heal",
            ),
            500,
            "DATA_LOSS",
            "version 1 of model 'other' cannot be read; the server's log says why",
        ),
        (
            ConfigError(f"model 'other' cannot answer: {PATH}/x is not there", hint="pip"),
            500,
            "INTERNAL",
            "model 'other' cannot answer: … is not there; the server's log says more",
        ),
        (PluginError("no plugin has it", hint="pip"), 501, "UNIMPLEMENTED", "no plugin has it"),
        (
            FileNotFoundError(2, "No such file", f"{PATH}/x"),
            500,
            "INTERNAL",
            "FileNotFoundError: [Errno 2] No such file: '…'",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_model_that_cannot_be_taken_up_is_the_servers_fault(
    toys, ask, monkeypatch, caplog, error, http, name, told
):
    def load(*_):
        raise error

    toys.add("other", 1)
    monkeypatch.setattr(toys, "load", load)
    assert ask("load", "other") == (status(ask, http, name), told)
    assert (PATH in caplog.text) == (PATH in str(error))
    metrics = ask.server.ask("GET", "/metrics")[2].decode().splitlines()
    assert 'aeros_load_failures_total{model="other"} 1' in metrics
    assert 'aeros_load_failures_total{model="toy"} 0' in metrics
    assert ask.server.infer()[0] == 200


def test_the_index_names_no_paths(toys, running, monkeypatch):
    server = running()
    toys.add("toy", 2)

    def load(*_):
        raise ConfigError(f"version 2 needs {PATH}/x\nwhich is not there", hint="pip")

    monkeypatch.setattr(toys, "load", load)
    assert server.ask("POST", "/v2/repository/models/toy/load", b"{}")[0] == 500
    entries = json.loads(server.ask("POST", "/v2/repository/index")[2])
    assert entries[1]["reason"] == "version 2 needs … which is not there"


def test_a_repository_that_cannot_be_read_is_told(toys, ask, monkeypatch, caplog):
    def models(name=None):
        raise RepositoryError(f"models could not be listed in {PATH}: gone", hint="look there")

    monkeypatch.setattr(toys.repository, "models", models)
    code, said = ask("load", "toy")
    assert code == status(ask, 500, "DATA_LOSS")
    assert said == "models could not be listed in …; the server's log says why"
    assert f"{PATH}: gone" in caplog.text
