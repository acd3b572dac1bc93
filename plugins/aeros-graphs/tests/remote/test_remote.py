import json
import ssl
from contextlib import suppress

import numpy as np
import pytest
from fakes import Linear, model, rows, serving
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.errors import AerosError, ConfigError
from aeros_core.testing import InferencerTests
from aeros_graphs.remote import connection
from aeros_graphs.remote.inferencer import RemoteInferencer
from aeros_graphs.remote.tensors import HEADER, read, written

OPTIONS = {
    "model": None, "version": "", "timeout": 20.0, "retries": 2, "backoff": 0.01, "hedge": 0.0,
    "failures": 5, "pause": 60.0, "token": "AEROS_REMOTE_TOKEN", "ca": None, "binary": True,
    "concurrency": 16,
}  # fmt: skip


@pytest.fixture(scope="module")
def server():
    with serving() as (endpoint, url):
        yield endpoint, url


@pytest.fixture
def endpoint(server, monkeypatch):
    monkeypatch.delenv("AEROS_REMOTE_TOKEN", raising=False)
    server[0].seen.clear()
    server[0].script.clear()
    server[0].release.clear()
    return server[0]


@pytest.fixture
def remote(server):
    made = []

    def make(url=server[1], **options):
        inferencer = RemoteInferencer(url=url, **OPTIONS | options)
        inferencer.load(model())
        made.append(inferencer)
        return inferencer

    yield make
    server[0].release.set()
    for inferencer in made:
        if inferencer._pool:
            inferencer._pool.shutdown()
        inferencer._endpoint.close()


def expected(batch):
    linear = Linear()
    linear.load(model())
    return linear.predict(batch)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("count", [1, 7, 0])
def test_a_server_answers(remote, endpoint, binary, count):
    batch = rows(count) if count else {"x": np.zeros((0, 3), np.float32)}
    answer = remote(binary=binary).predict(batch)
    for name, column in expected(batch).items():
        assert answer[name].dtype == column.dtype
        np.testing.assert_allclose(answer[name], column, rtol=1e-6)
    path, headers = endpoint.seen[0]
    assert path == "/v2/models/m/infer"
    assert (HEADER in headers) == binary


def test_a_name_and_a_version_of_their_own(remote, endpoint, server):
    remote(url=server[1] + "/api/", model="my model", version="3").predict(rows())
    assert endpoint.seen[0][0] == "/api/v2/models/my%20model/versions/3/infer"


def test_a_connection_is_used_again(remote, endpoint):
    endpoint.connections.clear()
    inferencer = remote()
    for _ in range(3):
        inferencer.predict(rows())
    assert len(endpoint.connections) == 1


@pytest.mark.parametrize("script", [[503, 429], ["drop", 502], ["drop", "drop"]], ids=str)
def test_it_tries_again(remote, endpoint, script):
    endpoint.script += script
    np.testing.assert_allclose(
        remote().predict(rows())["scores"], expected(rows())["scores"], rtol=1e-6
    )
    assert len(endpoint.seen) == 3


def test_tries_come_to_an_end(remote, endpoint):
    endpoint.script += [503] * 3
    with pytest.raises(AerosError, match="did not answer: status 503"):
        remote().predict(rows())
    assert len(endpoint.seen) == 3


def test_what_is_refused_is_not_tried_again(remote, endpoint):
    endpoint.script += [400]
    with pytest.raises(ConfigError, match="refuses, status 400: told to say 400"):
        remote().predict(rows())
    assert len(endpoint.seen) == 1
    for status in (401, 404, 500):  # no fault of the request
        endpoint.script += [status]
        told = f"refuses, status {status}: told to say {status}"
        with pytest.raises(AerosError, match=told) as caught:
            remote().predict(rows())
        assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("value", "why"), [("s3cret", "what it holds is not taken"), (None, "it is not set")]
)
def test_who_is_not_known_there_is_told_which_variable_to_set(
    remote, endpoint, monkeypatch, value, why
):
    if value:
        monkeypatch.setenv("TOK", value)
    endpoint.script += [401]
    with pytest.raises(AerosError) as caught:
        remote(token="TOK").predict(rows())
    assert caught.value.hint == f"export TOK=…; {why}"


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"", "without a reason"), (b'{"detail": [{"msg":\n "no"}]}', '{"detail": [{"msg": "no"}]}'),
     (b"<p>\xff</p>", "<p>\ufffd</p>"), (b"[]", "[]"), (b"x" * 9000, "x" * 500)],
    ids=["nothing", "FastAPI", "no text", "no object", "long"],
)  # fmt: skip
def test_why_a_server_refuses_is_told_in_its_words(remote, endpoint, body, said):
    endpoint.script += [(422, body)] * 2
    with pytest.raises(ConfigError) as caught:
        remote().predict(rows())
    assert caught.value.asked.endswith(f"refuses, status 422: {said}")
    assert caught.value.hint == "inferencer.binary=false for servers without binary tensors"
    with pytest.raises(ConfigError) as caught:
        remote(binary=False).predict(rows())
    assert caught.value.hint == ""


