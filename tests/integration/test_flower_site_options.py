"""Options of a task that name files or addresses are the site's to decide."""

import dataclasses

import numpy as np
import pytest
from omegaconf import OmegaConf

from aeros_core.config import store
from aeros_core.errors import AccessError, ConfigError
from aeros_core.files.data_files import ANYWHERE, NOWHERE, DataFile, below
from aeros_core.parameters import Parameters
from aeros_core.plugins import discovery
from aeros_core.records import Model
from aeros_core.schema import Field, Schema
from aeros_flower.executor.preparation import prepared
from aeros_flower.protocol.executor_info import ExecutorInfo
from aeros_flower.site.policy.options import SiteOptions
from aeros_flower.site.policy.policy import Policy
from aeros_flower.site.rules import Request

REGISTRY = discovery.discover()


def node(group, name, **values):
    """The configuration of an option as a controller sends it."""
    made = store.structured(REGISTRY.options[group, name].config)
    told = OmegaConf.to_container(made, enum_to_str=True)
    return {k: None if v == "???" else v for k, v in told.items() if k != "defaults"} | values


def task(source="table", **values):
    return {
        "task": {"name": "t", "seed": 0},
        "transformer": {source: node("transformer", source, **values)},
        "trainer": node("trainer", "torch", model=node("trainer/model", "softmax")),
        "inferencer": None,
        "collector": {"codec": None},
    }


def settled(asked, *settings, **site):
    return SiteOptions(REGISTRY, settings, **site).configured(asked)


def test_with_data_of_its_own_a_controllers_paths_are_not_taken(tmp_path):
    asked = task(path="/etc/passwd", test_path="/etc/shadow", label="y")
    table = settled(asked, "transformer.table.path=mine.csv", own=True)["transformer"]["table"]
    assert table["path"] == "mine.csv"
    assert table["path"].access == ANYWHERE
    assert table["test_path"] is None
    assert table["label"] == "y"
    assert asked["transformer"]["table"]["path"] == "/etc/passwd", "the message is not changed"


def test_what_the_site_does_not_set_has_its_default():
    made = settled(task(path="/etc/passwd"), own=True)
    assert made["transformer"]["table"]["path"] == ""
    made = settled(task("npz", path="/etc/passwd"), own=True)
    assert made["transformer"]["npz"]["path"] == ""


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("mnist", "mnist"),
        ("fashion_mnist", "fashion-mnist"),
        ("text", "tinyshakespeare/input.txt.gz"),
    ],
)
def test_a_default_is_the_sites_place_of_data_sets(source, place, monkeypatch, tmp_path):
    monkeypatch.setenv("AEROS_DATA", "/srv")
    path = settled(task(source, path="/etc"), own=True)["transformer"][source]["path"]
    assert path == f"/srv/{place}"
    assert path.access == ANYWHERE
    shared = settled(task(source), files=below(tmp_path))["transformer"][source]["path"]
    assert shared == f"{tmp_path}/{place}"
    with pytest.raises(AccessError, match="gives tasks no file"):
        settled(task(source))


def test_how_the_file_is_written_comes_from_the_site_first():
    asked = task(separator="tab", header=False)
    table = settled(asked, "transformer.table.separator=;", own=True)["transformer"]["table"]
    assert table["separator"] == ";"
    assert table["header"] is False


def test_without_a_data_root_a_task_names_no_file():
    for path in ("data.csv", "/etc/passwd"):
        with pytest.raises(AccessError, match="gives tasks no file"):
            settled(task(path=path))


def test_below_a_data_root_a_tasks_paths_are_taken(tmp_path):
    (tmp_path / "data.csv").write_text("x,y\n1,2\n")
    table = settled(task(path="data.csv"), files=below(tmp_path))["transformer"]["table"]
    assert table["path"] == str(tmp_path / "data.csv")
    assert isinstance(table["path"], DataFile)


@pytest.mark.parametrize("option", ["path", "test_path"])
@pytest.mark.parametrize("path", ["../data.csv", "/etc/passwd", "a/../../data.csv"])
def test_paths_out_of_the_data_root_are_refused(option, path, tmp_path):
    with pytest.raises(AccessError, match="outside the data root"):
        settled(task(**{option: path}), files=below(tmp_path))


@pytest.mark.parametrize("value", [["/etc/passwd"], {"path": "/etc/passwd"}, 3, True, [], {}])
def test_a_path_of_another_type_is_refused(value, tmp_path):
    with pytest.raises(ConfigError, match="must be the path of a file"):
        settled(task(path=value), files=below(tmp_path))
    assert settled(task(path=value), own=True)["transformer"]["table"]["path"] == ""


def test_what_a_site_sets_may_lie_anywhere_beside_a_data_root(tmp_path):
    made = settled(task(), "transformer.table.path=/srv/x.csv", files=below(tmp_path))
    path = made["transformer"]["table"]["path"]
    assert path == "/srv/x.csv"
    assert path.access == ANYWHERE


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("123", "123"),
        ("null", None),
        ('"1.csv"', "1.csv"),
        ("true", "true"),
        ("a=b.csv", "a=b.csv"),
    ],
)
def test_a_path_that_a_site_sets_is_text(typed, path):
    made = settled(task(), f"transformer.table.test_path={typed}", own=True)
    assert made["transformer"]["table"]["test_path"] == path


def test_a_site_sets_paths_that_a_controller_left_out():
    asked = task()
    del asked["transformer"]["table"]["path"], asked["transformer"]["table"]["test_path"]
    table = settled(asked, "transformer.table.path=mine.csv", own=True)["transformer"]["table"]
    assert (table["path"], table["test_path"]) == ("mine.csv", None)


