"""Who serves whom, and who waits for whom."""

from types import SimpleNamespace

import numpy as np
import pytest

from aeros_core.messages import Instruction
from aeros_core.parameters import Parameters
from aeros_flower.membership.assignment import ClientAssignment, Queued

PARAMETERS = Parameters.of({"w": np.zeros(4, "float32")})


def asked(*clients, **more):
    return [Queued(Instruction(1, client, PARAMETERS, **more)) for client in clients]


def executors(*names, own=False):
    return [SimpleNamespace(name=name, own=own) for name in names]


def who(hands):
    return {name: [queued.told.node for queued in hand] for name, hand in hands.items()}


def test_clients_are_dealt_evenly_and_stay_where_they_were():
    homes = ClientAssignment(keeps=False, patience=60)
    hands, waiting = homes.deal(asked("0", "1", "2", "3"), executors("a", "b"))
    assert (who(hands), waiting) == ({"a": ["0", "2"], "b": ["1", "3"]}, [])
    hands, _ = homes.deal(asked("3", "2", "1", "0"), executors("a", "b"))
    assert who(hands) == {"a": ["2", "0"], "b": ["3", "1"]}


def test_a_client_is_served_by_the_executor_of_its_name():
    hands, _ = ClientAssignment(keeps=False, patience=60).deal(
        asked("b", "a"), executors("a", "b", own=True)
    )
    assert who(hands) == {"a": ["a"], "b": ["b"]}


def test_who_keeps_nothing_goes_to_whoever_is_there():
    homes = ClientAssignment(keeps=False, patience=60)
    homes.deal(asked("0", "1"), executors("a", "b"))
    hands, waiting = homes.deal(asked("0", "1"), executors("b"))
    assert (who(hands), waiting) == ({"b": ["1", "0"]}, [])


@pytest.mark.parametrize("keeps", [False, True])
def test_who_keeps_something_waits_for_its_executor(keeps):
    homes, more = ClientAssignment(keeps=keeps, patience=60), {} if keeps else {"personal": ("w",)}
    homes.deal(asked("0", "1", **more), executors("a", "b"))
    hands, waiting = homes.deal(asked("0", "1", **more), executors("b"))
    assert who(hands) == {"b": ["1"]}
    assert [queued.told.node for queued in waiting] == ["0"]
    hands, waiting = homes.deal(waiting, executors("a", "b"))
    assert (who(hands), waiting) == ({"a": ["0"]}, [])


def test_it_does_not_wait_for_ever_and_not_twice():
    homes = ClientAssignment(keeps=True, patience=0.0)
    homes.deal(asked("0", "1"), executors("a", "b"))
    hands, waiting = homes.deal(asked("0", "1"), executors("b"))
    assert (who(hands), waiting) == ({"b": ["1", "0"]}, [])
    hands, _ = homes.deal(asked("0"), executors("a", "b"))
    assert who(hands) == {"b": ["0"]}


def test_a_controller_that_goes_on_knows_who_has_whom():
    homes, other = (
        ClientAssignment(keeps=True, patience=60),
        ClientAssignment(keeps=True, patience=60),
    )
    homes.deal(asked("0", "1"), executors("a", "b"))
    other.restore(homes.to_json())
    hands, waiting = other.deal(asked("1", "0"), executors("b"))
    assert who(hands) == {"b": ["1"]}
    assert [queued.told.node for queued in waiting] == ["0"]
