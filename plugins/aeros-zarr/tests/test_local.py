import inspect
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import aeros_zarr
from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.testing.repository import RepositoryTests
from aeros_zarr import Compression
from aeros_zarr.format.manifest import dump
from aeros_zarr.local import ZarrRepository

FOREVER = {"keep_last": 0, "keep_best": 0, "keep_metric": "accuracy", "verify": True}


class TestPlain(RepositoryTests):
    def make(self, path: Path) -> ZarrRepository:
        return ZarrRepository(
            path=str(path / "store"), compression=Compression.none, durable=True, keep=2, **FOREVER
        )


class TestCompressed(RepositoryTests):
    def make(self, path: Path) -> ZarrRepository:
        return ZarrRepository(
            path=str(path / "store"), compression=Compression.zstd, durable=False, keep=1, **FOREVER
        )


def test_it_is_offered_and_each_option_is_an_argument():
    assert aeros_zarr.aeros_repositories() == {"s3": aeros_zarr.S3, "zarr": aeros_zarr.Zarr}
    options = [field.name for field in fields(aeros_zarr.Zarr)]
    parameters = inspect.signature(ZarrRepository).parameters.values()
    assert options == ["_target_", *(parameter.name for parameter in parameters)]
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters)
    assert all(parameter.default is parameter.empty for parameter in parameters)
    assert aeros_zarr.Zarr._target_ == f"{ZarrRepository.__module__}.{ZarrRepository.__name__}"


def test_the_readme_names_every_option():
    readme = Path(__file__).parents[1] / "README.md"
    named = set(re.findall(r"`repository\.(\w+)`", readme.read_text(encoding="utf-8")))
    options = {field.name for kind in (aeros_zarr.S3, aeros_zarr.Zarr) for field in fields(kind)}
    assert named == options - {"_target_"}


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        (
            "import aeros_zarr",
            ["numpy", "zarr", "numcodecs", "obstore", "aeros_core.roles.components"],
        ),
        ("import aeros_zarr.local", ["zarr", "numcodecs", "obstore"]),
        (
            "from conftest import Examples; import tempfile; from pathlib import Path;"
            " Examples.filled(Path(tempfile.mkdtemp())).publish(Examples.model())",
            ["zarr", "numcodecs"],
        ),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code, absent):
    check = f"import sys; {code}; print([name for name in {absent} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", check],
        capture_output=True, text=True, cwd=Path(__file__).parent, timeout=300,
    )  # fmt: skip
    assert done.stdout == "[]\n", done.stderr


def test_nothing_is_written_before_there_is_something_to_write(examples, tmp_path):
    repository = examples.store(tmp_path / "new")
    assert repository.runs() == []
    assert repository.models() == []
    with pytest.raises(RepositoryError):
        repository.commit("a", examples.checkpoint(1))
    assert not (tmp_path / "new").exists()
    repository.begin(examples.run())
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "format.json", "runs", "tmp",
    ]  # fmt: skip


def test_a_relative_path_stays_where_it_was(examples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    repository = examples.store(Path("here"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    repository.begin(examples.run())
    assert (tmp_path / "here" / "runs" / "a").is_dir()


def test_a_path_may_begin_at_home(examples, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert examples.store(Path("~/store")).path == tmp_path / "store"


@pytest.mark.parametrize("keep", [0, -1])
def test_at_least_one_round_is_kept(examples, tmp_path, keep):
    with pytest.raises(ConfigError) as caught:
        examples.store(tmp_path, keep=keep)
    assert str(caught.value) == (
        f"repository.keep must be at least 1, got {keep}\n"
        "  next: repository.keep=1 keeps only the last round"
    )


def test_an_empty_path():
    with pytest.raises(ConfigError) as caught:
        ZarrRepository(path="", compression=Compression.none, durable=True, keep=2, **FOREVER)
    assert str(caught.value) == (
        "repository.path is empty\n  next: repository.path=aeros-repository"
    )


@pytest.mark.parametrize("below", ["", "a/b"])
def test_a_path_that_is_a_file(examples, tmp_path, below):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ConfigError) as caught:
        examples.store(file / below)
    assert str(caught.value) == (
        f"repository.path must be a folder, got {file / below}: {file} is a file\n"
        "  next: repository.path=<folder>"
    )
    assert file.read_text() == "mine"


def test_a_repository_of_a_newer_format(examples, tmp_path):
    examples.filled(tmp_path)
    marker = tmp_path / "format.json"
    marker.write_bytes(dump("repository", {}).replace(b'"format":2', b'"format":3'))
    with pytest.raises(RepositoryError) as caught:
        examples.store(tmp_path)
    assert str(caught.value) == (
        f"{marker} was written in format 3 by a newer aeros-zarr\n"
        "  exists: formats up to 2 are read here\n"
        "  provider: aeros-zarr\n"
        "  next: pip install --upgrade aeros-zarr"
    )
