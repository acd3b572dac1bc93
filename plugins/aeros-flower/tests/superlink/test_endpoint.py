"""Where a controller meets its nodes: what is refused before anything is opened."""

import pytest

from aeros_core.errors import ConfigError
from aeros_flower.superlink import endpoint
from aeros_flower.superlink.endpoint import EndpointOptions
from aeros_flower.system import versions

HERE = {
    "superlink": None, "ca": None, "host": "127.0.0.1", "port": 0, "certificate": None,
    "key": None, "admitted": None, "insecure": False, "stock": False, "app": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"certificate": "c.pem"}, "controller.certificate and controller.key go together"),
        ({"key": "c.key"}, "controller.certificate and controller.key go together"),
        ({"host": "0.0.0.0"}, "open to anybody"),
        ({"host": "0.0.0.0", "certificate": "c", "key": "k"}, "open to anybody"),
        ({"ca": "ca.pem"}, "controller.ca=ca.pem is for a SuperLink elsewhere"),
        ({"superlink": "nowhere"}, "'nowhere' is no address"),
        ({"superlink": "a:1", "admitted": "nodes"}, "controller.admitted is for a SuperLink of"),
        ({"superlink": "a:1", "certificate": "c", "key": "k"}, "controller.certificate is for"),
    ],
)
def test_options_that_exclude_each_other(options, said):
    with pytest.raises(ConfigError, match=said):
        EndpointOptions(**HERE | options)


@pytest.fixture
def another(monkeypatch):
    def install(number):
        for module in (versions, endpoint):
            monkeypatch.setattr(module, "version", lambda name: number)

    return install


@pytest.fixture
def stocked(monkeypatch):
    """What `stock` was asked for."""
    asked = []
    monkeypatch.setattr(endpoint, "stock", lambda front, *given: asked.append((front, *given)))
    return asked


def test_another_flower_is_used_as_it_comes_behind_a_gate(another, stocked):
    another("1.40.0")
    EndpointOptions(**HERE).open(5.0)
    [(front, app, wait, _, begun)] = stocked
    assert front.address.startswith("127.0.0.1:")
    assert front.behind != int(front.address.rpartition(":")[2])
    assert (front.words, app, wait, callable(begun)) == ((), None, 5.0, True)
    front.close()


def test_one_whose_nodes_speak_something_else_opens_the_port_itself(another, stocked):
    another("1.38.0")
    EndpointOptions(**HERE).open(5.0)
    [(front, *_)] = stocked
    assert front.words == ("--fleet-api-address", "127.0.0.1:0")
    assert front.port is None
    with pytest.raises(ConfigError, match="TLS and keys of nodes are not"):
        EndpointOptions(**HERE | {"certificate": "c", "key": "k"}).open(5.0)
    assert EndpointOptions(**HERE | {"host": "0.0.0.0", "insecure": True}).open(5.0) is None


def test_a_superlink_elsewhere_goes_with_the_known_version(another):
    another("1.40.0")
    with pytest.raises(ConfigError, match=r"flwr 1\.40\.0 is installed"):
        EndpointOptions(**HERE | {"superlink": "127.0.0.1:1"}).open(1.0)
