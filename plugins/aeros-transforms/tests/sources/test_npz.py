import numpy as np
import pytest

from aeros_core.errors import ConfigError, DataError
from aeros_core.schema import Field
from aeros_core.testing import SourceTests
from aeros_transforms.config import sources
from aeros_transforms.sources.npz import Npz


def save(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


def make(path, **options):
    usual = {k: v for k, v in vars(sources.Npz()).items() if k != "_target_"}
    return Npz(**{**usual, "path": str(path), **options})


class TestOneTable(SourceTests):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path):
        x = np.random.default_rng(0).integers(0, 255, (20, 3, 3)).astype(np.uint8)
        self.path = save(
            tmp_path / "a.npz", x=x, kind=np.array(["a", "b"] * 10), y=np.arange(20) % 4
        )

    def make(self):
        return make(self.path)


class TestTwoSplits(SourceTests):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path):
        self.path = save(
            tmp_path / "a.npz",
            x_train=np.arange(8.0),
            y_train=np.arange(8.0),
            x_test=np.array([-9.0]),
            y_test=np.array([99.5]),
        )

    def make(self):
        return make(self.path)

    def test_splits_are_those_of_the_archive(self):
        assert self.train().columns["x"].tolist() == list(range(8))
        assert make(self.path).load("test").columns["x"].tolist() == [-9]

    def test_range_is_that_of_both(self):
        assert self.train().schema["y"] == Field("y", "float32", (), (0.0, 99.5))


def test_train_alone_is_cut(tmp_path):
    path = save(tmp_path / "a.npz", x_train=np.arange(10.0), y_train=np.arange(10) % 2)
    assert len(make(path).load("train")) == 8
    assert len(make(path).load("test")) == 2


def test_path_is_not_set():
    with pytest.raises(ConfigError) as caught:
        make("")
    assert str(caught.value) == (
        "transformer.npz.path is not set\n  next: transformer.npz.path=<file>"
    )


def test_label_that_does_not_exist(tmp_path):
    path = save(tmp_path / "a.npz", x=np.arange(3), labels=np.arange(3))
    with pytest.raises(ConfigError) as caught:
        make(path, label="label").load("train")
    assert str(caught.value) == (
        f"transformer.npz.label=label is not in {path}\n"
        "  exists: x, labels\n  next: transformer.npz.label=labels"
    )


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"x": np.arange(3), "y": np.arange(4)}, "arrays of unequal or no length: x 3, y 4"),
        ({"x": np.arange(3), "y": np.array(4)}, "arrays of unequal or no length: x 3, y 0"),
        (
            {"x_train": np.ones(3), "y_train": np.ones(3), "y_test": np.ones(3)},
            "only one split of x",
        ),
        (
            {
                "x_train": np.ones((3, 2)),
                "y_train": np.ones(3),
                "x_test": np.ones((3, 4)),
                "y_test": np.ones(3),
            },
            "'x' of shape (2,) in one split and (4,) in the other",
        ),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, arrays, text):
    path = save(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError) as caught:
        make(path).load("train")
    assert str(caught.value) == f"{path} holds {text}"


def test_objects_are_never_unpickled(tmp_path):
    path = save(tmp_path / "a.npz", x=np.array([{"a": 1}, None]), y=np.arange(2))
    with pytest.raises(DataError, match="is not an archive of plain numpy arrays"):
        make(path).load("train")


def test_single_array_is_no_archive(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3))
    with pytest.raises(DataError, match="is not an archive of plain numpy arrays"):
        make(tmp_path / "a.npy").load("train")


@pytest.mark.parametrize("damage", [b"no archive", b"", None])
def test_damaged(tmp_path, damage):
    path = save(tmp_path / "a.npz", x=np.arange(99), y=np.arange(99))
    path.write_bytes(path.read_bytes()[:-60] if damage is None else damage)
    with pytest.raises(DataError) as caught:
        make(path).load("train")
    assert caught.value.hint == (
        "numpy.savez_compressed(path, x=…, y=…) writes one; arrays of objects are refused"
    )
