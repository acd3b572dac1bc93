"""Codecs: what a change becomes on its way, and what becomes of hostile arrays."""

from __future__ import annotations

import dataclasses
import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import aeros_aggregators
from aeros_aggregators.arrays import parallel
from aeros_aggregators.codecs.quantised import BFloat16, Float16, Int8
from aeros_aggregators.codecs.sparse import RandomK, TopK
from aeros_aggregators.kernels import numpy_kernels
from aeros_aggregators.reduction import weighted_sum
from aeros_aggregators.rules.adaptive import FedAdam
from aeros_aggregators.rules.fedavg import FedAvg
from aeros_aggregators.rules.krum import Krum
from aeros_aggregators.rules.norm_based import NormClip
from aeros_aggregators.rules.robust import Median
from aeros_core.encoding import Encoded
from aeros_core.errors import ConfigError
from aeros_core.messages import Update
from aeros_core.parameters import Layout, Parameters
from aeros_core.roles.codec import Codec
from aeros_core.testing.codec import CodecTests

CODECS = {
    "float16": Float16(),
    "bfloat16": BFloat16(),
    "int8": Int8(block=64),
    "topk": TopK(fraction=0.1),
    "randomk": RandomK(fraction=0.1),
}
DENSE = ("float16", "bfloat16", "int8")
OPTIONS = aeros_aggregators.aeros_codecs()

numbers = arrays.arrays(
    np.float32,
    st.integers(1, 300),
    elements=st.floats(-1e4, 1e4, width=32),
    fill=st.nothing(),
)
quick = settings(max_examples=60, deadline=None)


def change(*vectors):
    return Parameters.of({f"{v.dtype}": v for v in vectors})


def encode(codec, vector, residual=None, seed=0):
    encoded, left = codec.encode(change(vector), residual, np.random.default_rng(seed))
    assert codec.fault(encoded) is None
    return encoded, left


@pytest.mark.parametrize("name", OPTIONS)
def test_options_build_codecs(name):
    options = dataclasses.asdict(OPTIONS[name]())
    module, _, attribute = options.pop("_target_").rpartition(".")
    assert isinstance(getattr(importlib.import_module(module), attribute)(**options), Codec)
    for option in options:
        assert f"{option}: " in OPTIONS[name].__doc__


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: Int8(block=100), "collector.codec.block=100"),
        (lambda: Int8(block=32), "collector.codec.block=32"),
        (lambda: TopK(fraction=0.0), "collector.codec.fraction=0.0"),
        (lambda: RandomK(fraction=1.5), "collector.codec.fraction=1.5"),
    ],
)
def test_options_out_of_range_are_refused(made, told):
    with pytest.raises(ConfigError, match=told.replace("=", " must be .*, got ", 1)):
        made()


@quick
@given(numbers)
def test_float16_rounds_to_the_nearest(vector):
    encoded, _ = encode(CODECS["float16"], vector)
    np.testing.assert_array_equal(encoded["float32"], vector.astype(np.float16).astype(np.float32))


def test_float16_has_a_greatest_number():
    encoded, _ = encode(CODECS["float16"], np.array([1e5, -7e4, 3.0], np.float32))
    assert encoded["float32"].tolist() == [65504.0, -65504.0, 3.0]


@quick
@given(numbers)
def test_bfloat16_is_off_by_half_a_step_at_most(vector):
    encoded, _ = encode(CODECS["bfloat16"], vector)
    decoded = encoded["float32"].astype(np.float64)
    assert (np.abs(decoded - vector) <= np.abs(vector) * 2.0**-8 + 1e-40).all()
    assert (decoded.astype(np.float32).view(np.uint32) & 0xFFFF == 0).all()


def test_bfloat16_agrees_with_torch():
    torch = pytest.importorskip("torch")
    vector = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    vector[:4] = [1.00390625, 1.01171875, -1.00390625, 0.0]  # ties go to even
    encoded, _ = encode(CODECS["bfloat16"], vector)
    theirs = torch.from_numpy(vector).to(torch.bfloat16).to(torch.float32).numpy()
    np.testing.assert_array_equal(encoded["float32"], theirs)


@quick
@given(numbers)
def test_int8_is_off_by_half_a_step_of_its_block_at_most(vector):
    encoded, _ = encode(CODECS["int8"], vector)
    for start in range(0, vector.size, 64):
        block = vector[start : start + 64].astype(np.float64)
        step = np.abs(block).max() / 127
        off = np.abs(encoded["float32"][start : start + 64] - block)
        assert (off <= step * 0.5001 + 1e-30).all()


