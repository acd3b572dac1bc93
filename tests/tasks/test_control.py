import threading

import pytest

from aeros_core.tasks.control import Cancelled, Control


def test_a_fresh_control_lets_everything_pass():
    control = Control()
    assert not control.paused
    control.check()


def test_a_pause_holds_until_resumed():
    control = Control()
    control.pause()
    passed = threading.Event()
    waiting = threading.Thread(target=lambda: (control.check(), passed.set()), daemon=True)
    waiting.start()
    assert control.paused
    assert not passed.wait(0.05)
    control.resume()
    assert passed.wait(300)
    assert not control.paused
    waiting.join()


def test_cancelling_is_told_with_how_to_go_on():
    control = Control()
    control.cancel()
    with pytest.raises(Cancelled) as cancelled:
        control.check()
    assert (
        str(cancelled.value) == "the task was cancelled\n  next: task.resume=true goes on with it"
    )


def test_cancelling_wakes_a_paused_task():
    control = Control()
    control.pause()
    caught = []

    def run():
        try:
            control.check()
        except Cancelled as error:
            caught.append(error)

    waiting = threading.Thread(target=run, daemon=True)
    waiting.start()
    control.cancel()
    waiting.join(300)
    assert len(caught) == 1
