"""Prometheus itself scrapes the server; the program is Debian's package prometheus."""

import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

CONFIG = """
global: {scrape_interval: 200ms, scrape_timeout: 200ms}
scrape_configs:
  - job_name: aeros
    static_configs: [{targets: ["127.0.0.1:PORT"]}]
"""


def program(name):
    if (found := shutil.which(name)) is None:
        pytest.skip(f"no {name} on this machine; apt-get update && apt-get install prometheus")
    return found


@pytest.fixture
def prometheus(running, tmp_path):
    """A function that asks Prometheus; it scrapes ``prometheus.server``."""
    binary, server = program("prometheus"), running()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = tmp_path / "prometheus.yml"
    config.write_text(CONFIG.replace("PORT", str(server.http)))
    command = [binary, f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address={address}"], stdout=log, stderr=log, cwd=tmp_path
        )

    def asked(path, **query):
        url = f"http://{address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        end = time.monotonic() + 90
        while True:
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < end, (tmp_path / "log").read_text()
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10) as back:
                data = json.loads(back.read())["data"]
                if data.get("result", data) if isinstance(data, dict) else data:
                    return data
            time.sleep(0.1)

    asked.server = server
    yield asked
    process.kill()
    process.wait(timeout=300)


def test_prometheus_scrapes_the_server(prometheus):
    for row in ([0.5, 2.0, -1.0], [0.1, 0.2, 0.3], [13, 0, 0]):
        prometheus.server.infer(data=row)
    time.sleep(0.1)  # drift is looked at twenty times a second
    prometheus.server.infer(data=[0.5, 0.5, 7.0])

    def value(query):
        """Return the value of the one series, once there have been scrapes enough for it."""
        ((_, found),) = [each["value"] for each in prometheus("query", query=query)["result"]]
        return float(found)

    mine = '{model="toy",version="1"}'
    assert value(f"aeros_requests_total{mine} >= 3") == 3
    assert value('aeros_errors_total{model="toy",kind="Refused"}') == 1
    assert value("aeros_model_version") == 1
    assert value(f"aeros_total_seconds_count{mine} >= 3") == 3
    for stage in ("queue", "batch", "compute", "total"):
        assert 0 < value(f"histogram_quantile(0.99, aeros_{stage}_seconds_bucket)") < 30
    assert value("histogram_quantile(1, aeros_batch_rows_bucket)") == 1
    assert value(f"aeros_input_outside_total{mine} >= 3") >= 3
    assert value(f"aeros_input_values_total{mine}") >= 6
    alert = 'aeros_input_mean > ignoring (bound) aeros_input_range{bound="high"}'
    assert value(alert) > 1  # as docs/serving.md has it
    assert value("up") == 1
    kinds = {name: told[0]["type"] for name, told in prometheus("metadata").items()}
    assert kinds["aeros_total_seconds"] == "histogram"
    assert kinds["aeros_requests_total"] == "counter"


def test_the_format_is_as_prometheus_checks_it(running):
    promtool, server = program("promtool"), running()
    server.infer()
    _, _, text = server.ask("GET", "/metrics")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
