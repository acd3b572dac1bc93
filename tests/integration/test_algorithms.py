"""A signed wheel goes through the real repository to a node, and into a task's choices."""

import importlib.util
import json
from pathlib import Path

import pytest

TOY = Path(__file__).parents[2] / "plugins/aeros-algorithms/tests/conftest.py"


@pytest.fixture
def built():
    spec = importlib.util.spec_from_file_location("toy_wheels", TOY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Built


def test_from_a_key_to_a_task(aeros, built, monkeypatch):
    folder = aeros.folder
    (folder / "toy.whl").write_bytes(built().data)
    aeros("algorithms", "keygen", "owner")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "settings"))
    (folder / "settings/aeros/keys").mkdir(parents=True)
    (folder / "owner.pub").rename(folder / "settings/aeros/keys/owner.pub")
    aeros("algorithms", "push", "toy.whl", "--key", "owner")
    out = aeros("algorithms", "list", "--json")
    assert [row["name"] for row in json.loads(out)] == ["toy-half"]
    (folder / "digits.lock").write_text(aeros("algorithms", "lock", "toy-half"))
    out = aeros("algorithms", "install", "--task", "digits", "--lock", "digits.lock")
    installed = folder / out.strip()
    assert "none is damaged" in aeros("models", "verify")
    [chunk] = (folder / "aeros-repository/blobs").glob("*/c.0")
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"\1")
    assert str(chunk) in aeros(
        "algorithms", "install", "--task", "b", "--lock", "digits.lock", code=1
    )
    assert installed.is_dir()
    assert not (folder / "aeros-algorithms/b").exists()
