import os
import socket
import subprocess
import sys

import pytest

from aeros_algorithms import policy as sites
from aeros_algorithms.delivery import delivered
from aeros_algorithms.policy import AlgorithmPolicy
from aeros_algorithms.wheels.signed_statement import Refused
from aeros_core.tasks.algorithm_pin import AlgorithmPin


class Shelf:
    """A repository of one algorithm."""

    def __init__(self, algorithm, data):
        self.kept = algorithm, data

    def algorithm(self, name, version):
        return self.kept


@pytest.fixture
def here(site, monkeypatch):
    """The site as this process's own."""
    monkeypatch.setenv(sites.KEYS, str(site.keys))
    monkeypatch.setenv(sites.ROOT, str(site.root))
    return site


@pytest.fixture
def shelf(owner, built):
    data = built().data
    return Shelf(owner.sign(data), data)


def pins(shelf):
    algorithm, _ = shelf.kept
    return {"toy-half": AlgorithmPin(algorithm.version, algorithm.sha256)}


def test_what_a_task_locks_is_there_while_it_lasts(here, shelf):
    with delivered("digits", pins(shelf), shelf) as registry:
        assert ("collector", "half") in registry.options
        assert registry.options["collector", "half"].plugin.version == "1.0"
    with delivered("other", {}, shelf) as registry:
        assert ("collector", "half") not in registry.options


def test_nothing_is_fetched_and_no_program_is_started(here, shelf, monkeypatch):
    def forbidden(*_, **__):
        raise AssertionError

    for module, name in ((socket, "socket"), (subprocess, "Popen"), (os, "system"), (os, "fork")):
        monkeypatch.setattr(module, name, forbidden)
    with delivered("digits", pins(shelf), shelf) as registry:
        assert ("collector", "half") in registry.options


def test_what_another_task_installed_is_not_there(here, shelf, owner, built):
    """Also of the same task: only what the lock names now."""
    with delivered("digits", pins(shelf), shelf):
        pass
    with delivered("digits", {}, shelf) as registry:
        assert ("collector", "half") not in registry.options


def test_a_changed_file_is_mended_before_it_is_imported(here, shelf):
    with delivered("digits", pins(shelf), shelf):
        pass
    [folder] = (here.root / "digits").glob("toy-half-*")
    (folder / "toy_half.py").write_text("raise SystemExit(7)")
    (folder / "more.py").write_text("")
    with delivered("digits", pins(shelf), shelf) as registry:
        assert ("collector", "half") in registry.options
    assert not (folder / "more.py").exists()


def test_what_is_as_it_should_be_is_left_to_whoever_uses_it(here, shelf):
    with delivered("digits", pins(shelf), shelf):
        [folder] = (here.root / "digits").glob("toy-half-*")
        before = (folder / "toy_half.py").stat()
        (folder / "__pycache__").mkdir(exist_ok=True)
        (folder / "__pycache__/toy_half.cpython-311.pyc").write_bytes(b"of another source")
        with delivered("digits", pins(shelf), shelf):
            pass
        assert (folder / "toy_half.py").stat().st_ino == before.st_ino
        assert not list(folder.rglob("*.pyc"))


def test_a_link_in_place_of_a_file_is_replaced(here, shelf, tmp_path):
    with delivered("digits", pins(shelf), shelf):
        pass
    [folder] = (here.root / "digits").glob("toy-half-*")
    (tmp_path / "elsewhere.py").write_bytes((folder / "toy_half.py").read_bytes())
    (folder / "toy_half.py").unlink()
    (folder / "toy_half.py").symlink_to(tmp_path / "elsewhere.py")
    with delivered("digits", pins(shelf), shelf):
        pass
    assert not (folder / "toy_half.py").is_symlink()


def test_another_algorithm_than_was_asked_for(here, shelf):
    wanted = {"toy-third": AlgorithmPin("1.0", "0" * 64)}
    with (
        pytest.raises(Refused, match="toy-third was asked for, toy-half was delivered"),
        delivered("digits", wanted, shelf),
    ):
        pass


def test_a_site_is_where_its_environment_says(monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/me/settings")
    for name in (sites.KEYS, sites.ROOT, sites.MORE):
        monkeypatch.delenv(name, raising=False)
    own = AlgorithmPolicy.here()
    assert (str(own.keys), str(own.root), own.allowed) == (
        "/home/me/settings/aeros/keys", "aeros-algorithms", {"aeros-core", "numpy"},
    )  # fmt: skip
    monkeypatch.setenv(sites.MORE, "scipy, torch")
    assert AlgorithmPolicy.here().allowed == {"aeros-core", "numpy", "scipy", "torch"}


def test_nothing_is_imported_that_was_refused(here, stranger, built):
    data = built(code="raise SystemExit(7)").data
    shelf = Shelf(stranger.sign(data), data)
    with pytest.raises(Refused, match="not trusted here"), delivered("digits", pins(shelf), shelf):
        pass
    assert "toy_half" not in sys.modules


def test_a_delivered_algorithm_that_fails_is_not_looked_for_in_an_index(here, owner, built):
    data = built(code="import nowhere_installed").data
    shelf = Shelf(owner.sign(data), data)
    with delivered("digits", pins(shelf), shelf) as registry:
        [plugin] = [each for each in registry.plugins if each.name == "half"]
        error = registry.missing("collector", "half")
    assert plugin.reason == "ModuleNotFoundError: No module named 'nowhere_installed'"
    assert plugin.fix == (
        "lock another version of it: aeros algorithms list toy-half, aeros algorithms lock"
        " toy-half:VERSION"
    )
    assert "pip install" not in str(error)
