import contextlib
import io
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aeros_core.errors import ConfigError, DataError, RepositoryError
from aeros_core.models import safetensors
from aeros_core.parameters import Parameters
from aeros_core.preprocessing import row_files
from aeros_core.records import Model
from aeros_core.schema import Field, Schema, Unknown
from aeros_core.testing.examples.fuzzing import damaged

FIELDS = (
    Field("age", "float32"),
    Field("town", "int64", categories=("Aix", "Bonn")),
    Field("note", "str"),
    Field("y", "int64"),
)
MODEL = Model(
    "m",
    Parameters.of({"w": np.zeros(1, np.float32)}),
    Schema((Field("age", "float32"), Field("y", "int64")), "y"),
    inputs=Schema(FIELDS, "y"),
)
IMAGES = replace(MODEL, schema=Schema((Field("image", "float32", (2, None)),)), inputs=None)
GOOD = "note,age,town,y,more\na,1.5,Bonn,0,9\nb,2,0,1,9\n"


class Kept:
    """A step that changes nothing."""

    def transform(self, batch):
        self.seen = batch
        return batch


class Halve:
    """A step: half the age, and nothing else."""

    def transform(self, batch):
        self.seen = batch
        return {"age": batch["age"] / 2}


def written(tmp_path, text, name="rows.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_text_becomes_what_the_steps_take(tmp_path):
    step = Halve()
    rows = row_files.read(written(tmp_path, GOOD), MODEL, [step])
    np.testing.assert_array_equal(rows["age"], np.array([0.75, 1], np.float32))
    assert {name: column.tolist() for name, column in step.seen.items()} == {
        "age": [1.5, 2.0],
        "town": [1, 0],
        "note": ["a", "b"],
    }
    assert step.seen["age"].dtype == np.float32


def test_an_archive_and_safetensors(tmp_path):
    image = np.arange(12, dtype=np.float64).reshape(2, 2, 3)
    np.savez(tmp_path / "rows.npz", image=image, other=1)
    safetensors.save(
        tmp_path / "rows.safetensors", replace(MODEL, parameters=Parameters.of({"image": image}))
    )
    for name in ("rows.npz", "rows.safetensors"):
        rows = row_files.read(tmp_path / name, IMAGES, [])
        np.testing.assert_array_equal(rows["image"], image.astype(np.float32))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("age,town\n1,Bonn\n", "has no 'note', which model 'm' takes\n  exists: age, town"),
        ("", "cannot be read"),
        ("age,town,note\n", r"holds 0 of age, 0 of town, 0 of note: each has to have"),
        ("age,town,note\n1,Bonn\n", "cannot be read: line 2 has 2 values, the first has 3"),
        ("age,town,note\nold,Bonn,a\n", "'age' of .* is no age: float32 .*: could not convert"),
        ("age,town,note\n1,Rom,a\n", "'town' of .* is no town: .*: 'Rom' is none of Aix"),
        ("age,town,note\n1,2,a\n", "'town' of .* is no town: .*: codes are 0 to 1"),
        ("age,town,note\nnan,0,a\n", "'age' of .* holds NaN or infinity"),
        (b"age,town,note\n\xff,0,a\n", "cannot be read: 'utf-8' codec"),
    ],
)
def test_what_cannot_be_is_told(tmp_path, text, said):
    with pytest.raises((ConfigError, DataError), match=said):
        row_files.read(written(tmp_path, text), MODEL, [])


def test_arrays_that_cannot_be(tmp_path):
    path = tmp_path / "rows.npz"
    for array, said in (
        (np.zeros((3, 2)), r"'image' of .* is of shape \(3, 2\)\n  exists: \(rows, 2, \*\)"),
        (np.zeros(()), r"'image' of .* is of shape \(\)"),
        (np.zeros((1, 2, 2), complex), "'image' of .* it is of dtype complex128"),
        (np.array([[["a", "b"]] * 2]), "'image' of .* could not convert"),
    ):
        np.savez(path, image=array)
        with pytest.raises((ConfigError, DataError), match=said):
            row_files.read(path, IMAGES, [])
    with pytest.raises(ConfigError, match=r"(?s)'image' of .*take .npz"):
        row_files.read(written(tmp_path, "image\n1\n"), IMAGES, [])


def test_nothing_is_unpickled(tmp_path):
    path = tmp_path / "rows.npz"
    np.savez(path, image=np.array([{}], object))
    with pytest.raises(DataError, match="cannot be read: Object arrays cannot be loaded"):
        row_files.read(path, IMAGES, [])


def test_files_that_are_none(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere.npz does not exist"):
        row_files.read(Path("nowhere.npz"), MODEL, [])
    with pytest.raises(ConfigError, match=r"a.pkl is no file of samples\n  exists: files in .npz"):
        row_files.read(Path("a.pkl"), MODEL, [])
    for data in (b"\x80\x04", b"PK\x03\x04 no archive"):
        with pytest.raises(DataError, match=r"cannot be read: it is no whole .npz"):
            row_files.read(written(tmp_path, data, "a.npz"), MODEL, [])
    with pytest.raises(RepositoryError, match="is no whole safetensors file"):
        row_files.read(written(tmp_path, b"none", "a.safetensors"), MODEL, [])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data(), other=st.binary(max_size=60))
def test_damaged_files_are_read_or_refused(tmp_path, data, other):
    image = np.arange(12, dtype=np.float64).reshape(2, 2, 3)
    np.savez_compressed(tmp_path / "rows.npz", image=image)
    whole = replace(MODEL, parameters=Parameters.of({"image": image}))
    safetensors.save(tmp_path / "rows.safetensors", whole)
    for name, model in (("rows.npz", IMAGES), ("rows.safetensors", IMAGES), ("rows.csv", MODEL)):
        content = GOOD.encode() if name == "rows.csv" else (tmp_path / name).read_bytes()
        path = written(tmp_path, data.draw(damaged(content, other)), f"damaged-{name}")
        with contextlib.suppress(ConfigError, DataError, RepositoryError):
            row_files.read(path, model, [Halve()] if model is MODEL else [])


def test_an_archive_that_announces_more_than_it_has(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"shape": (2**45,), "fortran_order": False, "descr": "<f8"}
    )
    with zipfile.ZipFile(tmp_path / "rows.npz", "w") as file:
        file.writestr("image.npy", header.getvalue())
    with pytest.raises(DataError, match=r"cannot be read: array 'image' is damaged: its header"):
        row_files.read(tmp_path / "rows.npz", IMAGES, [])


def test_texts_are_as_long_as_they_are(tmp_path):
    long = "z" * 100_000  # csv's own limit is 131,072
    rows = "".join(f"{text},1,0\n" for text in ["a"] * 2000 + [long])
    step = Halve()
    tracemalloc.start()
    row_files.read(written(tmp_path, "note,age,town\n" + rows), MODEL, [step])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert step.seen["note"][-1] == long
    assert peak < 20 * 2**20  # as one array of the widest: 800 MB


def test_names_of_codes_take_as_much_memory_as_they_are_long(tmp_path):
    field = Field("town", "int64", (), categories=("bern", "other"), unknown=Unknown.other)
    model = replace(MODEL, schema=Schema((field,)), inputs=Schema((field,)))
    text = "town\n" + "\n".join(["bern", "z" * 100_000, "1", *map(str, range(2, 2000))])
    step = Kept()
    tracemalloc.start()
    row_files.read(written(tmp_path, text), model, [step])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert step.seen["town"].tolist() == [0, *[1] * 2000]
    assert peak < 20 * 2**20  # as one array of the widest: 800 MB
