"""Whose keys are trusted: those that nobody else can put there."""

import os
from pathlib import Path

import pytest

from aeros_algorithms.keys import ed25519, revocation, trust_folder
from aeros_algorithms.keys.trust_folder import check_owned, of_keys
from aeros_core.errors import ConfigError


@pytest.fixture(autouse=True)
def _environment(tmp_path, monkeypatch):
    monkeypatch.delenv(trust_folder.KEYS, raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(trust_folder, "SYSTEM", tmp_path / "etc/aeros/keys")


def test_the_users_own_folder(tmp_path, monkeypatch):
    assert of_keys() == tmp_path / "home/.config/aeros/keys"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    assert of_keys() == tmp_path / "settings/aeros/keys"


@pytest.mark.parametrize("base", ["", ".", "config", "../config"])
def test_a_relative_base_is_ignored(tmp_path, monkeypatch, base):
    """Else a folder that was cloned would be below it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", base)
    assert of_keys() == tmp_path / "home/.config/aeros/keys"


def test_the_systems_folder_is_for_users_without_one(tmp_path, monkeypatch):
    trust_folder.SYSTEM.mkdir(parents=True)
    assert of_keys() == trust_folder.SYSTEM
    (tmp_path / "home/.config/aeros/keys").mkdir(parents=True)
    assert of_keys() == tmp_path / "home/.config/aeros/keys"
    monkeypatch.setenv("HOME", "relative")
    assert of_keys() == trust_folder.SYSTEM


def test_what_is_typed_comes_first(monkeypatch):
    monkeypatch.setenv(trust_folder.KEYS, "mine")
    assert of_keys() == Path("mine")
    monkeypatch.setenv(trust_folder.KEYS, "")
    assert of_keys().is_absolute()


@pytest.mark.parametrize("which", ["", "keys", "keys/owner.pub"])
@pytest.mark.parametrize(("mode", "who"), [(0o020, "its group"), (0o002, "anybody")])
def test_what_others_may_write(owner, tmp_path, which, mode, who):
    path = tmp_path / which
    path.chmod(path.stat().st_mode | mode)
    with pytest.raises(ConfigError) as caught:
        ed25519.trusted(tmp_path / "keys")
    assert str(caught.value) == f"{who} may write {path}\n  next: chmod o-w,g-w {path}"
    path.chmod(path.stat().st_mode & ~0o022)
    assert set(ed25519.trusted(tmp_path / "keys")) == {owner.id}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("which", ["", "keys", "keys/owner.pub"])
def test_what_belongs_to_another_user(owner, tmp_path, which):
    path = tmp_path / which
    os.chown(path, 12345, -1)
    with pytest.raises(ConfigError, match=r"belongs to another user \(number 12345\)"):
        ed25519.trusted(tmp_path / "keys")


def test_a_folder_in_which_only_owners_rename_is_fine(owner, tmp_path):
    tmp_path.chmod(0o1777)
    assert set(ed25519.trusted(tmp_path / "keys")) == {owner.id}


def test_where_a_link_leads_is_looked_at(owner, tmp_path):
    (tmp_path / "open").mkdir(mode=0o777)
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "keys").rename(tmp_path / "open/keys")
    (tmp_path / "keys").symlink_to(tmp_path / "open/keys")
    with pytest.raises(ConfigError, match=r"anybody may write .*/open\n"):
        ed25519.trusted(tmp_path / "keys")


def test_a_list_of_revocations_that_others_may_write(owner, tmp_path):
    revocation.revoke(tmp_path / "keys", owner.id)
    (tmp_path / "keys/revoked.json").chmod(0o664)
    with pytest.raises(ConfigError, match=r"its group may write .*revoked\.json"):
        revocation.check(tmp_path / "keys", "a" * 64)


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing cannot be read: No such file"):
        check_owned(tmp_path / "nothing")
