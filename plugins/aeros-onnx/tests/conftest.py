"""Models that hold graphs, and data for them."""

import numpy as np
import pytest
from drawings import SCHEMA, dense

from aeros_onnx import graph


@pytest.fixture
def rows():
    return np.random.default_rng(1).standard_normal((7, 4)).astype(np.float32)


@pytest.fixture
def model():
    """The model of `dense`, as it is after its import."""
    return graph.packed(dense(), "dense", schema=SCHEMA)
