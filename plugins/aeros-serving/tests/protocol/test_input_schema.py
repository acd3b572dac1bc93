"""Requests against the schema: every violation by its field's name."""

import numpy as np
import pytest

from aeros_core.errors import ConfigError
from aeros_core.parameters import Parameters
from aeros_core.records import Model
from aeros_core.schema import Field, Schema
from aeros_serving.protocol.errors import Malformed
from aeros_serving.protocol.input_schema import InputSchema, Tensor, input_schema_of

FIELDS = [
    Field("age", "float64", (), (18.0, 90.0)),
    Field("image", "float32", (2, None)),
    Field("job", "str", categories=("clerk", "cook")),
    Field("code", "int64", categories=("a", "b")),
]
CONTRACT = InputSchema({field.name: field for field in FIELDS})


def good():
    return {
        "age": np.array([20.0, 30.0]),
        "image": np.zeros((2, 2, 5), np.float32),
        "job": np.array([b"cook", b"clerk"], dtype=object),
        "code": np.array([0, 1]),
    }


def refused(**changes):
    tensors = {k: v for k, v in (good() | changes).items() if v is not None}
    with pytest.raises(Malformed) as told:
        CONTRACT.check(tensors, dict.fromkeys(tensors, "THIS"))
    return str(told.value)


def test_what_keeps_the_contract_becomes_a_batch():
    batch = CONTRACT.check(good(), dict.fromkeys(good(), ""))
    assert list(batch) == ["age", "image", "job", "code"]
    assert batch["job"].tolist() == ["cook", "clerk"]
    assert batch["job"].dtype == object


def test_metadata_say_what_a_request_brings():
    assert CONTRACT.inputs == [
        Tensor("age", "FP64", (-1,)),
        Tensor("image", "FP32", (-1, 2, -1)),
        Tensor("job", "BYTES", (-1,)),
        Tensor("code", "INT64", (-1,)),
    ]
    assert CONTRACT.free


def test_what_widens_without_loss_is_taken():
    halves = np.ones((2, 2, 1), np.float16)
    batch = CONTRACT.check(good() | {"image": halves}, dict.fromkeys(good(), "FP16"))
    assert batch["image"].dtype == np.float32


def test_every_violation_is_named_at_once():
    told = refused(age=None, strange=np.zeros(2), image=np.zeros((2, 2), np.float32))
    assert told == (
        "input 'age' is missing;"
        " input 'strange' is not expected; the model takes age, image, job, code;"
        " input 'image': shape [2, 2], not [rows, 2, any]"
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"image": np.full((2, 2, 5), 0.1)},
            "input 'image': 0.1 in row 0 does not fit FP32 exactly, and datatype THIS was sent",
        ),
        ({"image": good()["job"]}, "input 'image': shape [2], not [rows, 2, any]"),
        ({"job": np.zeros(2)}, "input 'job': datatype THIS, not BYTES"),
        ({"age": good()["job"]}, "input 'age': datatype THIS, not FP64"),
        ({"job": np.array([b"\xff", b""], dtype=object)}, "input 'job': not UTF-8"),
        ({"age": np.array([1.0, np.nan])}, "input 'age': NaN or infinity in row 1"),
        ({"age": np.array([-np.inf, 1.0])}, "input 'age': NaN or infinity in row 0"),
        ({"code": np.array([0, 2])}, "input 'code': codes from 0 to 2, not 0 to 1"),
        (
            {"job": np.array([b"cook", b"king"], dtype=object)},
            "input 'job': 'king' in row 1 is none of clerk, cook",
        ),
        (
            {"job": np.array([b"king", b"queen"], dtype=object)},
            "input 'job': 'king' in row 0, 'queen' in row 1 are none of clerk, cook",
        ),
        ({"code": np.array([0])}, "inputs have different numbers of rows: 'age' 2, 'image' 2,"),
    ],
)
def test_a_violation_is_named(changes, told):
    assert told in refused(**changes)


def test_every_kind_of_violation_is_named_at_once():
    told = refused(
        age=np.array([np.nan, 1.0, 2.0]),
        image=np.full((2, 3, 5), b"", dtype=object),
        job=np.array([b"king", b"cook"], dtype=object),
        code=np.array([7, 0]),
    )
    assert told == (
        "input 'age': NaN or infinity in row 0;"
        " input 'image': shape [2, 3, 5], not [rows, 2, any];"
        " input 'image': datatype THIS, not FP32;"
        " input 'job': 'king' in row 0 is none of clerk, cook;"
        " input 'code': codes from 0 to 7, not 0 to 1;"
        " inputs have different numbers of rows: 'age' 3, 'job' 2, 'code' 2"
    )


