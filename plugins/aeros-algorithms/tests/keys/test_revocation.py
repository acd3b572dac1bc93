import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aeros_algorithms.keys import ed25519, revocation
from aeros_algorithms.policy import install, verify
from aeros_algorithms.wheels.signed_statement import Refused
from aeros_core.errors import ConfigError

FUZZ = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def signed(owner, built):
    """A good wheel and its statement."""
    data = built().data
    return owner.sign(data), data


def public(site):
    return site.keys / "owner.pub"


def expiring(site, day):
    public(site).write_bytes(f"expires: {day}\n".encode() + public(site).read_bytes())


def test_a_revoked_key_signs_nothing_any_more(site, owner, signed):
    verify(site, *signed)
    revocation.revoke(site.keys, owner.id, "stolen")
    with pytest.raises(Refused, match=rf"the key {owner.id} was revoked here on .*: stolen\n"):
        verify(site, *signed)


def test_what_was_installed_before_does_not_count(site, owner, signed, lock):
    algorithm, data = signed
    assert install(site, "digits", lock(algorithm), algorithm, data).is_dir()
    revocation.revoke(site.keys, owner.id)
    with pytest.raises(Refused, match="was revoked here on"):
        install(site, "digits", lock(algorithm), algorithm, data)


def test_a_key_that_comes_back_is_still_revoked(site, owner, signed):
    kept = public(site).read_bytes()
    revocation.revoke(site.keys, owner.id)
    public(site).unlink()
    (site.keys / "another.pub").write_bytes(kept)
    with pytest.raises(Refused, match="was revoked here on"):
        verify(site, *signed)


def test_a_key_may_be_revoked_before_it_is_trusted(site, stranger):
    revocation.revoke(site.keys, stranger.id, "never heard of them")
    [own, other] = revocation.standings(site.keys)
    assert (own.status, own.file) == ("trusted", "owner.pub")
    assert (other.key, other.file, other.status) == (stranger.id, "", "revoked")
    assert other.why.endswith(": never heard of them")


def test_the_first_revocation_stands(site, owner):
    first = revocation.revoke(site.keys, owner.id, "stolen")
    assert revocation.revoke(site.keys, owner.id, "sold") == first
    assert revocation.revocations(site.keys) == {owner.id: first}


def test_the_others_go_on(site, owner, stranger, built):
    (site.keys / "other.pub").write_bytes(stranger.file.with_name("stranger.pub").read_bytes())
    revocation.revoke(site.keys, owner.id)
    data = built().data
    assert verify(site, stranger.sign(data), data).name == "toy-half"


@pytest.mark.parametrize("key", ["", "owner", "A" * 64, "a" * 63, "../" + "a" * 64])
def test_what_is_no_key_is_not_revoked(site, key):
    with pytest.raises(ConfigError, match=r"is no key\n.*\n  next: aeros algorithms keys"):
        revocation.revoke(site.keys, key)
    assert not (site.keys / "revoked.json").exists()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"revoked\.json cannot be (read|written)"):
        revocation.revoke(tmp_path / "file", "a" * 64)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", '{"a": {"since": "x"}}', json.dumps({"a" * 64: {"since": 1}}),
     json.dumps({"a" * 64: {"until": "x"}}), json.dumps({"a" * 64: "x"}), "[" * 100_000],
)  # fmt: skip
def test_a_list_that_cannot_be_read_lets_nothing_in(site, signed, text):
    (site.keys / "revoked.json").write_text(text)
    with pytest.raises(ConfigError, match="nobody knows which keys were revoked"):
        verify(site, *signed)


def test_a_flipped_bit_in_the_list_lets_nothing_in(site, owner, signed):
    """Least of all a key that was revoked, though another would be in its place."""
    revocation.revoke(site.keys, owner.id, "stolen")
    path = site.keys / "revoked.json"
    whole = path.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 7
        path.write_bytes(changed)
        with pytest.raises((ConfigError, Refused), match="revoked"):
            verify(site, *signed)


def test_an_entry_that_was_written_by_hand_has_no_checksum(site, owner, signed):
    (site.keys / "revoked.json").write_text(json.dumps({owner.id: {"since": "2026-01-31"}}))
    with pytest.raises(Refused, match="was revoked here on 2026-01-31"):
        verify(site, *signed)


