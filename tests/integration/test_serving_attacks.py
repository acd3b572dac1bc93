"""Other clients are answered while a server is attacked."""

import resource

import pytest
import serving_attacks

PATIENCE = 0.25
"""Seconds in which 95 of 100 requests for health are answered, on a machine that is idle."""

SECONDS = 2.0


@pytest.fixture(scope="module", autouse=True)
def files():
    """Let this process open as many connections as an attack asks for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def test_health_is_answered_during_each_attack(aeros, serve):
    aeros("run", "task.rounds=1")
    server = serve("model=digits")
    http, grpc = address(server.http), address(server.grpc)
    quiet = serving_attacks.p95(http, SECONDS)
    bound = max(PATIENCE, 20 * quiet)  # the machine may be loaded by others
    attacks = [(each, http) for each in serving_attacks.HTTP]
    attacks += [(each, grpc) for each in serving_attacks.GRPC]
    found = {
        attack.__name__: serving_attacks.measure(attack, attacked, http, SECONDS)
        for attack, attacked in attacks
    }
    assert {name: took for name, took in found.items() if took > bound} == {}
    code, said = server.end()
    assert code == 0
    assert "Traceback" not in said
