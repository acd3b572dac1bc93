import dataclasses
import importlib
import inspect
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

import aeros_transforms
from aeros_core.errors import ConfigError
from aeros_core.roles.transformer import Partitioner, Source, Transformer

OPTIONS = aeros_transforms.aeros_transformers()
NEEDED = {
    "table": {"path": "x.csv"},
    "npz": {"path": "x.npz"},
    "by_group": {"column": "x"},
    "select": {"fields": ["x"]},
    "drop": {"fields": ["x"]},
    "clip": {"high": 1.0},
}


def implementation(config):
    module, _, name = config._target_.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("option", OPTIONS)
def test_class_takes_the_options_by_keyword_without_defaults(option):
    config = OPTIONS[option]
    parameters = inspect.signature(implementation(config)).parameters
    options = {field.name for field in dataclasses.fields(config)} - {"_target_"}
    assert set(parameters) == options
    assert all(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters.values())


@pytest.mark.parametrize("option", OPTIONS)
def test_docstring_describes_every_option(option):
    config = OPTIONS[option]
    for field in dataclasses.fields(config)[1:]:
        assert f"        {field.name}: " in config.__doc__, field.name


@pytest.mark.parametrize("option", OPTIONS)
def test_structured_config_builds_an_object_of_one_kind(option, monkeypatch):
    monkeypatch.setenv("AEROS_DATA", "/data")
    config = OmegaConf.merge(OmegaConf.structured(OPTIONS[option]), NEEDED.get(option, {}))
    values = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    values.pop("_target_")
    built = implementation(OPTIONS[option])(**values)
    assert sum(isinstance(built, kind) for kind in (Source, Transformer, Partitioner)) == 1


@pytest.mark.parametrize(
    ("option", "place"),
    [
        ("mnist", "mnist"),
        ("fashion_mnist", "fashion-mnist"),
        ("text", "tinyshakespeare/input.txt.gz"),
    ],
)
def test_data_folder_comes_from_the_environment(option, place, monkeypatch):
    config = OmegaConf.to_container(OmegaConf.structured(OPTIONS[option]))
    assert config.pop("path") is None
    del config["_target_"]
    for value, folder in (("/somewhere", "/somewhere"), ("", "data"), (None, "data")):
        if value is None:
            monkeypatch.delenv("AEROS_DATA")
        else:
            monkeypatch.setenv("AEROS_DATA", value)
        source = implementation(OPTIONS[option])(path=None, **config)
        with pytest.raises(ConfigError, match=f"{folder}/{place}"):
            source.load("train")


def test_importing_the_plugin_imports_nothing_heavy():
    code = (
        "import sys, aeros_transforms; aeros_transforms.aeros_transformers();"
        "print(*{'numpy', 'pandas', 'sklearn', 'pyarrow', 'omegaconf'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
