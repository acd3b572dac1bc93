import math

import pytest

from aeros_core.errors import ConfigError
from aeros_core.options.ranges import check_range


def test_a_value_out_of_range_is_told_with_range_provider_and_hint():
    check_range("trainer.epochs", 1, True, "at least 1")
    with pytest.raises(ConfigError) as refused:
        check_range("trainer.lr", math.nan, False, "above 0", provider="p", hint="h")
    assert str(refused.value) == (
        "trainer.lr must be above 0, got nan\n  exists: above 0\n  provider: p\n  next: h"
    )
