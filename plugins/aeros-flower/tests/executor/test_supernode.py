"""A stock node in an executor's place."""

import tomllib
from pathlib import Path

import pytest

from aeros_core.errors import ConfigError, TaskError
from aeros_flower.executor import supernode
from aeros_flower.protocol.executor_info import ExecutorInfo
from aeros_flower.system import versions


@pytest.fixture
def started(monkeypatch):
    """What SuperNodes were started with; each ends at once."""
    words, clock = [], {"now": 0.0}

    class Ended:
        def wait(self):
            return 3

    monkeypatch.setattr(
        supernode, "start_child", lambda told, more: words.append((told, more)) or Ended()
    )
    monkeypatch.setattr(supernode.time, "monotonic", lambda: clock["now"])
    monkeypatch.setattr(supernode.time, "sleep", lambda s: clock.update(now=clock["now"] + s))
    for module in (versions, supernode):
        monkeypatch.setattr(module, "version", lambda name: "1.40.0")
    return words


@pytest.fixture
def greeted(monkeypatch):
    asked = []
    monkeypatch.setattr(supernode, "greet", lambda *a, **k: asked.append((*a, k)) or "")
    return asked


def serve(tmp_path, **options):
    place = ExecutorInfo("edge", True, ("trainer.lr=0.1",), tmp_path)
    with pytest.raises(TaskError, match="ended 5 times at once, with 3") as refused:
        supernode.serve(place, "127.0.0.1:9", **options)
    return refused.value


def test_one_that_ends_at_once_is_started_a_few_times(started, greeted, tmp_path, capsys):
    assert "pip install flwr==1.41.0" in serve(tmp_path, insecure=True).hint
    assert len(started) == len(greeted) == 5
    words, more = started[0]
    assert words[:4] == ["flower-supernode", "--superlink", "127.0.0.1:9", "--insecure"]
    told = tomllib.loads(Path(words[-1]).read_text())
    assert ExecutorInfo.of_node(told) == ExecutorInfo("edge", True, ("trainer.lr=0.1",), tmp_path)
    assert more == {"FLWR_HOME": str(tmp_path / "edge" / "flwr")}
    said = capsys.readouterr().err
    assert "flwr 1.40.0 is installed, executors go with 1.41.0: a stock SuperNode" in said


def test_certificate_and_key_are_passed_on(started, greeted, tmp_path):
    serve(tmp_path, insecure=False, ca=Path("ca.pem"), key=Path("edge.key"))
    words = started[0][0]
    assert words[3:7] == [
        "--root-certificates", "ca.pem", "--auth-supernode-private-key", "edge.key",
    ]  # fmt: skip
    assert greeted[0][1] == Path("ca.pem")


def test_a_controller_that_is_not_to_be_trusted_ends_it(started, monkeypatch, tmp_path):
    def distrust(*_, **__):
        raise ConfigError("its certificate has expired")

    monkeypatch.setattr(supernode, "greet", distrust)
    with pytest.raises(ConfigError, match="has expired"):
        supernode.serve(ExecutorInfo("edge", state=tmp_path), "127.0.0.1:9", insecure=False)
    assert started == []


def test_without_a_controller_it_gives_up(started, monkeypatch, tmp_path):
    monkeypatch.setattr(supernode, "greet", lambda *_, **__: "nobody answers at 127.0.0.1:9")
    with pytest.raises(TaskError, match=r"edge found no controller for 0\.2 s \(nobody answers"):
        supernode.serve(
            ExecutorInfo("edge", state=tmp_path), "127.0.0.1:9", insecure=True, wait=0.2
        )


def test_one_that_speaks_something_else_is_not_greeted(started, greeted, monkeypatch, tmp_path):
    monkeypatch.setattr(versions, "version", lambda name: "1.38.0")
    serve(tmp_path, insecure=True)
    assert greeted == []
