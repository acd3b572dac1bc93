"""A compiled-kernel cache that others could have written is not read; a damaged one is dropped."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aeros_core.numerics import kernel_cache

numba = pytest.importorskip("numba")

MODULE = """
import numba
from aeros_core.numerics import kernel_cache

def double(x):
    return 2 * x

double = numba.njit(double)
kernel_cache.configure(double)
assert double(21) == 42
print(sum(double.stats.cache_hits.values()), double.stats.cache_path)
"""

TRAP = r"""
import os, pickle, sys

class Trap:
    def __reduce__(self):
        return os.system, ("touch caught",)

for path in sys.argv[1:]:
    with open(path, "wb") as file:
        pickle.dump(Trap(), file)
"""


@pytest.fixture
def double(tmp_path):
    """A function that runs a kernel in a process; returns how often it was read, and what is said.

    ``caught`` appears in the working directory when a trap in the cache goes off.
    """
    (tmp_path / "double.py").write_text(MODULE)

    def run(**more):
        done = subprocess.run(
            [sys.executable, "double.py"],
            capture_output=True, text=True, timeout=300, cwd=tmp_path, check=True,
            env=os.environ | {"PYTHONWARNINGS": "error"} | more,
        )  # fmt: skip
        assert not (tmp_path / "caught").exists()
        return int(done.stdout.split()[0]), done.stderr

    return run


def files(folder, kind):
    return sorted(folder.rglob(f"double.double-*.{kind}"))


def trap(tmp_path, *paths):
    words = [sys.executable, "-c", TRAP, *map(str, paths)]
    subprocess.run(words, check=True, cwd=tmp_path, timeout=300)


def test_a_kernel_is_kept_where_this_user_alone_can_write(double, tmp_path):
    assert double() == (0, "")
    assert double() == (1, "")
    assert files(tmp_path, "nbi")


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o770, 0o1777])
def test_a_folder_that_others_can_write_to_is_not_read(double, tmp_path, mode):
    double()
    folder = tmp_path / "__pycache__"
    trap(tmp_path, *files(folder, "nbi"), *files(folder, "nbc"))
    folder.chmod(mode)
    read, said = double()
    assert read == 0
    assert said.count("kernels are compiled anew") == 1
    assert f"chmod go-w {folder}" in said


def test_the_folder_that_the_environment_names_is_not_read_either(double, tmp_path):
    shared = tmp_path / "shared"
    double(NUMBA_CACHE_DIR=str(shared))
    trap(tmp_path, *files(shared, "nbi"))
    shared.chmod(0o777)
    read, said = double(NUMBA_CACHE_DIR=str(shared))
    assert read == 0
    assert f"as other users can write to {shared};" in said


def test_a_folder_that_others_could_exchange_is_not_read(double, tmp_path):
    double()
    tmp_path.chmod(0o777)
    assert double()[0] == 0
    tmp_path.chmod(0o1777)  # as in /tmp, where others can move nothing of ours
    assert double()[0] == 1


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_a_file_that_others_can_write_to_is_not_read(double, tmp_path, kind):
    double()
    (path,) = files(tmp_path, kind)
    trap(tmp_path, path)
    path.chmod(0o666)
    assert double()[0] == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("what", ["nbi", "nbc", "folder"])
def test_what_belongs_to_another_user_is_not_read(double, tmp_path, what):
    double()
    path = tmp_path / "__pycache__" if what == "folder" else files(tmp_path, what)[0]
    trap(tmp_path, *files(tmp_path, "nbi"))
    os.chown(path, 12345, 12345)
    assert double()[0] == 0


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize("left", [0, 3, 0.5, -1])
def test_a_truncated_file_is_dropped_and_compiled_again(double, tmp_path, kind, left):
    double()
    (path,) = files(tmp_path, kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(left * len(data)) if left == 0.5 else left])
    read, said = double()
    assert read == 0
    assert "a kernel is compiled again" in said
    assert double() == (1, "")


def test_where_nothing_can_be_written_kernels_stay_in_memory(double):
    read, _ = double(NUMBA_CACHE_DIR="/proc/nowhere")
    assert read == 0


def test_what_is_not_there_is_not_writable(tmp_path):
    assert not kernel_cache.writable_by_others(tmp_path / "none")


def test_a_link_says_nothing_of_who_can_write(tmp_path):
    (tmp_path / "link").symlink_to("none")
    assert not kernel_cache.writable_by_others(tmp_path / "link")


def test_the_reason_is_logged_once(tmp_path, caplog):
    kernel_cache._unsafe.cache_clear()
    tmp_path.chmod(0o777)
    with caplog.at_level(logging.WARNING):
        assert [kernel_cache._unsafe(str(tmp_path)) for _ in range(3)] == [True] * 3
    assert len(caplog.records) == 1
    assert Path(str(tmp_path)).name in caplog.text
