"""curl as a client: what a person types to see whether a server answers."""

import gzip
import json
import shutil
import subprocess

import pytest

CURL = shutil.which("curl")
pytestmark = pytest.mark.skipif(CURL is None, reason="curl is not installed")
BODY = json.dumps(
    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
)


def curl(*words, data=None):
    command = [CURL, "--silent", "--show-error", "--max-time", "60", *words]
    return subprocess.run(command, check=True, capture_output=True, input=data, timeout=90).stdout


def test_curl_asks_and_is_answered(running):
    server = running()
    url = f"http://127.0.0.1:{server.http}/v2"
    assert json.loads(curl(f"{url}/health/live")) == {"live": True}
    assert json.loads(curl(f"{url}/models/toy/infer", "-d", BODY))["outputs"][0]["data"] == [
        2,
        4,
        6,
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["--http2"],
        ["--header", "Transfer-Encoding: chunked"],
        ["--header", "Expect: 100-continue"],
        ["--http1.0"],
        ["--compressed"],
    ],
    ids=" ".join,
)
def test_curl_sends_as_it_likes(running, words):
    """``--http2`` offers to upgrade to HTTP/2, as Java's client does."""
    version = subprocess.run([CURL, "--version"], check=True, capture_output=True).stdout
    if words == ["--http2"] and b"HTTP2" not in version:
        pytest.skip("this curl cannot offer HTTP/2")
    url = f"http://127.0.0.1:{running().http}/v2/models/toy/infer"
    answer = curl(*words, url, "--data-binary", "@-", data=BODY.encode())
    assert json.loads(answer)["outputs"][0]["data"] == [2, 4, 6]


def test_curl_sends_a_compressed_body(running):
    url = f"http://127.0.0.1:{running().http}/v2/models/toy/infer"
    words = ["--header", "Content-Encoding: gzip", url, "--data-binary", "@-"]
    half = len(BODY) // 2
    two = gzip.compress(BODY[:half].encode()) + gzip.compress(BODY[half:].encode())
    assert json.loads(curl(*words, data=two))["outputs"][0]["data"] == [2, 4, 6]


def test_curl_with_a_certificate_and_a_token(running, pair, tmp_path):
    (tmp_path / "token").write_text("s3cret")
    server = running(
        certificate=str(pair[0]), key=str(pair[1]), token_file=str(tmp_path / "token"),
        host="localhost",
    )  # fmt: skip
    url = f"https://localhost:{server.http}/v2"
    words = ["--cacert", str(pair[0]), "--write-out", "%{http_code}", "--output", "/dev/null"]
    assert curl(*words, url) == b"401"
    assert curl(*words, url, "--oauth2-bearer", "s3cret") == b"200"
