"""Executors on this machine: what was started, what of it lives, and who finds it."""

import json
import os

import pytest

from aeros_core.errors import ConfigError
from aeros_flower import neighbours
from aeros_flower.config import Flower
from aeros_flower.controller import FlowerController


def listed(folder, *pids, port=7001, since=None):
    told = [
        {"pid": pid, "since": since or neighbours._since(pid), "name": f"executor-{i}"}
        for i, pid in enumerate(pids, 1)
    ]
    folder.mkdir(exist_ok=True)
    (folder / "executors.json").write_text(json.dumps({"port": port, "executors": told}))


def made(**options):
    given = {k: v for k, v in vars(Flower()).items() if k != "_target_"}
    return FlowerController(**given | options)


def asked(**options):
    controller = made(**options)
    return controller._door.port, controller._expected


def stands(**options):
    return made(**options)._door.folder is not None


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".aeros"


def test_nobody_was_started(here):
    assert neighbours.standing(here) is None
    assert asked() == (9292, 1)


def test_a_controller_finds_what_up_started_in_this_directory(here):
    listed(here, os.getpid(), os.getppid())
    assert neighbours.standing(here) == neighbours.Standing(7001, ("executor-1", "executor-2"))
    assert asked() == (7001, 2)
    assert asked(nodes=1) == (7001, 1)
    assert asked(port=7001) == (7001, 2)
    assert asked(port=8000) == (8000, 1)  # they look elsewhere
    assert asked(host="0.0.0.0", insecure=True) == (9292, 1)
    assert asked(only=["executor-2"]) == (7001, 1)  # the other one is not waited for
    assert asked(only=["exec*"]) == (7001, 2)
    assert asked(only=["edge-*"]) == (7001, 1)


def test_a_number_that_was_given_anew_is_not_ours(here):
    listed(here, os.getpid(), since="1")
    assert neighbours.standing(here) is None
    assert asked() == (9292, 1)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"port": 1, "executors": [{}]}'])
def test_a_list_that_cannot_be_read(here, text):
    here.mkdir()
    (here / "executors.json").write_text(text)
    with pytest.raises(ConfigError, match="cannot be read"):
        neighbours.standing(here)


def test_a_controller_that_stands_by_is_used_where_it_is_asked_for(here):
    listed(here, os.getpid(), os.getppid())
    assert not stands()
    path = here / "executors.json"
    path.write_text(path.read_text().replace("executor-1", "controller"))
    found = neighbours.standing(here)
    assert (found, str(found)) == (
        neighbours.Standing(7001, ("executor-2",), controller=True), "a controller and 1 executor"
    )  # fmt: skip
    assert asked() == (7001, 1)
    assert stands()
    assert stands(port=7001)
    assert not stands(port=8000)
    assert not stands(host="0.0.0.0", insecure=True)
    assert not stands(superlink="127.0.0.1:7001")
    with pytest.raises(ConfigError, match="without TLS and keys"):
        made(admitted="nodes")


def test_two_fleets_at_once_are_refused(here):
    listed(here, os.getpid())
    with pytest.raises(ConfigError, match=r"1 executor of .* run already, for port 7001"):
        neighbours.up(here, 1, 7001)


@pytest.mark.parametrize("wrong", [{"nodes": 0}, {"wait": -1.0}, {"window_mb": 0}])
def test_options_out_of_their_range(here, wrong):
    with pytest.raises(ConfigError, match="is below"):
        made(**wrong)
