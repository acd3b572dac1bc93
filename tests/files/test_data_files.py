"""Files below a data root: none outside it is opened, whatever the path or the moment."""

import os
import pickle
import socket
import threading

import pytest

from aeros_core.errors import AccessError, ConfigError
from aeros_core.files.data_files import (
    ANYWHERE,
    NOWHERE,
    DataFile,
    below,
    dataset,
    exists,
    inside,
    listing,
    open_file,
)

SECRET = b"hunter2"


@pytest.fixture
def root(tmp_path):
    """A data root with one file, beside a secret that lies outside of it."""
    folder = tmp_path / "root"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "data.csv").write_bytes(b"a,b\n")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "data.csv").write_bytes(SECRET)
    return folder


def read(access, value):
    with open_file(access.grant(value, "transformer.table.path"), "transformer.table.path") as file:
        return file.read()


@pytest.mark.parametrize("value", ["sub/data.csv", "./sub//data.csv", "sub/./data.csv"])
def test_a_path_is_seen_from_the_data_root(root, value, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path / "secret")
    assert read(below(root), value) == b"a,b\n"


def test_an_absolute_path_below_the_data_root_is_given(root):
    assert read(below(root), str(root / "sub" / "data.csv")) == b"a,b\n"


@pytest.mark.parametrize(
    "value",
    [
        "../secret/data.csv",
        "sub/../../secret/data.csv",
        "sub/..",
        "..",
        "/etc/passwd",
        "//etc/passwd",
        "/",
        "/proc/self/environ",
        "/proc/self/fd/0",
        "/dev/zero",
        "/dev/stdin",
        "{root}/../secret/data.csv",
        "{root}-other/data.csv",
    ],
)
def test_a_path_that_leads_out_of_the_data_root_is_refused(root, value):
    with pytest.raises(AccessError, match="outside the data root") as caught:
        below(root).grant(value.format(root=root), "transformer.table.path")
    assert caught.value.kind == "the task names a file outside the data root"


@pytest.mark.parametrize("value", ["data.csv\0", "\0", "\ud800.csv"])
@pytest.mark.parametrize("access", [ANYWHERE, "below"])
def test_a_path_with_a_character_that_no_path_has_is_refused(root, value, access):
    access = below(root) if access == "below" else access
    with pytest.raises(ConfigError, match="a character that no path has"):
        access.grant(value, "transformer.table.path")


@pytest.mark.parametrize("value", [["a"], {"a": "b"}, 3, b"data.csv", None])
def test_what_is_no_text_is_refused(root, value):
    with pytest.raises(ConfigError, match="must be the path of a file"):
        below(root).grant(value, "transformer.table.path")


def test_without_a_data_root_no_file_is_given():
    with pytest.raises(AccessError, match="gives tasks no file") as caught:
        NOWHERE.grant("data.csv", "transformer.table.path")
    assert "--data-root DIR" in caught.value.hint
    assert "data.csv" not in caught.value.kind


@pytest.mark.parametrize("value", ["sub/link.csv", "folder/data.csv", "inner/data.csv", "chain"])
def test_no_symbolic_link_is_followed_below_the_data_root(root, value):
    (root / "sub" / "link.csv").symlink_to(root.parent / "secret" / "data.csv")
    (root / "folder").symlink_to(root.parent / "secret")
    (root / "inner").symlink_to("sub")  # one that stays below it either
    (root / "chain").symlink_to("sub/link.csv")
    with pytest.raises(AccessError, match="symbolic link"):
        below(root).grant(value, "transformer.table.path")


def test_links_are_followed_where_the_user_named_the_file(root):
    (root / "link.csv").symlink_to(root.parent / "secret" / "data.csv")
    assert read(ANYWHERE, str(root / "link.csv")) == SECRET


def test_the_data_root_itself_may_be_a_symbolic_link(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    assert read(below(tmp_path / "link"), "sub/data.csv") == b"a,b\n"


def test_a_hard_link_is_refused_below_the_data_root(root):
    os.link(root.parent / "secret" / "data.csv", root / "hard.csv")
    with pytest.raises(AccessError, match="hard link"):
        below(root).grant("hard.csv", "transformer.table.path")
    assert read(ANYWHERE, str(root / "hard.csv")) == SECRET


def _pipe(path):
    os.mkfifo(path)


def _socket(path):
    made = socket.socket(socket.AF_UNIX)
    made.bind(os.path.relpath(path))
    made.close()


@pytest.mark.parametrize(
    ("make", "said"),
    [(_pipe, "a named pipe"), (_socket, "a socket"), (os.mkdir, "a folder")],
)
@pytest.mark.parametrize("anywhere", [True, False])
def test_what_is_not_a_regular_file_is_refused_without_waiting(
    root, make, said, anywhere, monkeypatch
):
    monkeypatch.chdir(root)
    make(root / "odd")
    path = DataFile(str(root / "odd"), ANYWHERE if anywhere else below(root))
    with pytest.raises(ConfigError, match=f"{said}, not a regular file"):
        open_file(path, "transformer.table.path")


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "/dev/tty", "/dev/stdin"])
def test_a_device_is_refused_wherever_it_was_named(path, monkeypatch):
    with pytest.raises((ConfigError, OSError)) as caught:
        open_file(path)
    assert isinstance(caught.value, ConfigError) or caught.value.errno in (2, 6)


