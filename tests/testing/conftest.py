import inspect
import os

import pytest
from hypothesis import Phase, settings

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "core")
settings.register_profile(
    "unshrunk", settings.get_profile(PROFILE), phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("unshrunk")
import aeros_core.testing  # noqa: E402, F401 - its tests take up the profile of this moment

settings.load_profile(PROFILE)


@pytest.fixture
def failing():
    """A function that runs a contract's tests, and returns the names of those that fail."""

    def run(kit):
        failed = set()
        for name in dir(kit):
            if not name.startswith("test_"):
                continue
            test = getattr(kit(), name)
            assert not inspect.signature(test).parameters, f"{name} wants fixtures"
            try:
                test()
            except pytest.skip.Exception:
                continue
            except (Exception, pytest.fail.Exception):
                failed.add(name)
        return failed

    return run
