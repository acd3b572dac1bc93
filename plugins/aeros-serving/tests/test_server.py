"""Starting and ending: ports, certificates, tokens, and what is answered at the end."""

import asyncio
import socket
import threading
import time

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton

from aeros_core.errors import ConfigError
from aeros_serving.config import Serving, Where
from aeros_serving.security import TOKEN, Security
from aeros_serving.server import Server


def test_a_port_that_is_taken_is_told(toys, running):
    first = running()
    with pytest.raises(ConfigError, match=rf"serving\.http_port={first.http} cannot be opened on"):
        running(http_port=first.http)
    with pytest.raises(ConfigError, match=rf"serving\.grpc_port={first.grpc} cannot be opened on"):
        running(grpc_port=first.grpc)


def test_beyond_loopback_a_certificate_and_a_token_are_asked_for(tmp_path, pair, monkeypatch):
    monkeypatch.delenv(TOKEN, raising=False)
    with pytest.raises(ConfigError) as refused:
        Security.of(Serving(host="0.0.0.0"))
    assert "without TLS (serving.certificate, serving.key) and a token" in refused.value.asked
    assert "serving.insecure=true" in refused.value.hint
    certificate, key = map(str, pair)
    with pytest.raises(ConfigError, match=r"without a token \(serving\.token_file, or \$AEROS"):
        Security.of(Serving(host="0.0.0.0", certificate=certificate, key=key))
    monkeypatch.setenv(TOKEN, "s3cret")
    safe = Security.of(Serving(host="0.0.0.0", certificate=certificate, key=key))
    assert (safe.token, safe.context is None) == ("s3cret", False)
    assert Security.of(Serving(host="0.0.0.0", insecure=True)).context is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"certificate": "c"}, "serving.certificate and serving.key go together"),
        ({"certificate": "no", "key": "no"}, "serving.certificate=no cannot be read"),
        ({"token_file": "no"}, "serving.token_file=no cannot be read"),
        ({"poll": -1.0}, "serving.poll must be 0 or more, got -1.0"),
        ({"canary_share": 2.0, "canary": "x"}, "serving.canary_share must be 0 to 1, got 2.0"),
        ({"canary": "x"}, "serving.canary and serving.canary_share go together"),
        (
            {"http_port": 70000},
            "serving.http_port must be 0 to 65535",
        ),
        ({"http_port": -1, "grpc_port": -1}, "nothing would listen"),
        ({"delay": -1.0}, "serving.delay=-1.0"),
        ({"models": {"a": {"what": 1}}}, "option 'serving.models.a.what' does not exist"),
        ({"read_timeout": 0.0}, "serving.read_timeout must be more than 0, got 0.0"),
    ],
)
def test_options_that_cannot_be_are_refused(toys, options, told):
    with pytest.raises(ConfigError) as refused:
        Server(toys, Serving(**options))
    assert told in refused.value.asked


@pytest.mark.parametrize(
    ("options", "asked", "exists"),
    [
        ({"canary_share": 2.0, "canary": "x"}, "serving.canary_share=2.0", "0 to 1"),
        ({"poll": -1.0}, "serving.poll=-1.0", "0 or more"),
        ({"poll": float("nan")}, "serving.poll=nan", "0 or more"),
        ({"http_port": 99999}, "serving.http_port=99999", "0 to 65535, 0 any that is free; -1: n"),
        ({"max_body": 0}, "serving.max_body=0", "more than 0"),
    ],
)
def test_numbers_that_cannot_be_are_told_with_those_that_can(toys, options, asked, exists):
    with pytest.raises(ConfigError) as refused:
        Server(toys, Serving(**options))
    told = f"{asked}".replace("=", f" must be {refused.value.exists}, got ", 1)
    assert refused.value.asked == told
    assert refused.value.exists.startswith(exists)


def test_options_of_a_model_that_is_not_served_are_named(running, caplog):
    running(models={"toy": {"delay": 0.0}, "mnist": {"delay": 0.002}})
    assert caplog.messages == [
        "serving.models.mnist is for a model that is not served now; models: toy"
    ]


def test_a_damaged_certificate_and_an_empty_token_are_told(tmp_path):
    (tmp_path / "x").write_text("none")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError, match="do not make a certificate"):
        Security.of(Serving(certificate=str(tmp_path / "x"), key=str(tmp_path / "x")))
    with pytest.raises(ConfigError, match="holds no token"):
        Security.of(Serving(token_file=str(tmp_path / "empty")))


