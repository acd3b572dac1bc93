"""What an app of somebody is told: checked beforehand, and said as Flower does."""

import tomllib
from pathlib import Path

import pytest
from flwr.common.config import get_fused_config_from_dir

from aeros_core.errors import ConfigError
from aeros_flower.controller.flower_app import FlowerApp
from aeros_flower.superlink import app_bundle

CONFIG = """\
learning-rate = 0.1
local-epochs = 1
data.path = "here"
data.deep.er = true
"""


@pytest.fixture
def theirs(their_app):
    return their_app(CONFIG)


@pytest.mark.parametrize("name", ["train_config", "run_config"])
def test_without_an_app_nobody_reads_it(name):
    with pytest.raises(ConfigError, match=rf"controller.{name} is for somebody's Flower app"):
        FlowerApp(None, **{name: {"lr": 0.1}})


@pytest.mark.parametrize("name", ["train_config", "run_config"])
@pytest.mark.parametrize("value", [7, "lr=0.1", [1]])
def test_what_is_no_table(name, value):
    with pytest.raises(ConfigError, match=rf"controller.{name}=.* is no table") as refused:
        FlowerApp("app", **{name: value})
    assert f"next: controller.{name}={{lr: 0.01}}" in str(refused.value)


@pytest.mark.parametrize("value", [1, 0.5, "a", True, [1, 2], ["a"], [0.5], -(2**63)])
def test_what_a_message_can_say(value):
    FlowerApp("app", {"lr": value})


@pytest.mark.parametrize("value", [None, {"a": 1}, [1, "a"], [None], [[1]]])
def test_what_a_message_cannot_say(value):
    with pytest.raises(ConfigError, match=r"lr=.* cannot be said") as refused:
        FlowerApp("app", {"lr": value})
    assert "next: controller.train_config={lr: 0.01}" in str(refused.value)


@pytest.mark.parametrize("value", [2**63, [0, -(2**63) - 1]])
def test_numbers_of_more_than_64_bits(value):
    with pytest.raises(ConfigError, match=r"n=.* is beyond 64 bits"):
        FlowerApp("app", {"n": value})


@pytest.mark.parametrize("name", ["server-round", "seed"])
def test_what_aeros_says_itself(name):
    with pytest.raises(ConfigError, match=f"aeros itself says '{name}'"):
        FlowerApp("app", {name: 1})


def test_an_option_that_the_app_does_not_have(theirs):
    with pytest.raises(ConfigError, match="has no 'lr'") as refused:
        FlowerApp(str(theirs), run_config={"lr": 0.1})
    assert "data.deep.er, data.path, learning-rate, local-epochs" in str(refused.value)
    with pytest.raises(ConfigError, match=r"has no 'data\.lr'"):
        FlowerApp(str(theirs), run_config={"data": {"lr": 0.1}})


@pytest.mark.parametrize("value", [None, [1]])
def test_a_value_that_flower_does_not_have_there(theirs, value):
    with pytest.raises(ConfigError, match=r"learning-rate=.* is no number, text, true or false"):
        FlowerApp(str(theirs), run_config={"learning-rate": value})


@pytest.mark.parametrize(
    "given", [{"data": {"path": "there", "deep.er": False}},
              {"data.path": "there", "data": {"deep": {"er": False}}}],
)  # fmt: skip
def test_the_bundle_has_the_run_config_and_the_app_stays_as_it_was(theirs, given, tmp_path):
    before = (theirs / "pyproject.toml").read_text()
    with FlowerApp(str(theirs), run_config=given | {"learning-rate": 0.5}).configured() as made:
        bundle = app_bundle.of(Path(made))
    assert not Path(made).exists()
    assert (theirs / "pyproject.toml").read_text() == before
    app_bundle.unpack(bundle, tmp_path / "found", {})
    overridden = {"learning-rate": 0.5, "data.path": "there", "data.deep.er": False}
    assert get_fused_config_from_dir(tmp_path / "found", {}) == (
        get_fused_config_from_dir(theirs, overridden)  # what flwr run --run-config comes to
    )
    assert (tmp_path / "found" / "theirs" / "client_app.py").read_text() == "app = 1\n"


def test_without_a_run_config_the_folder_is_taken_as_it_is(theirs):
    with FlowerApp(str(theirs), {"lr": 0.1}).configured() as made:
        assert made == str(theirs)
    with FlowerApp(None).configured() as made:
        assert made is None


@pytest.mark.parametrize("text", ["[", "[project]\n", "tool = 1\n"])
def test_a_project_that_is_no_flower_app(theirs, text):
    (theirs / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"pyproject.toml is no Flower app's") as refused:
        FlowerApp(str(theirs), run_config={"lr": 0.1})
    assert f"flwr build --app {theirs}" in str(refused.value)


def test_a_project_without_options(their_app):
    theirs = their_app("")
    text = (theirs / "pyproject.toml").read_text()
    assert "config" not in tomllib.loads(text)["tool"]["flwr"]["app"]
    with pytest.raises(ConfigError, match="nothing in its"):
        FlowerApp(str(theirs), run_config={"lr": 0.1})