def test_a_writer_of_a_pipe_is_not_woken_by_a_look(root):
    os.mkfifo(root / "pipe")
    with pytest.raises(ConfigError, match="a named pipe"):
        open_file(str(root / "pipe"))
    with pytest.raises(OSError, match="No such device"):  # nobody ever opened it to read
        os.open(root / "pipe", os.O_WRONLY | os.O_NONBLOCK)


@pytest.mark.parametrize("value", ["absent.csv", "sub/absent.csv", "absent/data.csv", "ä ö.csv"])
def test_a_file_that_is_missing_is_said_to_be_missing(root, value):
    with pytest.raises(FileNotFoundError):
        read(below(root), value)


def test_a_name_that_is_too_long_is_an_error_of_the_system(root):
    with pytest.raises(OSError, match="too long"):
        read(below(root), "x" * 5000)


def test_a_file_may_have_any_name_that_the_system_takes(root):
    for name in ("ä ö.csv", "-rf", "a\nb", "~", "$HOME", "%2e%2e", "..."):
        (root / name).write_bytes(b"x")
        assert read(below(root), name) == b"x"


def test_a_file_behind_another_file_is_no_file(root):
    with pytest.raises(NotADirectoryError):
        read(below(root), "sub/data.csv/x")


@pytest.mark.parametrize("swapped", ["file", "folder"])
def test_a_swap_between_check_and_opening_cannot_win(root, swapped):
    """A thread swaps the file, or its folder, with a link to the secret all the time."""
    victim = root / ("data.csv" if swapped == "file" else "sub")
    outside = root.parent / "secret"
    (root / "link").symlink_to(outside / "data.csv" if swapped == "file" else outside)
    if swapped == "file":
        victim.write_bytes(b"a,b\n")
    value = "data.csv" if swapped == "file" else "sub/data.csv"
    spare, done = root / "spare", threading.Event()

    def swap():
        while not done.is_set():
            victim.rename(spare)
            (root / "link").rename(victim)
            spare.rename(root / "link")

    thread = threading.Thread(target=swap, daemon=True)
    granted = DataFile(str(root / value), below(root))  # as it was checked, once
    thread.start()
    try:
        found, refused = set(), 0
        for _ in range(3000):
            try:
                with open_file(granted) as file:
                    found.add(file.read())
            except (AccessError, OSError):
                refused += 1
    finally:
        done.set()
        thread.join(300)
    assert found <= {b"a,b\n"}
    assert refused, "the swap was never seen, so this test has tried nothing"


def test_files_in_a_granted_folder_are_granted_as_far_as_it_is(root):
    folder = below(root).grant("sub", "transformer.mnist.path")
    (root / "sub" / "link").symlink_to(root.parent / "secret" / "data.csv")
    assert listing(folder) == ["data.csv"]
    assert exists(inside(folder, "data.csv"))
    assert not exists(inside(folder, "link"))
    assert not exists(inside(folder, "../../secret/data.csv"))
    with open_file(inside(folder, "data.csv")) as file:
        assert file.read() == b"a,b\n"
    for name in ("link", "../../secret/data.csv"):
        with pytest.raises(AccessError):
            open_file(inside(folder, name))


def test_the_data_root_itself_is_a_folder_that_may_be_named(root):
    for value in (str(root), "."):
        assert below(root).grant(value, "transformer.mnist.path") in (str(root), f"{root}/")


@pytest.mark.parametrize("path", ["/", "/proc", "/proc/self", "/dev", "/dev/shm", "/sys/kernel"])
def test_a_folder_of_the_system_is_no_data_root(path):
    with pytest.raises(ConfigError, match=r"holds files of the system|is not a folder"):
        below(path)


def test_a_data_root_must_be_a_folder(root):
    for path in (root / "absent", root / "sub" / "data.csv"):
        with pytest.raises(ConfigError, match="is not a folder"):
            below(path)


def test_what_was_granted_stays_so_across_processes(root):
    granted = below(root).grant("sub/data.csv", "transformer.table.path")
    again = pickle.loads(pickle.dumps(granted))
    assert again == granted
    assert again.access == granted.access
    assert NOWHERE.grant(granted, "transformer.table.path") is granted


@pytest.mark.parametrize(("value", "path"), [(None, "data/mnist"), ("/d", "/d/mnist")])
def test_data_sets_lie_where_the_environment_says(value, path, monkeypatch):
    monkeypatch.delenv("AEROS_DATA", raising=False)
    if value:
        monkeypatch.setenv("AEROS_DATA", value)
    assert dataset("mnist") == path


def test_a_message_shows_one_short_line_of_a_path(root):
    with pytest.raises(AccessError) as caught:
        below(root).grant("../" + "\x1b[2J" + "x" * 5000, "transformer.table.path")
    assert "\x1b" not in str(caught.value)
    assert len(caught.value.asked) < 1000
