"""The whole surface of tritonclient, by a script that asks any server of the protocol."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tritonclient.http")
pytest.importorskip("tritonclient.grpc")

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "serving_surface.py"
ABSENT = {"shared memory", "CUDA shared memory", "trace settings", "log settings"}
"""Extensions that are not spoken, and are refused as the protocol refuses."""


def test_tritonclient_gets_what_the_protocol_promises(aeros, serve):
    aeros("run", "task.rounds=1")
    server = serve("model=digits")
    out = aeros.folder / "surface.json"
    command = [sys.executable, str(SCRIPT), "--http", server.http, "--grpc", server.grpc]
    command += ["--model", "digits", "--input", "image:FP32:2,8,8", "--json", str(out)]
    subprocess.run(command, check=True, timeout=300, stdout=subprocess.DEVNULL)
    rows = json.loads(out.read_text())
    assert {row["protocol"] for row in rows} == {"http", "grpc"}
    assert len(rows) > 80
    failed = {(row["protocol"], row["check"]): row["why"] for row in rows if row["why"]}
    assert {check for _, check in failed} == ABSENT, failed
    for (protocol, _), why in failed.items():
        assert why.startswith({"http": "[404] there is nothing at", "grpc": "[StatusCode.UNIMPL"}
                              [protocol])  # fmt: skip
    code, said = server.end()
    assert code == 0
    assert "Traceback" not in said
