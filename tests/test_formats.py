import sys

import pytest

from aeros_core import formats, safetensors
from aeros_core.errors import ConfigError, PluginError


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """A distribution that offers formats: ``toy``, and ``state_dict``, which is broken."""
    info = tmp_path / "toy_formats-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-formats\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text(
        "[aeros.formats]\ntoy = toy_formats\nbroken = toy_nowhere\n"
    )
    (tmp_path / "toy_formats.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("toy_formats", None)


def test_a_file_tells_its_format_by_its_name():
    assert formats.choose("a/b.safetensors", None) is safetensors
    assert formats.choose("a.bin", "safetensors") is safetensors
    with pytest.raises(ConfigError, match=r"a.bin does not tell its format\n  exists: .safet"):
        formats.choose("a.bin", None)


def test_a_plugin_offers_a_format(offered):
    assert formats.choose("a.safetensors", "toy").__name__ == "toy_formats"


def test_a_format_that_is_broken(offered):
    with pytest.raises(PluginError, match="format broken cannot be used: ModuleNotFoundError"):
        formats.choose("a", "broken")


def test_a_format_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(formats, "entry_points", lambda group: [])
    with pytest.raises(PluginError, match="state_dict does not exist") as caught:
        formats.choose("a.pt", None)
    assert caught.value.hint == "pip install aeros-torch"
    with pytest.raises(PluginError, match="onnx does not exist") as caught:
        formats.choose("a.onnx", None)
    assert caught.value.hint == "pip install aeros-onnx"
