"""Which Flower is here, and which one is there."""

from types import SimpleNamespace

import pytest

from aeros_core.errors import ConfigError
from aeros_flower.system import versions
from aeros_flower.system.versions import Same


@pytest.fixture
def installed(monkeypatch):
    return lambda number: monkeypatch.setattr(versions, "version", lambda name: number)


def test_the_one_that_is_known(installed):
    installed(versions.TRIED)
    assert versions.is_tried()
    assert versions.one_port()
    versions.tried()


@pytest.mark.parametrize(("number", "one"), [("1.38.0", False), ("1.39.2", False),
                                             ("1.40.0", True), ("2.0.0", True)])  # fmt: skip
def test_others_have_one_port_or_two(installed, number, one):
    installed(number)
    assert not versions.is_tried()
    assert versions.one_port() == one
    with pytest.raises(ConfigError, match=f"flwr {number} is installed") as refused:
        versions.tried()
    assert f"pip install flwr=={versions.TRIED}" in refused.value.hint


def test_one_that_is_too_old_is_named(installed):
    installed("1.29.0")
    with pytest.raises(ConfigError, match=r"1\.29\.0 is installed, and is too old"):
        versions.one_port()


def test_a_response_of_the_same_version_passes():
    response = SimpleNamespace(headers={})
    assert Same().intercept("context", lambda context: response) is response


def test_a_response_of_another_version_is_an_error():
    response = SimpleNamespace(headers={"flwr-version-incompatibility-message": "1.30 is old"})
    with pytest.raises(ConfigError, match=r"another version of Flower: 1\.30 is old"):
        Same().intercept("context", lambda context: response)


def test_flower_does_not_end_this_process():
    def ending(context):
        raise SystemExit(1)

    with pytest.raises(ConfigError, match="it ends the conversation"):
        Same().intercept("context", ending)