def test_a_list_that_anybody_may_write(site, owner, signed):
    revocation.revoke(site.keys, owner.id)
    (site.keys / "revoked.json").chmod(0o666)
    with pytest.raises(ConfigError, match=r"anybody may write .*revoked.json\n  next: chmod o-w"):
        verify(site, *signed)


def test_a_key_is_good_to_the_end_of_its_last_day(site, signed):
    today = datetime.now(UTC).date()
    expiring(site, today + timedelta(days=1))
    verify(site, *signed)
    assert revocation.standings(site.keys)[0].status == "trusted"
    expiring(site, today - timedelta(days=2))  # of several, the first that ends
    with pytest.raises(Refused, match=f"has expired: its last day was {today - timedelta(2)}"):
        verify(site, *signed)
    assert revocation.standings(site.keys)[0].status == "expired"


@pytest.mark.parametrize("day", ["tomorrow", "", "2027-02-30"])
def test_a_day_that_is_none_lets_nothing_in(site, signed, day):
    expiring(site, day)
    with pytest.raises(ConfigError, match="does not say when it expires"):
        verify(site, *signed)


def test_a_key_is_made_with_its_last_day(tmp_path):
    day = datetime.now(UTC).date()
    key = ed25519.generate(tmp_path / "key", day)
    [found] = revocation.standings(tmp_path)
    assert (found.key, found.expires, found.status) == (key, day.isoformat(), "trusted")


# ---------------------------------------------------------------- whatever a file holds


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
nearly = st.dictionaries(
    st.sampled_from(["a" * 64, "0" * 64, "x"]),
    st.fixed_dictionaries({"since": json_values}, optional={"why": json_values}),
)


@FUZZ
@given(data=st.binary(max_size=60) | (json_values | nearly).map(lambda v: json.dumps(v).encode()))
def test_a_list_of_revocations_is_one_or_is_refused(tmp_path, data):
    (tmp_path / "revoked.json").write_bytes(data)
    try:
        found = revocation.revocations(tmp_path)
    except ConfigError:
        return
    for key, revoked in found.items():
        assert len(key) == 64
        assert isinstance(revoked.since + revoked.why, str)


@FUZZ
@given(at=st.integers(0, 112), value=st.integers(0, 255), cut=st.integers(0, 113))
def test_a_damaged_public_key_is_refused_or_another(site, owner, at, value, cut):
    whole = public(site).read_bytes()
    damaged = bytearray(whole[:cut] if cut % 2 else whole)
    if at < len(damaged):
        damaged[at] = value
    path = site.keys / "damaged"
    path.write_bytes(bytes(damaged))
    try:
        found = ed25519.identity(ed25519.public(path))
    except ConfigError:
        return
    # what still reads as a key is another, unless nothing of it but the frame was touched
    body = whole.splitlines()[1]
    assert (found == owner.id) == (body in bytes(damaged))


@FUZZ
@given(data=st.binary(max_size=200))
def test_bytes_that_are_no_key(tmp_path, data):
    path = tmp_path / "key"
    path.write_bytes(data)
    path.chmod(0o600)
    for read in (ed25519.public, ed25519.private):
        with pytest.raises(ConfigError):
            read(path)


# ---------------------------------------------------------------- clocks


def test_a_clock_that_jumps_changes_nothing_for_good(site, owner, signed, monkeypatch):
    """By hours and by years: what a key is worth is what it is worth today, and no later."""
    today = datetime.now(UTC).date()
    expiring(site, today + timedelta(days=1))
    for days in (0, 2, -400, 1, 20_000, 0, -1, 2, 0):
        monkeypatch.setattr(revocation, "_today", lambda days=days: today + timedelta(days=days))
        if days <= 1:
            verify(site, *signed)
        else:
            with pytest.raises(Refused, match="has expired"):
                verify(site, *signed)
    monkeypatch.setattr(revocation, "_today", lambda: today + timedelta(days=9999))
    revocation.revoke(site.keys, owner.id)
    monkeypatch.setattr(revocation, "_today", lambda: today - timedelta(days=9999))
    with pytest.raises(Refused, match="was revoked here"):
        verify(site, *signed)