@quick
@given(numbers)
def test_topk_sends_the_greatest_and_keeps_the_rest(vector):
    encoded, left = encode(CODECS["topk"], vector)
    sent = encoded.arrays["float32.places"]
    assert len(sent) == -(-vector.size // 10)
    np.testing.assert_array_equal(encoded["float32"] + left.vector, vector)
    others = np.delete(np.abs(vector), sent)
    assert np.abs(vector[sent]).min() >= others.max(initial=0.0)


def test_topk_makes_up_for_what_it_left_out():
    rng = np.random.default_rng(1)
    total, arrived, left = np.zeros(500), np.zeros(500), None
    for _ in range(30):
        vector = rng.standard_normal(500).astype(np.float32)
        encoded, left = encode(CODECS["topk"], vector, left)
        total += vector
        arrived += encoded["float32"]
    np.testing.assert_allclose(arrived + left.vector, total, atol=1e-4)
    assert np.linalg.norm(arrived - total) < np.linalg.norm(total)


def test_randomk_is_the_change_in_the_mean():
    vector = np.random.default_rng(2).standard_normal(103).astype(np.float32)
    drawn = [encode(CODECS["randomk"], vector, seed=seed)[0]["float32"] for seed in range(6000)]
    spread = np.abs(vector) * np.sqrt(9.0 / len(drawn))  # of a mean of one in ten times ten
    assert (np.abs(np.mean(drawn, axis=0) - vector) <= 5 * spread + 1e-6).all()
    assert all(np.count_nonzero(d) <= 11 for d in drawn)


def test_randomk_draws_by_the_seed_alone():
    vector = np.arange(1, 1001, dtype=np.float32)
    first, second = (encode(CODECS["randomk"], vector, seed=7)[0] for _ in range(2))
    other, _ = encode(CODECS["randomk"], vector, seed=8)
    np.testing.assert_array_equal(first["float32"], second["float32"])
    assert (first["float32"] != other["float32"]).any()


@pytest.mark.parametrize("name", CODECS)
def test_other_dtypes_come_along(name):
    rng = np.random.default_rng(3)
    given_ = change(
        rng.standard_normal(90), rng.standard_normal(70).astype(np.float16), np.arange(-3, 9)
    )
    before = given_.digest
    encoded, _ = CODECS[name].encode(given_, None, rng)
    assert CODECS[name].fault(encoded) is None
    assert given_.digest == before
    decoded = Parameters(given_.layout, encoded)
    assert decoded["int64"].tolist() == list(range(-3, 9))
    for dtype in ("float64", "float16"):
        assert decoded[dtype].dtype == dtype
        assert decoded[dtype].shape == given_[dtype].shape
    if name in DENSE:
        np.testing.assert_allclose(decoded["float64"], given_["float64"], atol=0.02)


@pytest.mark.parametrize("small_as", ["numpy", "kernels"])
@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_change_that_is_not_finite_is_found_out(name, bad, small_as, monkeypatch):
    if small_as == "kernels":
        monkeypatch.setattr(numpy_kernels, "SMALL", 1)
    for place in (0, 50, 4999):
        vector = np.ones(5000, np.float32)
        vector[place] = bad
        encoded, _ = CODECS[name].encode(change(vector), None, np.random.default_rng(0))
        assert CODECS[name].fault(encoded) is not None


@pytest.mark.parametrize("small_as", ["numpy", "kernels"])
def test_half_precision_saturates_finite_numbers_alone(small_as, monkeypatch):
    if small_as == "kernels":
        monkeypatch.setattr(numpy_kernels, "SMALL", 1)
    vector = np.float32([65504, 65520, 1e30, -1e30, 3e38, 1.0, np.inf, -np.inf, np.nan])
    encoded, _ = CODECS["float16"].encode(change(vector), None, np.random.default_rng(0))
    most = 65504.0
    np.testing.assert_array_equal(
        encoded.arrays["float32"], [most, most, most, -most, most, 1.0, np.inf, -np.inf, np.nan]
    )


@pytest.mark.parametrize("name", CODECS)
def test_a_float64_beyond_float32_is_refused(name):
    encoded, _ = CODECS[name].encode(change(np.full(90, 1e300)), None, np.random.default_rng(0))
    assert CODECS[name].fault(encoded) is not None


@pytest.mark.parametrize("name", CODECS)
def test_float16_parameters_stay_finite(name):
    vector = np.full(90, 65504.0, np.float16)
    encoded, _ = CODECS[name].encode(change(vector), None, np.random.default_rng(0))
    assert CODECS[name].fault(encoded) is None
    assert np.isfinite(encoded["float16"]).all()


def valid(name, size=1000):
    vector = np.random.default_rng(4).standard_normal(size).astype(np.float32)
    return encode(CODECS[name], vector)[0]


def forged(encoded, **changed):
    made = {**encoded.arrays, **{k.replace("__", "."): v for k, v in changed.items()}}
    return Encoded({k: v for k, v in made.items() if v is not None}, encoded.sizes, encoded.codec)


FORGED = {
    "missing": ("int8", {"float32__scales": None}, "arrays float32, not float32, float32.scales"),
    "extra": ("float16", {"more": np.zeros(1)}, "arrays float32, more, not float32"),
    "dtype": (
        "int8",
        {"float32": np.zeros(1000, np.int16)},
        "array 'float32' is not of dtype int8",
    ),
    "list": ("int8", {"float32": [0] * 1000}, "array 'float32' is not of dtype int8"),
    "short": ("int8", {"float32": np.zeros(999, np.int8)}, "has shape (999,), not (1000,)"),
    "matrix": ("int8", {"float32": np.zeros((1000, 1), np.int8)}, "has shape (1000, 1)"),
    "strided": ("int8", {"float32": np.zeros(2000, np.int8)[::2]}, "has shape (1000,)"),
    "scales": ("int8", {"float32__scales": np.zeros(15, np.float32)}, "has shape (15,), not (16,)"),
    "infinite": ("int8", {"float32__scales": np.full(16, np.inf, np.float32)}, "NaN, infinity"),
    "nan": ("int8", {"float32__scales": np.full(16, np.nan, np.float32)}, "NaN, infinity"),
    "huge": ("int8", {"float32__scales": np.full(16, 1e37, np.float32)}, "beyond 2^120"),
    "half": ("float16", {"float32": np.full(1000, np.nan, np.float16)}, "NaN or infinity"),
    "brain": ("bfloat16", {"float32": np.full(1000, 0x7F80, np.uint16)}, "NaN, infinity"),
    "far": (
        "topk",
        {"float32__places": np.arange(901, 1001, dtype=np.uint32)},
        "a place beyond the 1000 elements",
    ),
    "twice": ("topk", {"float32__places": np.zeros(100, np.uint32)}, "places that do not rise"),
    "falling": (
        "topk",
        {"float32__places": np.arange(100, dtype=np.uint32)[::-1].copy()},
        "places that do not rise",
    ),
    "values": ("topk", {"float32": np.full(100, np.inf, np.float32)}, "NaN or infinity"),
    "great": ("randomk", {"float32": np.full(100, 3e38, np.float32)}, "too great"),
    "seed": ("randomk", {"float32__seed": np.zeros(2, np.uint64)}, "has shape (2,), not (1,)"),
}


@pytest.mark.parametrize("case", FORGED)
def test_forged_arrays_are_refused_with_the_reason(case):
    name, changed, told = FORGED[case]
    assert told in CODECS[name].fault(forged(valid(name), **changed))


@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_what_passes_decodes_to_finite_numbers_in_place(name, data):
    """Bytes and lengths of a true message are changed at random, as a hostile node could."""
    encoded, made = valid(name, 200), {}
    for key, array in encoded.arrays.items():
        raw = bytearray(array.tobytes())
        for place in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=8)):
            raw[place] = data.draw(st.integers(0, 255))
        cut = data.draw(st.sampled_from([len(array)] * 4 + [0, 1, len(array) - 1]))
        made[key] = np.frombuffer(bytes(raw), array.dtype)[:cut]
    forged_ = Encoded(made, encoded.sizes, encoded.codec)
    if CODECS[name].fault(forged_) is None:
        decoded = forged_["float32"]
        assert decoded.shape == (200,)
        assert np.isfinite(decoded).all()
        update = Update("a", 1, Parameters(change(decoded).layout, forged_), 3, delta=True)
        start = change(np.zeros(200, np.float32))
        mean = FedAvg(personal=()).aggregate(start, [update])
        np.testing.assert_array_equal(mean["float32"], decoded)


