"""Answers that are none are told by what they are, and by whose they are."""

from collections import OrderedDict

import numpy as np
import pytest

from aeros_core.errors import PredictionError
from aeros_core.inference.outputs import checked


class Echo:
    pass


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ([1], "answered with a list, not a dict of arrays"),
        (None, "answered with None, not a dict of arrays"),
        ({1: np.zeros(1)}, "answered with an int for a name, not a str"),
        ({"y": [1]}, "answered 'y' with a list, not an array"),
        ({"y": np.float32(1)}, "answered 'y' with a float32, not an array"),
        ({"y": np.array(1)}, "answered 'y' with one value, not an array of rows"),
        ({"x": np.ones(2), "y": np.array(["a", object()], object)},
         "answered 'y' with an array that holds an object, not str or bytes alone"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_told(answer, told):
    with pytest.raises(PredictionError) as caught:
        checked(Echo(), answer)
    assert caught.value.asked == f"inferencer {__name__}.Echo {told}"


def test_answers_pass():
    answer = OrderedDict(a=np.zeros((2, 3)), b=np.array(["x", b"y"], object), c=np.array(["x"]))
    assert checked(Echo(), answer) is answer
