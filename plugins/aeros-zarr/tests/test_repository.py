from pathlib import Path

from aeros_core.testing.repository import RepositoryTests
from aeros_zarr import Compression
from aeros_zarr.repository import ZarrRepository


class TestPlain(RepositoryTests):
    def make(self, path: Path) -> ZarrRepository:
        return ZarrRepository(
            path=str(path / "store"), compression=Compression.none, durable=False, keep=2
        )
class TestZstd(RepositoryTests):
    def make(self, path: Path) -> ZarrRepository:
        return ZarrRepository(
            path=str(path / "store"), compression=Compression.zstd, durable=False, keep=1
        )