def test_what_could_not_be_read_is_named_with_the_rest():
    tensors = {"age": np.array([20.0]), "job": np.array([b"king"], dtype=object)}
    bad = {"image": "input 'image': data must be an array", "inputs[3]": "inputs[3] has no name"}
    bad["odd"] = "input 'odd' has no shape"
    with pytest.raises(Malformed) as told:
        CONTRACT.check(tensors, dict.fromkeys(tensors, "THIS"), bad)
    assert str(told.value) == (
        "input 'image': data must be an array; inputs[3] has no name; input 'odd' has no shape;"
        " input 'code' is missing;"
        " input 'odd' is not expected; the model takes age, image, job, code;"
        " input 'job': 'king' in row 0 is none of clerk, cook"
    )


def test_inputs_without_number_make_no_message_without_end():
    many = {f"y{n}": np.zeros(1) for n in range(100)}
    bad = {f"z{n}": f"input 'z{n}' has no shape" for n in range(100)} | {"age": "input 'age': bad"}
    with pytest.raises(Malformed) as told:
        CONTRACT.check(good() | many, dict.fromkeys([*good(), *many], ""), bad)
    said = str(told.value)
    assert (said.count("is not expected"), said.count("has no shape")) == (20, 20)
    assert "180 further inputs are not expected" in said
    assert "input 'age': bad" in said


def test_what_is_none_of_the_categories_is_counted_and_told_in_bounds():
    contract = InputSchema({"c": Field("c", "str", (2,), categories=tuple(map(str, range(50))))})
    texts = [[b"1", b"x" * 99], *([b"y%d" % n, b"y%d" % n] for n in range(20))]
    with pytest.raises(Malformed) as told:
        contract.check({"c": np.array(texts, dtype=object)}, {"c": "BYTES"})
    assert str(told.value).startswith(f"input 'c': '{'x' * 40}' in row 0, 'y0' in row 1, 'y1' in")
    assert str(told.value).endswith(
        "'y8' in row 9, … (21 in all) are none of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … (50 in all)"
    )
    assert contract.columns["c"].strange == 41


def test_codes_that_are_none_of_the_categories_are_counted():
    contract = InputSchema({"code": FIELDS[3]})
    with pytest.raises(Malformed):
        contract.check({"code": np.array([0, 2, -1, 1])}, {"code": "INT64"})
    assert contract.columns["code"].strange == 2


def test_large_numbers_are_finite_though_their_sum_is_not():
    high = np.full(2, 1.7e308)
    assert CONTRACT.check(good() | {"age": high}, dict.fromkeys(good(), ""))["age"] is high


def test_a_sample_keeps_the_contract():
    sample = CONTRACT.sample(3, 4)
    assert {name: column.shape for name, column in sample.items()} == {
        "age": (3,), "image": (3, 2, 4), "job": (3,), "code": (3,),
    }  # fmt: skip
    assert sample["age"].tolist() == [18.0] * 3
    assert sample["job"].tolist() == [CONTRACT.fields["job"].categories[0]] * 3
    raw = dict(sample)
    raw["job"] = np.array([value.encode() for value in sample["job"]], dtype=object)
    CONTRACT.check(raw, dict.fromkeys(raw, ""))


class Widen:
    """A step that changes the shape."""

    def output_schema(self, schema):
        return schema.with_field(Field("age", "float64", (2,)))


class Same:
    """A step that does not."""

    def output_schema(self, schema):
        return schema


def test_a_request_brings_what_came_before_the_transformers():
    raw = Schema((FIELDS[0],))
    trained = Schema((Field("age", "float64", (9,)),))
    model = Model("m", Parameters.of({}), trained, inputs=raw)
    assert input_schema_of(model, [Widen()]).fields == {"age": FIELDS[0]}


def test_a_model_from_before_is_taken_where_its_steps_change_no_shape():
    model = Model("m", Parameters.of({}), Schema((FIELDS[0],)), transformers={"w": {}})
    assert input_schema_of(model, [Same()]).fields == {"age": FIELDS[0]}
    with pytest.raises(ConfigError, match="does not say what its transformers take"):
        input_schema_of(model, [Widen()])


def test_a_model_without_a_schema_is_refused():
    with pytest.raises(ConfigError, match="has no schema"):
        input_schema_of(Model("m", Parameters.of({}), Schema(())), [])