def test_a_server_that_drops_a_kept_connection_is_asked_anew(remote, endpoint):
    inferencer = remote(retries=0)
    inferencer.predict(rows())
    endpoint.script += ["drop"]
    np.testing.assert_allclose(
        inferencer.predict(rows())["scores"], expected(rows())["scores"], rtol=1e-6
    )


@pytest.mark.parametrize("act", [30.0, "drip"])
def test_time_is_up_however_slow_the_server_is(remote, endpoint, act):
    endpoint.script += [act] * 3
    with pytest.raises(AerosError, match="did not answer: no answer within"):
        remote(timeout=0.3).predict(rows())


def counted(inferencer):
    return {c.name.removeprefix("aeros_remote_"): c.value for c in inferencer.counts()}


def test_a_slow_answer_is_overtaken_by_a_second_request(remote, endpoint):
    endpoint.script += [50.0]
    inferencer = remote(hedge=0.05, timeout=60.0)
    answer = inferencer.predict(rows())
    np.testing.assert_allclose(answer["scores"], expected(rows())["scores"], rtol=1e-6)
    assert len(endpoint.seen) == 2
    assert counted(inferencer) == {"retries_total": 0, "hedges_total": 1, "open": 0}


def test_a_quick_answer_is_not_asked_for_twice(remote, endpoint):
    inferencer = remote(hedge=10.0)
    inferencer.predict(rows())
    assert len(endpoint.seen) == 1
    assert counted(inferencer)["hedges_total"] == 0


def test_a_server_that_fails_again_and_again_is_left_alone(remote, endpoint):
    endpoint.script += [503] * 10
    inferencer = remote(failures=4)
    for _ in range(2):
        with pytest.raises(AerosError, match="did not answer"):
            inferencer.predict(rows())
    seen = len(endpoint.seen)
    with pytest.raises(AerosError, match="it failed again and again; it is tried again in"):
        inferencer.predict(rows())
    assert (seen, len(endpoint.seen)) == (4, 4)
    assert counted(inferencer) == {"retries_total": 2, "hedges_total": 0, "open": 1}


def test_nobody_is_there(remote):
    with pytest.raises(AerosError, match="did not answer: ConnectionRefusedError"):
        remote(url="http://127.0.0.1:1").predict(rows())


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b'{"outputs": [{}]}', b'{"outputs": 3}', b"\xff",
        b'{"outputs": [{"name": "a", "datatype": "FP32", "shape": [3], "data": [1]}]}',
        b'{"outputs": [{"name": "a", "datatype": "X", "shape": [1], "data": [1]}]}',
    ],
    ids=str,
)  # fmt: skip
def test_answers_of_another_kind(remote, endpoint, body):
    endpoint.script += [body]
    with pytest.raises(AerosError, match="does not answer as the Open Inference Protocol says"):
        remote().predict(rows())


def test_an_answer_without_end(remote, endpoint, monkeypatch):
    monkeypatch.setattr(connection, "LARGEST", 10)
    with pytest.raises(AerosError, match="answers with more than 10 bytes"):
        remote().predict(rows())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeout": 0}, "inferencer.timeout=0 is not possible"),
        ({"retries": -1}, "inferencer.retries=-1 is not possible"),
        ({"hedge": -1}, "inferencer.hedge=-1 is not possible"),
        ({"concurrency": 0}, "inferencer.concurrency must be 1 or more, got 0"),
        ({"url": "ftp://a"}, "inferencer.url=ftp://a is no address of a server"),
        ({"url": "http://a:port"}, "inferencer.url=http://a:port is no address"),
        ({"url": "http://me:pass@a"}, "is no address of a server"),
        ({"url": "https://a", "ca": "/nowhere.pem"}, "inferencer.ca=/nowhere.pem holds no cert"),
    ],
    ids=str,
)
def test_options_that_cannot_be(options, said):
    with pytest.raises(ConfigError, match=said):
        RemoteInferencer(**{"url": "http://127.0.0.1:1"} | OPTIONS | options)


def test_nothing_is_loaded():
    with pytest.raises(ConfigError, match="no model is loaded"):
        RemoteInferencer(url="http://127.0.0.1:1", **OPTIONS).predict(rows())


