"""What errors say to clients: one line, and nothing of this machine."""

import pytest

from aeros_core.errors import AerosError, ConfigError, DataError, RepositoryError
from aeros_serving.protocol.errors import Damaged, Malformed, Unavailable, plain, refusal


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("/home/a/b.json is damaged", "… is damaged"),
        ("it lies in '/var/lib/x' and ~/a/b", "it lies in '…' and …"),
        ("http://there:80/v2/models did not answer", "http://there:80/v2/models did not answer"),
        ("s3://bucket/a/b is gone", "s3://bucket/a/b is gone"),
        ("1/2 and/or text/plain a/b/c", "1/2 and/or text/plain a/b/c"),
        ("<A object at 0x7f12ab> is none", "<A object> is none"),
        ("first\n  second", "first second"),
    ],
)
def test_paths_of_this_machine_are_left_out(said, told):
    assert plain(ValueError(said)) == told
    assert plain(ConfigError(said, exists="much", hint="aeros run")) == told


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (DataError("'x' is none", exists="a, b", hint="aeros run"), Malformed,
         "'x' is none; exists: a, b"),
        (ConfigError("it cannot be", provider="p", hint="aeros run"), Malformed, "it cannot be"),
        (RepositoryError("it cannot be read: /a/b", hint="aeros"), Damaged,
         "it cannot be read; the server's log says why"),
        (AerosError("http://there did not answer", hint="aeros"), Unavailable,
         "http://there did not answer"),
    ],
)  # fmt: skip
def test_an_answer_holds_no_commands(error, kind, told):
    found = refusal(error)
    assert (type(found), str(found)) == (kind, told)
