"""A file of a key that is not understood to the last byte is refused."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_algorithms.keys import ed25519, revocation
from aeros_algorithms.keys.key_file import parse
from aeros_core.errors import ConfigError

PATH = Path("owner.pub")
KEY = (
    b"-----BEGIN PUBLIC KEY-----\n"
    b"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
    b"-----END PUBLIC KEY-----\n"
)


def test_what_is_understood():
    assert parse(KEY, PATH).expires is None
    assert parse(KEY.removesuffix(b"\n"), PATH).pem == KEY
    found = parse(b"expires: 2027-12-31\n" + KEY, PATH)
    assert (found.expires, found.pem) == (date(2027, 12, 31), KEY)


def test_of_two_days_one_that_is_over_counts():
    both = b"expires: 2020-01-31\nexpires: 2999-01-31\n" + KEY
    assert parse(both, PATH).expires == date(2020, 1, 31)


REFUSED = {
    "capital": b"Expires: 2027-12-31\n" + KEY,
    "capitals": b"EXPIRES: 2027-12-31\n" + KEY,
    "below": KEY + b"expires: 2027-12-31\n",
    "capital below": KEY + b"Expires: 2020-12-31\n",
    "within": KEY.replace(b"-\nM", b"-\nexpires: 2027-12-31\nM"),
    "twice": b"expires: 2998-12-31\nexpires: 2999-12-31\n" + KEY,
    "another word": b"until: 2027-12-31\n" + KEY,
    "a comment": b"# the key of the owner\n" + KEY,
    "a comment below": KEY + b"# the key of the owner\n",
    "an empty line": b"\n" + KEY,
    "an empty line below": KEY + b"\n",
    "no space": b"expires:2027-12-31\n" + KEY,
    "two spaces": b"expires:  2027-12-31\n" + KEY,
    "a space before": b" expires: 2027-12-31\n" + KEY,
    "a space behind": b"expires: 2027-12-31 \n" + KEY,
    "a tab": b"expires:\t2027-12-31\n" + KEY,
    "CRLF": b"expires: 2027-12-31\r\n" + KEY,
    "CRLF in the key": KEY.replace(b"\n", b"\r\n"),
    "CR": b"expires: 2027-12-31\r" + KEY,
    "a mark of byte order": b"\xef\xbb\xbfexpires: 2027-12-31\n" + KEY,
    "a mark before the key": b"\xef\xbb\xbf" + KEY,
    "UTF-16": (b"expires: 2027-12-31\n" + KEY).decode().encode("utf-16"),
    "no such day": b"expires: 2027-02-30\n" + KEY,
    "no such month": b"expires: 2027-13-01\n" + KEY,
    "a week": b"expires: 2027-W01-1\n" + KEY,
    "a time": b"expires: 2027-12-31T00:00\n" + KEY,
    "short": b"expires: 2027-1-1\n" + KEY,
    "basic": b"expires: 20271231\n" + KEY,
    "another order": b"expires: 31.12.2027\n" + KEY,
    "other digits": "expires: ٢٠٢٧-١٢-٣١\n".encode() + KEY,
    "never": b"expires: never\n" + KEY,
    "no day": b"expires: \n" + KEY,
    "one line": b"expires: 2027-12-31" + KEY,
    "a second key": KEY + KEY,
    "a NUL": b"expires: 2027-12-31\n\0" + KEY,
    "a NUL behind": KEY + b"\0",
    "cut": KEY[:60],
    "no end": b"\n".join(KEY.split(b"\n")[:2]),
    "nothing": b"",
    "a day alone": b"expires: 2027-12-31\n",
    "a private key": KEY.replace(b"PUBLIC", b"PRIVATE"),
    "long": KEY + b"x" * 10_000,
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_is_not_understood_is_refused(tmp_path, owner, data):
    for read in (lambda: parse(data, PATH), lambda: ed25519.trusted(tmp_path / "keys")):
        (tmp_path / "keys/other.pub").write_bytes(data)
        with pytest.raises(ConfigError):
            read()
    with pytest.raises(ConfigError):
        revocation.standings(tmp_path / "keys")


@given(head=st.binary(max_size=30), tail=st.binary(max_size=30))
def test_whatever_stands_around_a_key(head, tail):
    try:
        found = parse(head + KEY + tail, PATH)
    except ConfigError:
        return
    day = head.removeprefix(b"expires: ").removesuffix(b"\n").decode()
    assert (not head and found.expires is None) or found.expires == date.fromisoformat(day)
    assert not tail


REVOKED = {
    "a key twice": '{"KEY": {"since": "2026-01-31"}, "KEY": {"since": "2026-01-31"}}',
    "a word twice": '{"KEY": {"since": "2026-01-31", "since": "2026-02-01"}}',
    "an unknown word": '{"KEY": {"since": "2026-01-31", "until": "2027-01-01"}}',
    "a capital": '{"KEY": {"Since": "2026-01-31"}}',
    "no such day": '{"KEY": {"since": "2026-02-30"}}',
    "a week": '{"KEY": {"since": "2026-W05-6"}}',
    "basic": '{"KEY": {"since": "20260131"}}',
    "a mark of byte order": '\ufeff{"KEY": {"since": "2026-01-31"}}',
    "more behind": '{"KEY": {"since": "2026-01-31"}} {}',
    "a comment": '{"KEY": {"since": "2026-01-31"}} // stolen',
    "a comma": '{"KEY": {"since": "2026-01-31"},}',
    "NaN": '{"KEY": {"since": NaN}}',
    "a short key": '{"abc": {"since": "2026-01-31"}}',
    "capitals": '{"' + "A" * 64 + '": {"since": "2026-01-31"}}',
}


@pytest.mark.parametrize("text", REVOKED.values(), ids=REVOKED)
def test_a_list_of_revocations_that_is_not_understood(tmp_path, owner, text):
    (tmp_path / "keys/revoked.json").write_text(text.replace("KEY", "a" * 64), encoding="utf-8")
    with pytest.raises(ConfigError, match="nobody knows which keys were revoked"):
        revocation.check(tmp_path / "keys", owner.id)
