"""What the package offers, and what it costs to ask."""

import importlib
import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import aeros_torch
from aeros_torch import config

MODELS = [*aeros_torch.aeros_models().values()]
OFFERED = [
    *aeros_torch.aeros_trainers().values(),
    *aeros_torch.aeros_inferencers().values(),
    *MODELS,
]


def test_offers_what_users_type():
    assert set(aeros_torch.aeros_trainers()) == {"torch"}
    assert set(aeros_torch.aeros_inferencers()) == {"torch"}
    models = {"softmax", "mlp", "cnn", "lenet", "lstm", "early_exit"}
    assert set(aeros_torch.aeros_models()) == models


def test_import_is_light():
    code = (
        "import sys, aeros_torch; aeros_torch.aeros_trainers();"
        "print([m for m in ('torch', 'numpy', 'aeros_core.roles.components') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("option", OFFERED)
def test_options_are_said_once(option):
    """The constructor takes the dataclass's options by keyword, without defaults."""
    module, _, name = option._target_.rpartition(".")
    taken = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    given = {"inputs", "outputs", "categories"} if option in MODELS else set()
    assert set(taken) - given == {f.name for f in fields(option)} - {"_target_", "defaults"}
    assert all(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in taken.values())


@pytest.mark.parametrize("option", [o for o in OFFERED if o is not config.Lenet])
def test_docstring_describes_each_option(option):
    for field in fields(option):
        if field.name not in ("_target_", "defaults"):
            assert f"\n        {field.name}: " in option.__doc__, field.name


def test_readme_names_each_option():
    readme = Path(aeros_torch.__file__).parents[2] / "README.md"
    if not readme.exists():
        pytest.skip("installed from a wheel: the README is not beside the package")
    text = readme.read_text()
    for option in OFFERED:
        for field in fields(option):
            if field.name not in ("_target_", "defaults", "model"):
                assert f"`{field.name}`" in text, field.name
