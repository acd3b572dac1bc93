"""Tables of tens of thousands of columns: what each part does grows with them, not with
their square."""

import time

import numpy as np
import pytest

from aeros_core.data import Dataset
from aeros_core.preprocessing.pipeline import prepare, transform
from aeros_core.roles.transformer import SupportsFit
from aeros_core.schema import Field, Schema
from aeros_transforms.sources.table import Table
from aeros_transforms.steps.clip import Clip
from aeros_transforms.steps.concatenate import Stack
from aeros_transforms.steps.drop import Drop
from aeros_transforms.steps.one_hot import OneHot
from aeros_transforms.steps.scaling.min_max import MinMax
from aeros_transforms.steps.scaling.standardise import Standardise
from aeros_transforms.steps.select import Select

FEW, MANY = 4_000, 16_000
LINEAR, SQUARE = MANY / FEW, (MANY / FEW) ** 2


def names(width):
    return [f"c{number}" for number in range(width)]


def numbers(width):
    fields = tuple(Field(name, "float32") for name in names(width))
    rows = np.zeros(2, np.float32)
    return Dataset(Schema(fields), {field.name: rows for field in fields})


def codes(width):
    fields = tuple(Field(name, "int64", categories=("a", "b")) for name in names(width))
    rows = np.zeros(2, np.int64)
    return Dataset(Schema(fields), {field.name: rows for field in fields})


def apply(step, data):
    step.output_schema(data.schema)
    if isinstance(step, SupportsFit):
        step.fit([step.summarise(data.batch())])
    after = transform([step], data.batch())
    step.restore(step.state()) if hasattr(step, "state") else None
    if hasattr(step, "attributed"):
        step.attributed({name: np.zeros(c.shape) for name, c in after.items()}, data.batch())


CASES = {
    "schema": (numbers, lambda data: [data.schema[name] for name in data.schema.names]),
    "mismatches": (numbers, lambda data: data.schema.mismatches(data.schema)),
    "without": (numbers, lambda data: data.schema.without(*data.schema.names)),
    "select": (numbers, lambda data: apply(Select(fields=data.schema.names), data)),
    "drop": (numbers, lambda data: apply(Drop(fields=data.schema.names[:-1]), data)),
    "stack": (numbers, lambda data: apply(Stack(fields=[], name="all"), data)),
    "stack named": (numbers, lambda data: apply(Stack(fields=data.schema.names, name="all"), data)),
    "clip": (numbers, lambda data: apply(Clip(low=0.0, high=1.0, fields=[]), data)),
    "standardise": (
        numbers,
        lambda data: apply(Standardise(fields=data.schema.names, per="feature"), data),
    ),
    "min_max": (
        numbers,
        lambda data: apply(MinMax(fields=[], limits="fitted", per="field", clip=True), data),
    ),
    "one_hot": (codes, lambda data: apply(OneHot(fields=data.schema.names), data)),
}


def least_seconds(work, subject, tries=3):
    """Return the shortest processor time of some tries."""
    seconds = []
    for _ in range(tries):
        start = time.process_time()
        work(subject)
        seconds.append(time.process_time() - start)
    return min(seconds)


@pytest.mark.parametrize("case", CASES)
def test_time_grows_with_the_columns(case):
    make, work = CASES[case]
    few, many = (least_seconds(work, make(width)) for width in (FEW, MANY))
    assert many < max(few, 5e-3) * (LINEAR + SQUARE) / 2, (few, many)


def test_a_file_of_many_columns_is_prepared(tmp_path):
    options = {
        "test_path": None, "test_fraction": 0.0, "seed": 0, "label": "c0", "label_kind": "auto",
        "group": None, "drop": [], "header": True, "names": [], "separator": ",",
        "drop_missing": False, "categories": {}, "unknown": "refuse", "units": {},
    }  # fmt: skip

    def work(width):
        path = tmp_path / f"{width}.csv"
        rows = [names(width), *[[str(row)] * width for row in range(2)]]
        path.write_text("".join(",".join(row) + "\n" for row in rows))
        source = Table(path=str(path), columns=names(width), **options)
        steps = {
            "table": source,
            "standardise": Standardise(fields=[], per="feature"),
            "stack": Stack(fields=[], name="features"),
        }
        assert prepare(steps, 0).schema["features"].shape == (width - 1,)

    work(10)  # what is imported on first use counts for neither
    few, many = (least_seconds(work, width, tries=2) for width in (FEW, MANY))
    assert many < max(few, 5e-3) * (LINEAR + SQUARE) / 2, (few, many)
