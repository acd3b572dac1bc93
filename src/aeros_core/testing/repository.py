"""The contract of `roles.Repository`, as tests to inherit."""

from __future__ import annotations

from aeros_core.testing.models import ModelsContract
from aeros_core.testing.runs import RunsContract

__all__ = ["RepositoryTests"]


class RepositoryTests(RunsContract, ModelsContract):
    """What every repository has to do.

    Subclass it and say how one is made::

        class TestMine(RepositoryTests):
            def make(self, path):
                return Mine(folder=str(path / "store"))

    ``make`` is called with an empty folder of its own for each test, and more than once
    with the same folder where a test looks at what another process would see: it has to
    return a new object each time, which shares nothing with the first but what is stored.
    """
