import gzip
import lzma

import numpy as np
import pytest

from aeros_core.errors import ConfigError, DataError
from aeros_core.testing import SourceTests
from aeros_transforms.sources.mnist import FashionMnist, Mnist


def idx(array):
    lengths = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + lengths + array.astype(np.uint8).tobytes()


def write(folder, *, labels=range(10), images=10):
    rng = np.random.default_rng(0)
    for split in ("train", "t10k"):
        pixels = rng.integers(0, 256, (images, 4, 4))
        (folder / f"{split}-images-idx3-ubyte.xz").write_bytes(lzma.compress(idx(pixels)))
        packed = gzip.compress(idx(np.array(labels)))
        (folder / f"{split}-labels-idx1-ubyte.gz").write_bytes(packed)
    return folder


class TestMnist(SourceTests):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = write(tmp_path)

    def make(self):
        return Mnist(path=str(self.folder))


class TestFashionMnist(TestMnist):
    def make(self):
        return FashionMnist(path=str(self.folder))


def test_raw_files_come_first(tmp_path):
    write(tmp_path)
    pixels = np.arange(160).reshape(10, 4, 4)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(pixels))
    data = Mnist(path=str(tmp_path)).load("train")
    np.testing.assert_array_equal(data.columns["image"], pixels[:, None])
    assert str(data.schema) == (
        "   image: float32 (1, 4, 4), 0 to 255\n-> label: int64 (), 10 categories"
    )


def test_missing_files(tmp_path):
    with pytest.raises(ConfigError) as caught:
        FashionMnist(path=str(tmp_path)).load("test")
    assert str(caught.value) == (
        f"transformer.fashion_mnist.path={tmp_path} holds no t10k-images-idx3-ubyte\n"
        "  exists: the files are called train-images-idx3-ubyte, train-labels-idx1-ubyte,"
        " t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, each raw, .gz or .xz\n"
        "  next: transformer.fashion_mnist.path=<directory of the files>,"
        " or set AEROS_DATA to the directory above it"
    )


def test_images_and_labels_of_different_number(tmp_path):
    write(tmp_path, images=9)
    with pytest.raises(DataError) as caught:
        Mnist(path=str(tmp_path)).load("train")
    assert str(caught.value) == f"{tmp_path} holds 9 images and 10 labels of train"


def test_label_of_no_class(tmp_path):
    write(tmp_path, labels=range(1, 11))
    with pytest.raises(DataError) as caught:
        Mnist(path=str(tmp_path)).load("train")
    assert str(caught.value) == f"{tmp_path} holds the label 10; labels are 0 to 9"


def test_file_in_the_place_of_another(tmp_path):
    write(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(np.zeros(10)))
    with pytest.raises(DataError) as caught:
        Mnist(path=str(tmp_path)).load("train")
    assert str(caught.value) == (
        f"{tmp_path}/train-images-idx3-ubyte holds uint8 in 1 dimensions, not bytes in 3"
    )


def test_truncated_file(tmp_path):
    write(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(10))[:-1])
    with pytest.raises(DataError, match="its header says 10 values in 10 bytes, and 9 bytes"):
        Mnist(path=str(tmp_path)).load("train")
