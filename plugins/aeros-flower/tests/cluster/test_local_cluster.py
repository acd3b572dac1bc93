"""Executors on this machine: what was started, what of it lives, and who finds it."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aeros_core.errors import ConfigError
from aeros_core.plugins.single_files import plugin_files
from aeros_flower.cluster import folder, local_cluster
from aeros_flower.config import Flower
from aeros_flower.controller.controller import FlowerController
from aeros_flower.security import probe
from aeros_flower.system.port_owner import PortOwner, port_owner


def listed(folder, *pids, port=7001, since=None):
    told = [
        {"pid": pid, "since": since or local_cluster._since(pid), "name": f"executor-{i}"}
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
    assert local_cluster.standing(here) is None
    assert asked() == (9292, 1)


def test_a_controller_finds_what_up_started_in_this_directory(here):
    listed(here, os.getpid(), os.getppid())
    assert local_cluster.standing(here) == local_cluster.Standing(
        7001, ("executor-1", "executor-2")
    )
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
    assert local_cluster.standing(here) is None
    assert asked() == (9292, 1)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"port": 1, "executors": [{}]}'])
def test_a_list_that_cannot_be_read(here, text):
    here.mkdir()
    (here / "executors.json").write_text(text)
    with pytest.raises(ConfigError, match="cannot be read"):
        local_cluster.standing(here)


def test_a_controller_that_stands_by_is_used_where_it_is_asked_for(here):
    listed(here, os.getpid(), os.getppid())
    assert not stands()
    path = here / "executors.json"
    path.write_text(path.read_text().replace("executor-1", "controller"))
    found = local_cluster.standing(here)
    assert (found, str(found)) == (
        local_cluster.Standing(7001, ("executor-2",), controller=True),
        "a controller and 1 executor",
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
    hall = Path("hall")
    listed(hall, os.getpid())
    with pytest.raises(ConfigError, match=r"1 executor of .* run already, for port 7001") as no:
        local_cluster.up(hall, 1, 7001)
    assert "next: aeros run deployment=flower controller.folder=hall, or aeros down --folder" in (
        str(no.value)
    )


def test_where_nothing_was_started_nothing_ends(here):
    with pytest.raises(ConfigError, match=r"nothing was started from .aeros\n  next: aeros up$"):
        local_cluster.down(local_cluster.FOLDER)
    with pytest.raises(ConfigError, match=r"started from hall\n  next: aeros up --folder hall$"):
        local_cluster.down(Path("hall"))


def test_another_folder_is_named(here, tmp_path):
    listed(tmp_path / "hall", os.getpid(), os.getppid())
    assert asked() == (9292, 1)
    assert asked(folder="hall") == (7001, 2)
    path = tmp_path / "hall" / "executors.json"
    path.write_text(path.read_text().replace("executor-1", "controller"))
    assert made(folder="hall")._door.folder == Path("hall/controller")
    with pytest.raises(ConfigError, match=r"controller\.folder=shed: nothing that aeros") as no:
        made(folder="shed")
    assert "next: aeros up --folder shed" in str(no.value)


@pytest.fixture
def server(tmp_path):
    """A program that listens and answers in HTTP, and its port."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    words = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=-3, stderr=-3) as process:
        ends = time.monotonic() + 30
        while not probe.check(f"127.0.0.1:{port}", None, insecure=True):
            assert time.monotonic() < ends
            time.sleep(0.05)
        yield process, port
        process.kill()


def test_who_listens_at_a_port_is_known_by_process_and_command(server, tmp_path):
    process, port = server
    found = port_owner(port)
    assert (found.pid, found.folder) == (process.pid, tmp_path)
    assert f"process {process.pid}: " in str(found)
    assert str(PortOwner(1, ("x" * 100,), tmp_path)) == f"process 1: {'x' * 79}…"


def test_at_a_port_that_is_free_nobody_listens():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        assert port_owner(found.getsockname()[1]) is None


def test_a_web_server_is_no_controller(here, server):
    process, port = server
    with pytest.raises(ConfigError, match="is taken, and not by a controller") as refused:
        local_cluster.up(here, 1, port)
    assert f"exists: process {process.pid}: " in str(refused.value)
    assert "next: aeros up --port PORT, another one" in str(refused.value)
    assert not here.exists()


