from dataclasses import replace

import numpy as np
import pytest

from aeros_core.encoding import Encoded
from aeros_core.errors import ConfigError
from aeros_core.federated.updates.client_state import ClientState
from aeros_core.messages import Instruction, Update
from aeros_core.parameters import Parameters


def packed(body, norm):
    body, norm = np.float32([body]), np.float32([norm, norm])
    return Parameters.of({"body.weight": body, "norm.scale": norm})


def values(parameters):
    return {name: tensor.tolist() for name, tensor in parameters.items()}


TOLD = Instruction(1, "a", packed(1, 2), personal=("norm.*",))


def trained(body, norm, node="a"):
    return Update(node, 1, packed(body, norm), 4)


def test_without_anything_to_do_both_pass_as_they_are():
    told, update = replace(TOLD, personal=()), trained(3, 4)
    desk = ClientState()
    assert desk.prepare(told) is told
    assert desk.finish(told, update) is update
    assert desk.state() == {}


def test_personal_tensors_stay_and_the_global_ones_are_sent_back():
    desk = ClientState()
    assert desk.prepare(TOLD) is TOLD
    assert values(desk.finish(TOLD, trained(3, 4)).parameters) == values(packed(3, 2))
    later = replace(TOLD, round=2, parameters=packed(5, 9))
    assert values(desk.prepare(later).parameters) == values(packed(5, 4))
    assert values(later.parameters) == values(packed(5, 9))


def test_each_node_keeps_its_own():
    desk = ClientState()
    other = replace(TOLD, node="b")
    desk.finish(TOLD, trained(3, 4))
    assert desk.prepare(other) is other
    desk.finish(other, trained(3, 7, node="b"))
    assert values(desk.prepare(TOLD).parameters) == values(packed(1, 4))
    assert values(desk.prepare(other).parameters) == values(packed(1, 7))


def test_a_pattern_that_matches_nothing_is_the_users_mistake():
    with pytest.raises(ConfigError) as refused:
        ClientState().prepare(replace(TOLD, personal=("bn*", "batch*")))
    assert str(refused.value) == (
        "no tensor of the model is called bn* or batch*\n"
        "  exists: body.weight, norm.scale\n"
        "  next: collector.personal=['<pattern>'] with * and ?"
    )


def test_a_difference_is_sent_where_one_is_asked_for():
    told = replace(TOLD, delta=True)
    sent = ClientState().finish(told, trained(3, 4))
    assert sent.delta
    assert values(sent.parameters) == values(packed(2, 0))
    again = replace(trained(3, 4), delta=True)
    assert values(ClientState().finish(replace(told, personal=()), again).parameters) == values(
        packed(3, 4)
    )


class Rounding:
    """A codec that sends whole numbers, and keeps the rest for the next time."""

    def encode(self, change, residual, rng):
        whole = change.vector + (0 if residual is None else residual.vector)
        self.drawn = rng.random()
        sent = np.rint(whole)
        left = Parameters(change.layout, {"float32": whole - sent})
        return Encoded({"sent": sent}, change.layout.sizes, self), left

    def decode(self, encoded, dtype):
        return encoded.arrays["sent"]


def encoded(desk, told, *change):
    return desk.finish(told, trained(*change)).parameters.vector.tolist()


def test_what_a_codec_could_not_send_is_sent_the_next_time():
    desk, told = ClientState(Rounding()), replace(TOLD, personal=(), parameters=packed(0, 0))
    sent = desk.finish(told, trained(0.4, 1.4))
    assert sent.delta
    assert isinstance(sent.parameters.vectors, Encoded)
    assert sent.parameters.vector.tolist() == [0, 1, 1]
    assert encoded(desk, told, 0.4, 0.4) == [1, 1, 1]
    assert encoded(desk, replace(told, node="b"), 0.4, 0.4) == [0, 0, 0]


def test_a_codec_draws_from_a_stream_of_the_instruction():
    draws = []
    for seed in (1, 1, 2):
        codec = Rounding()
        ClientState(codec).finish(replace(TOLD, seed=seed), trained(3, 4))
        draws.append(codec.drawn)
    assert draws[0] == draws[1] != draws[2]