LARGE = 140_001


@pytest.fixture(scope="module")
def coded():
    """A function that returns a base, and updates of a codec: encoded ones and decoded ones."""
    made = {}

    def of(name, count):
        if (name, count) not in made:
            rng = np.random.default_rng(5)
            layout = Layout.of({"w": ((LARGE,), "float32"), "n": ((2,), "int64")})
            codec, encoded, decoded = CODECS[name], [], []
            for i in range(count):
                moved = {
                    "float32": rng.standard_normal(LARGE, dtype=np.float32),
                    "int64": np.array([i, 2]),
                }
                sent, _ = codec.encode(Parameters(layout, moved), None, rng)
                parameters = Parameters(layout, sent)
                encoded.append(Update(f"n{i}", 1, parameters, 10 + 3 * i, delta=True))
                plain = dataclasses.replace(encoded[-1], parameters=parameters.copy())
                decoded.append(plain)
            made[name, count] = (Parameters.zeros(layout), encoded, decoded)
        return made[name, count]

    return of


@pytest.mark.parametrize("name", CODECS)
def test_kernels_write_what_numpy_writes(name, coded, monkeypatch):
    _, encoded, decoded = coded(name, 15)
    monkeypatch.setattr(numpy_kernels, "SMALL", 1 << 30)
    layout = encoded[0].parameters.layout
    rng = np.random.default_rng(5)
    moved = {"float32": rng.standard_normal(LARGE, dtype=np.float32), "int64": np.array([0, 2])}
    sent, _ = CODECS[name].encode(Parameters(layout, moved), None, rng)
    for key, array in sent.arrays.items():
        np.testing.assert_array_equal(array, encoded[0].parameters.vectors.arrays[key])
    np.testing.assert_array_equal(sent["float32"], decoded[0].parameters["w"])


