"""Bodies that hang in cycles are let go of after some tens of megabytes."""

import gc
import weakref

import pytest

from aeros_flower.system import memory
from aeros_flower.system.memory import ENOUGH, BodyGarbage


class Body:
    """Something that hangs on itself."""

    def __init__(self):
        self.me = self


@pytest.fixture
def by_hand():
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def test_what_hangs_is_let_go_of_once_it_is_enough(by_hand):
    passed, hanging = BodyGarbage(), [weakref.ref(Body()) for _ in range(3)]
    passed(ENOUGH - 1)
    assert all(ref() is not None for ref in hanging)
    passed(1)
    assert all(ref() is None for ref in hanging)


def test_again_and_again(by_hand):
    passed = BodyGarbage()
    passed(ENOUGH)
    for _ in range(2):
        hanging = weakref.ref(Body())
        passed(ENOUGH // 2)
        assert hanging() is not None
        passed(ENOUGH // 2)
        assert hanging() is None


def test_there_is_one_count_for_a_process():
    assert isinstance(memory.passed, BodyGarbage)


def test_what_is_there_at_the_start_is_looked_through_once(by_hand):
    passed, stays, hanging = BodyGarbage(), Body(), weakref.ref(Body())
    passed.settle()
    assert hanging() is None
    assert gc.get_freeze_count()
    gc.unfreeze()
    passed.settle()
    passed(ENOUGH)
    assert not gc.get_freeze_count()
    assert stays.me is stays
