"""What is asked of a model, whichever protocol brings it; where the work on it is done."""

import asyncio
import threading
import time

import numpy as np
import pytest

from aeros_serving.protocol.errors import Malformed
from aeros_serving.requests import LARGE, Output, Request, answer_cost, outputs_of, run_by_cost


class Served:
    labels = ("low", "high")


def request(*outputs, binary=False):
    made = Request("", {}, {}, binary=binary)
    made.ask(outputs)
    return made


def thread_of(cost):
    return asyncio.run(run_by_cost(cost, threading.current_thread))


def test_small_work_is_done_at_once_and_large_work_in_one_thread():
    assert thread_of(LARGE) is threading.main_thread()
    assert thread_of(LARGE + 1) is thread_of(10 * LARGE)
    assert thread_of(LARGE + 1) is not threading.main_thread()


def test_the_event_loop_goes_on_while_a_thread_works():
    async def work():
        turns, large = 0, asyncio.ensure_future(run_by_cost(LARGE + 1, lambda: time.sleep(0.3)))
        while not large.done():
            turns += 1
            await asyncio.sleep(0.01)
        return turns

    assert asyncio.run(work()) > 5


@pytest.mark.parametrize("cost", [0, LARGE + 1])
def test_errors_of_the_work_are_raised(cost):
    def work():
        raise Malformed("no")

    with pytest.raises(Malformed, match="no"):
        asyncio.run(run_by_cost(cost, work))


ANSWER = {
    "scores": np.zeros((LARGE, 2), np.float32),
    "text": np.full(LARGE, "a", dtype=object),
    "label": np.zeros(10, np.int64),
}


@pytest.mark.parametrize(
    ("asked", "large"),
    [
        (request(Output("label")), False),
        (request(Output("label", classes=10**12)), False),
        (request(Output("scores")), True),
        (request(Output("scores", binary=True)), False),
        (request(Output("scores", classes=1)), True),
        (request(Output("text")), True),
        (request(Output("text", binary=True)), True),
        (request(), True),
        (request(Output("there is none")), False),
    ],
)
def test_the_cost_of_an_answer_is_that_of_the_outputs_that_are_asked_for(asked, large):
    assert (answer_cost(asked, ANSWER) > LARGE) is large


def test_without_outputs_all_are_encoded_as_the_request_says():
    numbers = {"scores": ANSWER["scores"]}
    assert answer_cost(request(), numbers) > LARGE
    assert answer_cost(request(binary=True), numbers) < LARGE


def test_an_output_is_asked_for_once():
    with pytest.raises(Malformed, match="output 'label' is asked for twice"):
        request(Output("label"), Output("label", classes=2))


def test_classes_have_the_best_first_with_their_labels():
    asked = request(Output("scores", classes=2))
    answer = {"scores": np.array([[0.25, 0.75, 0.0], [np.nan, 0.5, 1.0]])}
    ((output, best),) = outputs_of(asked, Served, answer)
    assert output.name == "scores"
    assert best[0].tolist() == [b"0.750000:1:high", b"0.250000:0:low"]
    assert best[1].tolist()[:2] == [b"1.000000:2", b"0.500000:1:high"]
