import sys

import pytest

from aeros_algorithms.activation import registered
from aeros_algorithms.policy import folders, install
from aeros_core.config import build
from aeros_core.plugins import discovery
from aeros_core.plugins.registry import Health

CHOSEN = {"_target_": "toy_half.Rule", "by": 0.25}


@pytest.fixture
def installed(site, owner, lock, built):
    data = built().data
    algorithm = owner.sign(data)
    return install(site, "digits", lock(algorithm), algorithm, data)


def test_an_algorithm_is_a_plugin_while_its_task_lasts(site, installed):
    with registered(folders(site, "digits")) as registry:
        option = registry.options["collector", "half"]
        assert (option.plugin.distribution, option.plugin.version) == ("toy-half", "1.0")
        assert option.plugin.status is Health.OK
        assert build.build_part(registry, "collector", CHOSEN).by == 0.25
        assert sys.path[-1] == str(installed.resolve())
    assert ("collector", "half") not in discovery.discover().options


def test_another_task_does_not_see_it(site, installed):
    with registered(folders(site, "other")) as registry:
        assert ("collector", "half") not in registry.options


def test_it_is_gone_after_an_error_too(site, installed):
    with pytest.raises(KeyError), registered(folders(site, "digits")):
        raise KeyError


def test_the_next_version_is_the_one_that_is_imported(site, owner, lock, built, installed):
    with registered(folders(site, "digits")) as registry:
        assert registry.options["collector", "half"].config().by == 0.5
    newer = built(version="2.0")
    newer.put("toy_half.py", newer.files["toy_half.py"].replace(b"0.5", b"0.75"))
    algorithm = owner.sign(newer.data, version="2.0")
    install(site, "digits", lock(algorithm), algorithm, newer.data)
    with registered(folders(site, "digits")) as registry:
        assert registry.options["collector", "half"].config().by == 0.75


def test_a_module_of_the_node_is_never_replaced(site, installed):
    """Even if somebody puts one there afterwards: the folder comes last."""
    (installed / "aeros_core").mkdir()
    (installed / "aeros_core/__init__.py").write_text("raise RuntimeError")
    (installed / "colorsys.py").write_text("raise RuntimeError")
    with registered(folders(site, "digits")):
        import colorsys

        assert "half" not in colorsys.__file__
