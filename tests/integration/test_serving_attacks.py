"""Other clients are answered while a server is attacked."""

import resource

import pytest
import serving_attacks
import serving_grpc_attacks

LIMITS = [pytest.param(0.25, marks=pytest.mark.soak), 2.0]
"""Seconds in which 95 of 100 requests for health are answered: alone on a machine, and next to
other tests, where an attack that is not bounded at all still takes longer."""

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


@pytest.mark.parametrize("limit", LIMITS)
def test_health_is_answered_during_each_attack(aeros, serve, limit):
    aeros("run", "task.rounds=1")
    server = serve("model=digits")
    http = address(server.http)
    quiet = serving_attacks.p95(http, SECONDS)
    bound = max(limit, 20 * quiet)  # the machine may be loaded by others
    found = {
        attack.__name__: serving_attacks.measure(attack, http, http, SECONDS)
        for attack in serving_attacks.HTTP
    }
    assert {name: took for name, took in found.items() if took > bound} == {}
    code, said = server.end()
    assert code == 0
    assert "Traceback" not in said


@pytest.mark.parametrize("limit", LIMITS)
def test_health_of_both_protocols_is_answered_during_each_attack_on_grpc(aeros, serve, limit):
    aeros("run", "task.rounds=1")
    server = serve("model=digits")
    http, grpc = address(server.http), address(server.grpc)
    quiet = percentile([serving_grpc_attacks.health(grpc) for _ in range(40)])
    bound = max(limit, 20 * quiet)
    found = {}
    for attack in serving_attacks.GRPC:
        by_grpc, by_rest = serving_grpc_attacks.measure(
            attack.__name__, grpc, SECONDS, lambda: serving_attacks.live(http)
        )
        found[attack.__name__] = max(percentile(by_grpc), percentile(by_rest))
    assert {name: took for name, took in found.items() if took > bound} == {}
    code, said = server.end()
    assert code == 0
    assert "Traceback" not in said


def percentile(took):
    """Return what 95 of 100 took at most."""
    return sorted(took)[len(took) * 95 // 100]
