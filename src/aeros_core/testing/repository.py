"""The contract of `repository.Repository`, as tests to inherit."""

from __future__ import annotations

import tempfile
from pathlib import Path

from aeros_core.roles.repository import Repository
from aeros_core.testing.mixins.repository_models import ModelsContract
from aeros_core.testing.mixins.repository_runs import RunsContract
from aeros_core.testing.options import OptionsContract

__all__ = ["RepositoryTests"]


class RepositoryTests(RunsContract, ModelsContract, OptionsContract):
    """What every repository has to do.

    Subclass it and say how one is made::

        class TestMine(RepositoryTests):
            def make(self, path):
                return Mine(folder=str(path / "store"))

    ``make`` is called with an empty folder of its own for each test, and more than once
    with the same folder where a test looks at what another process would see: it has to
    return a new object each time, which shares nothing with the first but what is stored.
    """

    def part(self) -> Repository:
        """Return a new repository in a folder of its own."""
        return self.make(Path(tempfile.mkdtemp(prefix="aeros-kit-")))

    def use(self, part: Repository) -> None:
        """List what it holds."""
        part.runs()
        part.models()