def test_a_token_travels(remote, endpoint, monkeypatch):
    monkeypatch.setenv("MINE", "s3cret")
    remote(token="MINE").predict(rows())
    assert endpoint.seen[0][1]["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(
    ("url", "token", "said"),
    [
        ("http://far.example", "s3cret", "the token in MINE would travel in the clear to"),
        ("http://127.0.0.1", "a b\r\nX: y", "what MINE holds is no token"),
    ],
    ids=["clear", "header"],
)
def test_tokens_that_are_not_sent(monkeypatch, url, token, said):
    monkeypatch.setenv("MINE", token)
    with pytest.raises(ConfigError, match=said) as caught:
        RemoteInferencer(url=url, **OPTIONS | {"token": "MINE"})
    assert token not in str(caught.value)


def test_tls_is_verified(remote, certificate, monkeypatch):
    monkeypatch.setenv("AEROS_REMOTE_TOKEN", "s3cret")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with serving(context) as (endpoint, url):
        inferencer = remote(url=url, ca=str(certificate / "cert.pem"))
        for _ in range(3):
            answer = inferencer.predict(rows())
            np.testing.assert_allclose(answer["scores"], expected(rows())["scores"], rtol=1e-6)
        assert len(endpoint.connections) == 1
        assert endpoint.seen[0][1]["Authorization"] == "Bearer s3cret"
        with pytest.raises(AerosError, match="CERTIFICATE_VERIFY_FAILED"):
            remote(url=url, retries=0).predict(rows())


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_told_and_not_followed(remote, endpoint, status):
    endpoint.script += [(status, b"", {"Location": "https://elsewhere.example/v2"})]
    with pytest.raises(AerosError, match=f"refuses, status {status}") as caught:
        remote().predict(rows())
    assert caught.value.hint == (
        "it points to 'https://elsewhere.example/v2': inferencer.url=…, as redirects are not"
        " followed"
    )
    assert len(endpoint.seen) == 1


def test_an_encoding_that_was_not_asked_for_is_named(remote, endpoint):
    endpoint.script += [(200, b"\x1f\x8b", {"Content-Encoding": "gzip"})]
    with pytest.raises(AerosError, match="answers in the encoding 'gzip', which was not asked for"):
        remote().predict(rows())
    assert endpoint.seen[0][1]["Accept-Encoding"] == "identity"


class TestContract(InferencerTests):
    """The contract, but for what the server's own model decides."""

    test_another_model_answers_differently = None  # the server has the model
    test_names_a_missing_field = None  # the server says it, in its own words

    @pytest.fixture(autouse=True)
    def at(self, remote, endpoint):
        self.make = remote

    def make(self):
        raise NotImplementedError

    def model(self):
        return model()

    def other(self):
        return model(1)

    def batch(self):
        return rows()


COLUMNS = {
    "b": np.array([True, False]), "i": np.array([[1, -2], [3, 4]], np.int16),
    "f": np.array([0.5, np.pi]), "h": np.array([1.5, 2], np.float16),
    "t": np.array(["grüße", ""]), "big": np.array([1, 2], ">i4"),
}  # fmt: skip


def test_every_dtype_is_written_and_read():
    """What a client sends has the form of what a server answers, but for its key."""
    body, headers = written(COLUMNS, binary=True)
    length = int(headers[HEADER])
    head = json.loads(body[:length])
    assert [told["datatype"] for told in head["inputs"]] == [
        "BOOL", "INT16", "FP64", "FP16", "BYTES", "INT32",
    ]  # fmt: skip
    turned = json.dumps({"outputs": head["inputs"]}).encode()
    back = read(turned + body[length:], str(len(turned)))
    for name, column in COLUMNS.items():
        np.testing.assert_array_equal(back[name], column)
    plain = json.loads(written(COLUMNS, binary=False)[0])
    back = read(json.dumps({"outputs": plain["inputs"]}).encode(), None)
    for name, column in COLUMNS.items():
        np.testing.assert_array_equal(back[name], column)


@pytest.mark.parametrize("binary", [True, False])
def test_texts_are_read_as_they_are_each_as_long_as_it_is(binary):
    texts = np.array(["a\0", "", "z" * 1000], dtype=object)
    body, headers = written({"text": texts}, binary=binary)
    found = read(body.replace(b'"inputs"', b'"outputs"'), None)["text"] if not binary else None
    if binary:
        size = int(headers[HEADER])
        head = body[:size].replace(b'"inputs"', b'"outputs"')
        found = read(head + body[size:], str(len(head)))["text"]
    assert found.dtype == object
    assert found.tolist() == texts.tolist()


@given(st.binary(max_size=80), st.one_of(st.none(), st.text(max_size=4), st.integers().map(str)))
def test_answers_of_any_bytes_are_read_or_refused(body, length):
    whole = b'{"outputs":[{"name":"a","datatype":"BYTES","shape":[1],"parameters":'
    for data in (body, whole + b'{"binary_data_size":' + body):
        with suppress(ValueError, LookupError, TypeError, AttributeError):
            read(data, length)