def test_a_token_is_asked_for_everywhere_but_for_health(running, tmp_path):
    (tmp_path / "token").write_text("s3cret\n")
    server = running(token_file=str(tmp_path / "token"))
    assert server.ask("GET", "/v2/health/ready")[0] == 200
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        for path in ("/v2", "/metrics", "/openapi.json", "/v2/models/toy"):
            status, told, _ = server.ask("GET", path, headers=headers)
            assert (status, told["www-authenticate"]) == (401, "Bearer")
    assert server.ask("GET", "/v2", headers={"Authorization": "Bearer s3cret"})[0] == 200
    with triton.InferenceServerClient(f"127.0.0.1:{server.grpc}") as client:
        with pytest.raises(Exception, match="bears no token"):
            client.get_server_metadata()
        with pytest.raises(Exception, match="bears no token"):
            client.is_model_ready("toy")
        assert client.is_server_live()
        assert client.is_server_ready()
        client.get_server_metadata(headers={"authorization": "Bearer s3cret"})


def test_grpc_with_a_certificate(running, pair):
    certificate, key = pair
    server = running(certificate=str(certificate), key=str(key), host="localhost")
    credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
    with grpc.secure_channel(f"localhost:{server.grpc}", credentials) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")
        assert call(b"", timeout=30) == b"\x08\x01"


def test_one_protocol_is_enough(running):
    server = running(grpc_port=-1)
    assert server.grpc == -1
    assert server.infer()[0] == 200


def test_ending_answers_what_was_asked(toys, running):
    inferencer = toys.repository.all["toy", 1][1]
    server = running(where=Where.thread)
    inferencer.sizes.clear()
    inferencer.gate.clear()
    found = []
    threads = [threading.Thread(target=lambda: found.append(server.infer()[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    lane = server.server.models.queue("toy")
    while sum(inferencer.sizes) + lane.waiting < 4:  # two may have come in one batch
        time.sleep(0.01)
    ending = threading.Thread(target=server.stop)
    ending.start()
    while not server.server.models.closing:
        time.sleep(0.01)
    inferencer.gate.set()
    ending.join(300)
    for thread in threads:
        thread.join(300)
    assert found == [200] * 4


def test_who_is_not_answered_within_the_drain_is_told(toys, running, caplog):
    inferencer = toys.repository.all["toy", 1][1]
    server = running(where=Where.thread, drain=0.2, max_batch=1)
    inferencer.gate.clear()
    lane, found = server.server.models.queue("toy"), []

    def by_rest():
        found.append(server.infer())

    def by_grpc():
        with triton.InferenceServerClient(f"127.0.0.1:{server.grpc}") as client:
            x = triton.InferInput("x", [1, 3], "FP32")
            x.set_data_from_numpy(np.ones((1, 3), np.float32))
            try:
                client.infer("toy", [x])
            except Exception as error:
                found.append(error)

    threads = [threading.Thread(target=each) for each in (by_rest, by_rest, by_grpc)]
    for thread in threads:
        thread.start()
    while lane.waiting < 2:  # and one is computed
        time.sleep(0.01)
    caplog.clear()
    server.stop()
    inferencer.gate.set()  # what was computed comes when the loop is closed
    for thread in threads:
        thread.join(300)
    lane._thread.shutdown()
    told = "the server has ended before the request was answered"
    rest = [each for each in found if isinstance(each, tuple)]
    assert rest == [(503, {"error": told})] * 2
    [rpc] = [each for each in found if not isinstance(each, tuple)]
    assert "UNAVAILABLE" in rpc.status()
    assert rpc.message() == told
    assert lane.served.statistics.errors == {"Unavailable": 3}
    over = "serving.drain=0.2 s are over: 3 requests not answered, and told so (503, UNAVAILABLE)"
    assert [record.getMessage() for record in caplog.records] == [over]


def test_what_is_computed_as_the_drain_is_over_is_told_once(toys, running, caplog):
    """Its answer comes while the server still closes connections."""
    inferencer = toys.repository.all["toy", 1][1]
    server = running(where=Where.thread, drain=0.1)
    inferencer.gate.clear()
    lane = server.server.models.queue("toy")
    inferencer.sizes.clear()
    with socket.create_connection(("127.0.0.1", server.http), timeout=20) as sock:
        sock.sendall(server.request())
        while not inferencer.sizes:
            time.sleep(0.01)
        server.do(server.server.stop())
        inferencer.gate.set()
        lane._thread.shutdown()
        server.do(asyncio.sleep(0.05))
        assert sock.recv(65536).startswith(b"HTTP/1.1 503 ")
    assert lane.served.statistics.errors == {"Unavailable": 1}
    assert lane.served.statistics.success.count == 0
    assert len(caplog.records) == 1
    server.end()