@pytest.mark.parametrize(
    ("who", "said"),
    [
        (None, r"is another user's, whose controller answers there\n.*aeros up --alone"),
        (
            PortOwner(
                7,
                ("python", "-m", "aeros_flower.superlink.standby.server", "1"),
                Path("/a/.aeros/controller"),
            ),
            r"aeros up started in /a\n  exists: process 7: .*\n.*aeros down --folder /a/.aeros",
        ),
        (
            PortOwner(
                7,
                ("python", "-m", "aeros_flower.superlink.standby.server", "1"),
                Path("/a/hall/controller"),
            ),
            r"aeros up started in /a/hall\n.*\n.*aeros down --folder /a/hall",
        ),
    ],
)
def test_the_controller_of_others_is_left_to_them(here, monkeypatch, who, said):
    monkeypatch.setattr(local_cluster.probe, "check", lambda *_, **__: True)
    monkeypatch.setattr(local_cluster.probe, "is_stranger", lambda _: False)
    monkeypatch.setattr(local_cluster, "port_owner", lambda _: who)
    with pytest.raises(ConfigError, match=said):
        local_cluster.up(here, 1, 7001)


def test_a_run_of_this_user_that_waits_gets_its_executors(monkeypatch):
    monkeypatch.setattr(local_cluster.probe, "check", lambda *_, **__: True)
    monkeypatch.setattr(local_cluster.probe, "is_stranger", lambda _: False)
    monkeypatch.setattr(
        local_cluster, "port_owner", lambda _: PortOwner(7, ("aeros", "run"), Path("/a"))
    )
    assert local_cluster._answers(7001)


@pytest.mark.parametrize("wrong", [{"nodes": 0}, {"wait": -1.0}, {"window_mb": 0}])
def test_options_out_of_their_range(here, wrong):
    with pytest.raises(ConfigError, match="is below"):
        made(**wrong)


# ---------------------------------------------------------------- the folder


OURS = ("executors.json", "controller.log", "executor-3.log", "controller", "state")


@pytest.mark.parametrize("name", OURS)
def test_a_folder_with_such_files_of_others_is_refused_and_stays(tmp_path, name):
    (tmp_path / name).write_text("mine")
    (tmp_path / "thesis.tex").write_text("mine too")
    with pytest.raises(ConfigError, match=f"has {name}, which aeros up has not made") as caught:
        folder.acquire(tmp_path)
    assert caught.value.hint == f"aeros up --folder {tmp_path}/.aeros"
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {
        name: "mine", "thesis.tex": "mine too",
    }  # fmt: skip
    folder.acquire(tmp_path / ".aeros")


def test_a_folder_with_other_files_is_taken_and_they_stay(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    folder.acquire(tmp_path)
    (tmp_path / "executor-1.log").write_text("of before")
    folder.acquire(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_the_folder_of_an_earlier_version_is_ours(here):
    here.mkdir()
    for name in ("controller.log", "executor-1.log"):
        (here / name).write_text("of before")
    (here / "state").mkdir()
    folder.acquire(here)
    (here / "thesis.tex").write_text("mine")
    folder.acquire(here)


def test_a_link_under_a_name_of_ours_is_not_followed(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    (tmp_path / "executor-1.log").symlink_to(tmp_path / "thesis.tex")
    with pytest.raises(ConfigError, match="is a link, which aeros up has not made"):
        folder.opened(tmp_path / "executor-1.log")
    (tmp_path / "controller").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="is a link"):
        local_cluster._private(tmp_path / "controller")
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_only_a_socket_is_removed_as_one(tmp_path):
    (tmp_path / "line").write_text("mine")
    folder.remove_socket(tmp_path / "line")
    assert (tmp_path / "line").read_text() == "mine"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "s"))
    folder.remove_socket(tmp_path / "s")
    folder.remove_socket(tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_list_that_is_a_link_ends_nobody_and_stays(here, tmp_path):
    here.mkdir()
    (tmp_path / "theirs.json").write_text("{}")
    (here / "executors.json").symlink_to(tmp_path / "theirs.json")
    with pytest.raises(ConfigError, match="nothing was started from"):
        local_cluster.down(here)
    assert (here / "executors.json").is_symlink()


def test_executors_are_given_the_plugin_files_of_the_command(here, monkeypatch):
    Path("own_rule.py").write_text("")
    started = []
    monkeypatch.setattr(local_cluster, "_await", lambda *_: None)
    monkeypatch.setattr(
        local_cluster,
        "_start",
        lambda _folder, _port, began, name, words, _where: began.update(
            {name: started.append(words)}
        ),
    )
    with plugin_files.requesting(["own_rule.py"]):
        local_cluster.up(here, 1, 7001, alone=True)
    [words] = started
    assert " ".join(words).endswith(f"--same-user --plugin own_rule.py --state {here / 'state'}")