@pytest.mark.parametrize("name", CODECS)
def test_codes_are_added_up_as_if_they_had_been_decoded(name, coded):
    start, encoded, decoded = coded(name, 15)
    fused = FedAvg(personal=()).aggregate(start, iter(encoded))
    plain = FedAvg(personal=()).aggregate(start, iter(decoded))
    np.testing.assert_allclose(fused["w"], plain["w"], rtol=1e-6, atol=1e-6)
    assert fused["n"].tolist() == plain["n"].tolist()
    mixed = [pair[i % 3 > 0] for i, pair in enumerate(zip(encoded, decoded, strict=True))]
    either = FedAvg(personal=()).aggregate(start, iter(mixed))
    np.testing.assert_allclose(either["w"], plain["w"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", CODECS)
def test_neither_threads_nor_groups_change_a_bit(name, coded, monkeypatch):
    start, encoded, _ = coded(name, 15)
    digests = set()
    for number, most in ((1, 1), (2, 4), (3, 12)):
        monkeypatch.setattr(parallel, "count", lambda n=number: n)
        monkeypatch.setattr(weighted_sum, "FEWEST", 1)
        monkeypatch.setattr(weighted_sum, "MOST", most)
        digests.add(FedAvg(personal=()).aggregate(start, iter(encoded)).digest)
    assert len(digests) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: FedAdam(server_lr=0.1, beta1=0.9, beta2=0.99, tau=1e-3, personal=()),
        lambda: NormClip(bound=1.0, personal=()),
        lambda: Median(personal=()),
        lambda: Krum(byzantine=1, personal=()),
    ],
    ids=["fedadam", "norm_clip", "median", "krum"],
)
@pytest.mark.parametrize("name", ["int8", "topk"])
def test_rules_that_know_nothing_of_codecs_take_them(name, make):
    layout = Layout.of({"w": ((300,), "float32")})
    rng = np.random.default_rng(6)
    encoded, decoded = [], []
    for i in range(7):
        moved = Parameters(layout, {"float32": rng.standard_normal(300, dtype=np.float32)})
        parameters = Parameters(layout, CODECS[name].encode(moved, None, rng)[0])
        encoded.append(Update(f"n{i}", 1, parameters, 5 + i, delta=True))
        decoded.append(dataclasses.replace(encoded[-1], parameters=parameters.copy()))
    start = Parameters.zeros(layout)
    result, expected = make().aggregate(start, encoded), make().aggregate(start, decoded)
    np.testing.assert_allclose(result["w"], expected["w"], rtol=1e-6, atol=1e-6)


class TestFloat16(CodecTests):
    make = staticmethod(lambda: CODECS["float16"])


class TestBFloat16(CodecTests):
    make = staticmethod(lambda: CODECS["bfloat16"])


class TestInt8(CodecTests):
    make = staticmethod(lambda: CODECS["int8"])


class TestTopK(CodecTests):
    make = staticmethod(lambda: CODECS["topk"])


class TestRandomK(CodecTests):
    make = staticmethod(lambda: CODECS["randomk"])