def test_what_is_kept_comes_back_from_its_state():
    told = replace(TOLD, parameters=packed(0, 0))
    desk, again = ClientState(Rounding()), ClientState(Rounding())
    for node, norm in (("b", 7), ("a", 4)):
        there = replace(told, node=node)
        desk.finish(there, replace(trained(0.4, norm), node=node))
    again.restore(desk.state())
    for node in ("a", "b"):
        there = replace(told, node=node)
        assert values(again.prepare(there).parameters) == values(desk.prepare(there).parameters)
        assert encoded(again, there, 0.4, 1) == encoded(desk, there, 0.4, 1) == [1, 0, 0]
    assert all(isinstance(part, str | np.ndarray) for part in desk.state().values())


class Hoarding:
    """A codec that sends nothing and keeps everything, also what is not finite."""

    def encode(self, change, residual, rng):
        kept = change.copy()
        if residual is not None:
            for dtype, vector in kept.vectors.items():
                np.add(vector, residual.vectors[dtype], out=vector)
        nothing = {dtype: np.zeros_like(v) for dtype, v in change.vectors.items()}
        return Encoded(nothing, change.layout.sizes, self), kept

    def decode(self, encoded, dtype):
        return encoded.arrays[dtype]

    def fault(self, encoded):
        return None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_change_that_is_not_finite_is_sent_as_it_is_and_kept_nowhere(bad):
    told, desk = Instruction(1, "a", packed(1, 2)), ClientState(Hoarding())
    sent = desk.finish(told, trained(bad, 4))
    assert sent.delta
    assert not isinstance(sent.parameters.vectors, Encoded)
    assert not np.isfinite(sent.parameters["body.weight"]).all()
    assert desk.state() == {}
    desk.finish(told, trained(3, 4))
    before = desk.state()["residual.body.weight"].tolist()
    desk.finish(told, trained(bad, 4))
    assert desk.state()["residual.body.weight"].tolist() == before == [[2.0]]


def test_a_residual_that_an_earlier_version_stored_with_nan_is_dropped():
    desk = ClientState(Hoarding())
    desk.finish(Instruction(1, "a", packed(1, 2)), trained(3, 4))
    state = desk.state()
    state["residual.body.weight"][:] = np.nan
    again = ClientState(Hoarding())
    again.restore(state)
    assert again.state() == {}


def test_a_difference_that_overflows_is_infinite_and_makes_no_noise():
    low = Parameters.of({"w": np.float16([-60000])})
    high = Update("a", 1, Parameters.of({"w": np.float16([60000])}), 4)
    sent = ClientState().finish(Instruction(1, "a", low, delta=True), high)
    assert np.isposinf(sent.parameters["w"]).all()


@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool", "uint64", "int64"])
def test_integers_and_truth_values_are_sent_as_values(dtype):
    base = Parameters.of({"w": np.float32([1]), "n": np.array([1, 0], dtype)})
    update = Update("a", 1, Parameters.of({"w": np.float32([3]), "n": np.array([0, 1], dtype)}), 4)
    sent = ClientState().finish(Instruction(1, "a", base, delta=True), update)
    assert sent.parameters["w"].tolist() == [2.0]
    assert sent.parameters["n"].tolist() == np.array([0, 1], dtype).tolist()


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool", "uint64"])
def test_integers_that_stay_on_their_node_outlive_a_resume(dtype):
    top = 1 if dtype == "bool" else np.iinfo(dtype).max
    base = Parameters.of({"w": np.float32([0]), "n": np.array([0, top], dtype)})
    own = Parameters.of({"w": np.float32([0]), "n": np.array([top, 0], dtype)})
    told = Instruction(1, "a", base, personal=("n",), delta=True)
    desk = ClientState()
    sent = desk.finish(told, Update("a", 1, own, 4))
    assert sent.parameters["n"].tolist() == base["n"].tolist()
    again = ClientState()
    again.restore(desk.state())
    kept = again.prepare(Instruction(2, "a", base, personal=("n",)))
    assert kept.parameters["n"].tolist() == np.array([top, 0], dtype).tolist()
    assert kept.parameters["n"].dtype == dtype
