"""What the system refuses, for real: no space, no permission, a limit, a file in the way."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from aeros_core.errors import RepositoryError
from aeros_zarr.stores.disk import Disk
from aeros_zarr.stores.errors import repository_errors

# Everything is imported before rights are given up: the interpreter may be out of reach.
SETUP = """
import os, resource, sys
import numpy as np
from pathlib import Path
from conftest import Examples
from aeros_core.errors import AerosError
path = Path(sys.argv[1])
def attempt(call):
    try:
        call()
    except AerosError as error:
        print(error)
    else:
        sys.exit("no error")
"""
TESTS = str(Path(__file__).parents[1])


def python(code, path, before=()):
    done = subprocess.run(
        [*before, sys.executable, "-c", SETUP + code, str(path)],
        capture_output=True, text=True, cwd=TESTS, timeout=300,
        env=os.environ | {"PYTHONPATH": TESTS, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def mounted(options, code, path):
    """Run code where ``path`` is a file system of its own, or skip."""
    namespace = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    mount = f'mount -t tmpfs -o {options} none "{path}"'
    try:
        able = subprocess.run([*namespace, mount], capture_output=True).returncode == 0
    except FileNotFoundError:
        able = False
    if not able:
        pytest.skip("this machine lets nobody mount a file system in a namespace of its own")
    return python(code, path, [*namespace, f'{mount} && exec "$@"', "sh"])


def test_a_full_disk_says_what_was_needed_and_what_stays(tmp_path):
    text = mounted(
        "size=400k",
        """
repository = Examples.filled(path / "store", rounds=3, keep=2)
big = Examples.parameters(9, size=200_000)
from dataclasses import replace
attempt(lambda: repository.commit("a", replace(Examples.checkpoint(4), parameters=big)))
assert list((path / "store/tmp").iterdir()) == []
attempt(lambda: repository.publish(replace(Examples.model(), parameters=big)))
assert list((path / "store/tmp").iterdir()) == []
again = Examples.store(path / "store")
assert again.latest("a").round.number == 3
assert len(again.history("a")) == 3
again.commit("a", Examples.checkpoint(4))
assert again.latest("a").parameters.digest == Examples.checkpoint(4).parameters.digest
again.publish(Examples.model())
""",
        tmp_path,
    )
    first, exists, hint, second, *_ = text.splitlines()
    start, _, free = first.partition("800,000 bytes, ")
    assert start == (
        f"round 4 of run 'a' could not be stored in {tmp_path}/store:"
        " no space left on device; it needs "
    )
    assert free.endswith(" are free")
    assert exists == "  exists: rounds 1, 2, 3 of the run can still be read"
    assert hint == "  next: free some space or raise the limit, then go on with task.resume=true"
    assert second.startswith("model 'model' could not be stored")
    assert "it needs 800,000 bytes" in second


def test_a_limit_on_the_size_of_files(tmp_path):
    text = python(
        """
repository = Examples.filled(path, rounds=2)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
attempt(lambda: repository.commit("a", Examples.checkpoint(3)))
assert Examples.store(path).latest("a").round.number == 2
""",
        tmp_path,
    )
    assert text.startswith(
        f"round 3 of run 'a' could not be stored in {tmp_path}: file too large;"
        " it needs 2,800 bytes, "
    )
    assert "exists: rounds 1, 2 of the run can still be read" in text


READ_ONLY = """
reader = Examples.store(path / "store")
assert reader.latest("a").round.number == 3
assert len(reader.models()) == 1
assert reader.model("model").parameters.digest == Examples.model().parameters.digest
attempt(lambda: reader.commit("a", Examples.checkpoint(4)))
attempt(lambda: reader.publish(Examples.model()))
attempt(lambda: reader.begin(Examples.run("b")))
attempt(lambda: reader.tag("model", "best"))
attempt(lambda: Examples.store(path / "new").begin(Examples.run()))
"""


def test_a_read_only_disk_can_be_read(tmp_path):
    text = mounted(
        "size=4m",
        """
Examples.filled(path / "store").publish(Examples.model())
assert os.system(f"mount -o remount,ro {path}") == 0
"""
        + READ_ONLY,
        tmp_path,
    )
    refused(text, tmp_path, "read-only file system")


# Nothing stops root.
ANOTHER_USER = """
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
"""


@pytest.fixture
def open_folder():
    """A folder that other users can reach; those of pytest are private."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path
        for inner in path.rglob("*"):
            inner.chmod(0o755)


def test_a_folder_of_another_user_can_be_read(open_folder):
    become = "[p.chmod(0o555) for p in [path, *path.rglob('*')] if p.is_dir()]"
    become += ANOTHER_USER
    text = python(
        f"""
Examples.filled(path / "store").publish(Examples.model())
{become}
"""
        + READ_ONLY,
        open_folder,
    )
    refused(text, open_folder, "permission denied")


def test_a_folder_that_cannot_be_entered(open_folder):
    text = python(
        f"""
(path / "closed").mkdir(mode=0)
{ANOTHER_USER}
attempt(lambda: Examples.store(path / "closed" / "store"))
""",
        open_folder,
    )
    assert text == (
        f"the repository could not be opened in {open_folder}/closed/store: permission denied\n"
        "  next: make the folder writable for this user, or repository.path=<another folder>\n"
    )


def refused(text, path, reason):
    hint = "  next: make the folder writable for this user, or repository.path=<another folder>"
    assert text.splitlines() == [
        f"round 4 of run 'a' could not be stored in {path}/store: {reason}",
        "  exists: rounds 1, 2, 3 of the run can still be read",
        hint,
        f"model 'model' could not be stored in {path}/store: {reason}",
        "  exists: version 1; tag latest",
        hint,
        f"run 'b' could not be begun in {path}/store: {reason}",
        hint,
        f"tag 'best' of model 'model' could not be stored in {path}/store: {reason}",
        hint,
        f"the repository could not be made in {path}/new: {reason}",
        hint,
    ]


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.EDQUOT, "free some space or raise the limit, then go on with task.resume=true"),
        (
            errno.EPERM,
            "make the folder writable for this user, or repository.path=<another folder>",
        ),
        (errno.EIO, "check the disk, or repository.path=<another folder>"),
    ],
)
def test_each_kind_of_refusal_has_its_hint(tmp_path, number, hint):
    def refuse():
        with repository_errors("it could not be done", Disk(tmp_path, durable=False)):
            raise OSError(number, os.strerror(number))

    with pytest.raises(RepositoryError) as caught:
        refuse()
    reason = os.strerror(number)
    assert str(caught.value) == (
        f"it could not be done in {tmp_path}: {reason[0].lower()}{reason[1:]}\n  next: {hint}"
    )


def test_what_stays_is_left_out_when_it_cannot_be_read(tmp_path):
    def kept():
        raise OSError(errno.EIO, "as well")

    def refuse():
        with repository_errors("it could not be done", Disk(tmp_path, durable=False), kept=kept):
            raise OSError(errno.EIO, "an error")

    with pytest.raises(RepositoryError) as caught:
        refuse()
    assert caught.value.exists == ""


def test_other_errors_pass_through(tmp_path):
    def refuse():
        with repository_errors("it could not be done", Disk(tmp_path, durable=False)):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        refuse()
