import sys
from dataclasses import replace

import pytest

from aeros_core.errors import ConfigError, PluginError
from aeros_core.models import formats, safetensors

CODE = """
from aeros_core import hookimpl
from aeros_core.hooks.extensions import Format

@hookimpl
def aeros_formats():
    return [
        Format("toy", "toy_files.toy", suffixes=(".toy", ".ty")),
        Format("other", "toy_files.toy", suffixes=(".ty",)),
        Format("broken", "toy_nowhere"),
        Format("empty", "toy_files", suffixes=(".empty",)),
    ]
"""
FILES = """
def load(path, name):
    raise NotImplementedError

def save(path, model):
    return path.write_bytes(b"toy")
"""


@pytest.fixture
def offered(install, distribution):
    """A distribution that offers formats, some of them broken, and nothing else."""
    install()
    files = distribution("toy-formats", CODE) / "toy_files"
    files.mkdir()
    (files / "__init__.py").touch()
    (files / "toy.py").write_text(FILES)
    yield
    for name in ("toy_files", "toy_files.toy"):
        sys.modules.pop(name, None)


def test_a_file_tells_its_format_by_its_name():
    assert formats.choose("a/b.safetensors", None) is safetensors
    assert formats.choose("a.bin", "safetensors") is safetensors
    with pytest.raises(ConfigError, match=r"a.bin does not tell its format\n  exists: .safet"):
        formats.choose("a.bin", None)


def test_a_plugin_offers_a_format(offered):
    assert formats.choose("a.safetensors", "toy").__name__ == "toy_files.toy"
    assert "toy_nowhere" not in sys.modules


def test_the_suffixes_are_those_that_plugins_register(offered):
    assert formats.choose("a.toy", None).__name__ == "toy_files.toy"
    with pytest.raises(ConfigError, match=r"exists: \.safetensors, .*\.empty, \.toy, \.ty\n"):
        formats.choose("a.bin", None)


def test_a_suffix_of_two_formats_asks_for_the_name(offered):
    with pytest.raises(ConfigError, match=r"a\.ty: several formats have the suffix \.ty") as caught:
        formats.choose("a.ty", None)
    assert (caught.value.exists, caught.value.hint) == ("other, toy", "--format other")
    assert formats.choose("a.ty", "other").__name__ == "toy_files.toy"


def test_a_format_that_is_broken(offered):
    with pytest.raises(PluginError, match="format broken cannot be used: ModuleNotFoundError") as e:
        formats.choose("a", "broken")
    assert (e.value.provider, e.value.hint) == (
        "toy-formats 2.0",
        "pip install --upgrade toy-formats",
    )


def test_a_format_whose_module_lacks_the_functions(offered):
    with pytest.raises(PluginError, match="toy_files must have the functions load and save"):
        formats.choose("a.empty", None)


def test_a_format_that_is_not_installed(monkeypatch, install):
    registry = install()
    core = tuple(plugin for plugin in registry.plugins if plugin.name == "core")
    monkeypatch.setattr(formats.discovery, "discover", lambda: replace(registry, plugins=core))
    with pytest.raises(PluginError, match="state_dict does not exist") as caught:
        formats.choose("a.pt", None)
    assert caught.value.hint == "pip install aeros-torch"
    with pytest.raises(PluginError, match="onnx does not exist") as caught:
        formats.choose("a.onnx", None)
    assert (caught.value.exists, caught.value.hint) == ("safetensors", "pip install aeros-onnx")


CLASH = """
from aeros_core import hookimpl
from aeros_core.hooks.extensions import Format

@hookimpl
def aeros_formats():
    return [Format(NAME, "toy_files.toy", suffixes=(SUFFIX,))]
"""


def test_a_format_that_two_plugins_offer(offered, distribution):
    distribution("toy-more", CLASH.replace("NAME", "'toy'").replace("SUFFIX", "'.toy'"))
    with pytest.raises(PluginError, match="format toy is offered by several packages") as caught:
        formats.choose("a", "toy")
    assert caught.value.provider == "toy-formats 2.0 and toy-more 2.0"
    assert formats.choose("a.safetensors", None) is safetensors


@pytest.mark.parametrize(
    ("name", "suffix", "said"),
    [
        ("safetensors", ".st", "format safetensors is aeros-core's own; choose another name"),
        ("mine", ".safetensors", "suffix .safetensors belongs to aeros-core's own format"),
    ],
)
def test_a_plugin_cannot_take_the_cores_own_format(offered, distribution, name, suffix, said):
    distribution("toy-more", CLASH.replace("NAME", repr(name)).replace("SUFFIX", repr(suffix)))
    [plugin] = [p for p in formats.discovery.discover().plugins if p.name == "toy_more"]
    assert (plugin.status, plugin.reason) == ("failed", f"aeros_formats: ValueError: {said}")
    assert formats.choose("a.safetensors", None) is safetensors
    assert formats.choose("a.toy", None).__name__ == "toy_files.toy"