@pytest.mark.parametrize(
    "word",
    ["transformer.iris.path=x", "transformer.table.pat=x", "task.seed=1", "path=x", "x.y=z",
     "transformer=x", "collector.codec.x=1", "transformer.table._target_.x=1"],
)  # fmt: skip
def test_a_site_sets_only_what_the_task_has(word):
    with pytest.raises(ConfigError, match="the task has no option"):
        settled(task(), word, own=True)


def remote(**values):
    return task() | {"inferencer": node("inferencer", "remote", **values)}


def test_no_address_is_taken_from_a_controller():
    asked = remote(url="https://evil.example", ca="/etc/shadow", token="HOME")
    made = settled(asked, own=True)["inferencer"]
    assert (made["url"], made["ca"]) == ("http://127.0.0.1:8080", None)
    assert made["token"] == "AEROS_REMOTE_TOKEN"
    for option in ({"url": "https://evil.example"}, {"token": "HOME"}, {"url": ["x"]}):
        with pytest.raises(AccessError) as caught:
            settled(remote(**option) | {"transformer": {}})
        assert "evil" not in caught.value.kind
        assert "the site does not give" in caught.value.kind


def test_an_address_that_the_site_allows_is_taken():
    asked = remote(url="https://good.example") | {"transformer": {}}
    for own in (True, False):
        made = settled(asked, own=own, allowed="https://good.example".__eq__)
        assert made["inferencer"]["url"] == "https://good.example"


def test_a_site_sets_an_address_itself():
    asked = remote(url="https://evil.example") | {"transformer": {}}
    made = settled(asked, "inferencer.url=https://mine.example")
    assert made["inferencer"]["url"] == "https://mine.example"


def test_members_at_any_depth_name_no_file_and_no_address(tmp_path):
    inner = node("inferencer", "remote", url="https://evil.example", ca="/etc/shadow")
    outer = node("inferencer", "sequence", members={"b": {"inferencer": inner}}, order=["b"])
    members = {"a": {"inferencer": outer}, "c": [{"inferencer": inner}]}
    asked = task() | {"inferencer": node("inferencer", "ensemble", members=members)}
    made = settled(asked, own=True)["inferencer"]["members"]
    for found in (made["a"]["inferencer"]["members"]["b"], made["c"][0]):
        assert found["inferencer"]["url"] == "http://127.0.0.1:8080"
        assert found["inferencer"]["ca"] is None
    with pytest.raises(AccessError):
        settled(asked | {"transformer": {}}, files=below(tmp_path))


def test_a_part_within_an_option_of_any_name_is_looked_at():
    asked = task()
    asked["trainer"]["optimizer_options"] = {"deep": [node("transformer", "npz", path="/etc")]}
    made = settled(asked, own=True)
    assert made["trainer"]["optimizer_options"]["deep"][0]["path"] == ""


@pytest.mark.parametrize("name", ["table", "npz", "text", "mnist", "fashion_mnist"])
def test_steps_of_a_delivered_model_read_no_file(name, tmp_path):
    schema = Schema((Field("x", "float32"),), None)
    steps = {name: node("transformer", name, path="/etc/passwd")}
    model = Model("m", Parameters.of({"w": np.zeros(1, np.float32)}), schema, transformers=steps)
    made = SiteOptions(REGISTRY, own=True).delivered(model)
    assert "/etc/passwd" not in str(made.transformers)
    with pytest.raises(AccessError):
        SiteOptions(REGISTRY, files=below(tmp_path)).delivered(model)
    assert model.transformers[name]["path"] == "/etc/passwd"


def test_everything_is_taken_from_a_controller_of_the_same_user(monkeypatch):
    monkeypatch.delenv("AEROS_DATA", raising=False)
    same = {"files": ANYWHERE, "allowed": lambda _: True}
    asked = remote(url="https://mine.example", ca="ca.pem") | task(path="/srv/x.csv")
    asked["inferencer"] = remote(url="https://mine.example", ca="ca.pem")["inferencer"]
    made = settled(asked, **same)
    assert made["inferencer"]["url"] == "https://mine.example"
    assert made["transformer"]["table"]["path"] == "/srv/x.csv"
    assert settled(task("mnist"), **same)["transformer"]["mnist"]["path"] == "data/mnist"


def test_every_declared_option_of_every_source_and_inferencer_is_decided():
    """Whatever a plugin declares: nothing of it is taken with data of the site's own."""
    for (group, name), option in REGISTRY.options.items():
        if group not in ("transformer", "inferencer", "trainer", "trainer/model"):
            continue
        evil = dict.fromkeys(option.kinds, "EVIL")
        names = {f.name for f in dataclasses.fields(option.config)}
        asked = {"transformer": {"x": {"_target_": option.target, **evil}}}
        assert names >= set(evil)
        assert "EVIL" not in str(settled(asked, own=True)), f"{group}={name}"


def test_without_anything_declared_nothing_is_changed():
    asked = task() | {"transformer": {"iris": node("transformer", "iris")}}
    for site in ({"own": True}, {"files": NOWHERE}):
        assert settled(asked, **site) == asked


def test_what_to_type_at_the_site_is_said_as_it_is_typed_there():
    place = ExecutorInfo("edge", own=True)
    with pytest.raises(ConfigError, match=r"transformer\.table\.path is not set") as caught:
        prepared(REGISTRY, place, Policy(), Request(task(path="/etc/passwd", label="y")))
    assert caught.value.hint == "--set transformer.table.path=<file>"
