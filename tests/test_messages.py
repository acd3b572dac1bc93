import dataclasses
import pickle

import numpy as np
import pytest

from aeros_core.messages import Action, Broadcast, Evaluation, Failure, Instruction, Update

EXTRA = {"control": np.arange(2, dtype="float32")}


@pytest.fixture
def messages(flat):
    return [
        Broadcast({"proximal_mu": 0.1}, EXTRA),
        Instruction(3, "client-1", flat(1, 2), Action.TRAIN, 7, {"mu": 0.5}, EXTRA, 2.0),
        Update("client-1", 3, flat(1, 2), 10, {"loss": 0.5}, {"lr": 0.1}, EXTRA, True),
        Evaluation("client-1", 3, 10, {"loss": 0.5}),
        Failure("client-1", 3, "the sensor is unplugged"),
    ]


def plain(value):
    """Return a message as comparable data."""
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.dtype.name, value.tolist()
    return value


def test_every_message_is_picklable(messages):
    for message in messages:
        again = pickle.loads(pickle.dumps(message))
        assert type(again) is type(message)
        assert plain(again) == plain(message)


def test_no_message_can_be_changed(messages):
    for message in messages:
        name = dataclasses.fields(message)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(message, name, None)
        assert not hasattr(message, "__dict__")


def test_the_payload_is_parameters_and_extra_vectors(messages):
    _, instruction, update, *_ = messages
    assert instruction.nbytes == 2 * 4 + 2 * 4
    assert update.nbytes == 2 * 4 + 2 * 4


def test_an_action_is_its_word():
    assert [str(action) for action in Action] == ["train", "evaluate", "infer"]
