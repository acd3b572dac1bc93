"""Which addresses of a SuperLink are read, and which are refused."""

import pytest

from aeros_core.errors import ConfigError
from aeros_flower.system.address import split


def test_addresses():
    assert split("[::1]:80") == ("::1", 80)
    assert split("a.example:9093") == ("a.example", 9093)


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".org", "a b", "a\u3002\u3002b", ".a"])
def test_a_host_that_nobody_could_look_up(host):
    with pytest.raises(ConfigError, match="is no address of a SuperLink"):
        split(f"{host}:80")
