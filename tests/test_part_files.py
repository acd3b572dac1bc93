"""Options that name files, on their way into a part: text, or what a site grants of it."""

import os

import pytest

pytest.importorskip("aeros_transforms")

from aeros_core.config import store
from aeros_core.config.instantiate import build_part
from aeros_core.errors import AccessError, ConfigError
from aeros_core.files.data_files import ANYWHERE, NOWHERE, DataFile, below, dataset
from aeros_core.plugins import discovery

REGISTRY = discovery.discover()


def node(name, **values):
    return store.plain(store.structured(REGISTRY.options["transformer", name].config)) | values


def table(files, path, **values):
    made = node("table", path=path, label="y", **values)
    return build_part(REGISTRY, "transformer", made, "table", files)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    rows = "".join(f"{n},{'no' if n % 2 else 'yes'}\n" for n in range(20))
    (tmp_path / "root" / "data.csv").write_text("x,y\n" + rows)
    (tmp_path / "secret.csv").write_text("x,y\n" + rows.replace("no", "hunter2"))
    return tmp_path / "root"


def test_a_users_own_run_reads_any_file(root):
    assert len(table(ANYWHERE, str(root.parent / "secret.csv")).load("train")) > 0


def test_below_a_data_root_a_part_reads_what_lies_there(root):
    assert len(table(below(root), "data.csv").load("train")) > 0


@pytest.mark.parametrize("path", ["../secret.csv", "/etc/passwd"])
def test_a_part_is_not_built_with_a_path_that_leads_out(root, path):
    with pytest.raises(AccessError):
        table(below(root), path)
    with pytest.raises(AccessError):
        table(below(root), "data.csv", test_path=path)
    with pytest.raises(AccessError):
        table(NOWHERE, path)


def test_what_was_granted_already_is_read_whatever_else_may_be(root):
    granted = DataFile(str(root / "data.csv"), ANYWHERE)
    assert len(table(NOWHERE, granted).load("train")) > 0


def test_a_file_that_became_a_link_is_not_read(root):
    part = table(below(root), "data.csv")
    (root / "data.csv").unlink()
    (root / "data.csv").symlink_to("../secret.csv")
    with pytest.raises(AccessError, match="symbolic link"):
        part.load("train")


def test_a_file_that_became_a_hard_link_is_not_read(root):
    part = table(below(root), "data.csv")
    (root / "data.csv").unlink()
    os.link(root.parent / "secret.csv", root / "data.csv")
    with pytest.raises(AccessError, match="hard link"):
        part.load("train")


def test_a_pipe_never_hangs_a_users_own_run(root):
    os.mkfifo(root / "pipe")
    with pytest.raises(ConfigError, match="a named pipe, not a regular file"):
        table(ANYWHERE, str(root / "pipe")).load("train")


@pytest.mark.parametrize("value", [["a.csv"], {"a": 1}, 3, False])
def test_a_path_that_is_no_text_is_refused(value):
    with pytest.raises(ConfigError, match=r"transformer\.table\.path must be the path of a file"):
        table(ANYWHERE, value)


@pytest.mark.parametrize("unset", [None, ""])
def test_the_usual_place_of_a_data_set_is_below_the_data_root(root, unset, monkeypatch):
    monkeypatch.setenv("AEROS_DATA", str(root.parent))
    (root.parent / "mnist").mkdir()
    with pytest.raises(AccessError, match="gives tasks no file"):
        build_part(REGISTRY, "transformer", node("mnist", path=unset), "mnist", NOWHERE)
    part = build_part(REGISTRY, "transformer", node("mnist", path=unset), "mnist", below(root))
    with pytest.raises(ConfigError, match=f"{root}/mnist holds no train-images"):
        part.load("train")
    part = build_part(REGISTRY, "transformer", node("mnist", path=unset), "mnist")
    with pytest.raises(ConfigError, match=f"{dataset('mnist')} holds no train-images"):
        part.load("train")
