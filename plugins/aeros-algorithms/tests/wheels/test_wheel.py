import contextlib
import io
import stat
import tracemalloc
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeros_algorithms.wheels.signed_statement import Refused
from aeros_algorithms.wheels.wheel import Limits, opened
from aeros_core.testing.examples.fuzzing import damaged

LINK = (stat.S_IFLNK | 0o777) << 16


def test_a_wheel_as_it_should_be(built):
    wheel = opened(built(metadata="Requires-Dist: numpy\n").data, Limits())
    assert (wheel.name, wheel.version, wheel.tops) == ("toy-half", "1.0", ["toy_half"])
    assert wheel.entry_points == {"half": "toy_half"}
    assert wheel.metadata["Requires-Dist"] == "numpy"


def test_the_bytes_come_back(built):
    made = built().put("toy_half/data.bin", bytes(range(256)) * 40)
    del made.files["toy_half.py"]
    made.put("toy_half/__init__.py", b"")
    assert opened(made.data, Limits()).files.items() >= made.files.items()


ENTRIES = [
    ("../up.py", {}, "leads out of its folder"),
    ("toy/../../up.py", {}, "leads out of its folder"),
    ("/tmp/up.py", {}, "leads out of its folder"),
    ("..\\up.py", {}, "leads out of its folder"),
    ("C:up.py", {}, "leads out of its folder"),
    ("a\nb.py", {}, "leads out of its folder"),
    ("a//b.py", {}, "no path of a file"),
    ("./a.py", {}, "no path of a file"),
    ("a" * 241, {}, "no path of a file"),
    ("link", {"external_attr": LINK}, "a link or something else"),
    ("fifo", {"external_attr": (stat.S_IFIFO | 0o666) << 16}, "a link or something else"),
    ("device", {"external_attr": (stat.S_IFCHR | 0o666) << 16}, "a link or something else"),
    ("toy_half.py", {}, "twice"),
    ("TOY_half.py", {}, "twice"),
    ("bzip", {"compress_type": zipfile.ZIP_BZIP2}, "packed in a way that wheels are not"),
    ("more.py", {}, "its RECORD differ in more.py"),
]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("path", "told", "said"), ENTRIES, ids=[repr(e[0][:20]) for e in ENTRIES])
def test_an_entry_that_does_harm(built, path, told, said):
    with pytest.raises(Refused, match=said):
        opened(built().entry(path, b"/etc/passwd", **told).data, Limits())


def test_a_path_that_is_cut_at_a_zero(built):
    """Some programs see ``a.py``, others the whole name."""
    data = built().entry("a.pyXb.py").data.replace(b"a.pyXb.py", b"a.py\0b.py")
    with pytest.raises(Refused, match="leads out of its folder"):
        opened(data, Limits())


def test_an_entry_that_is_encrypted(built):
    made = built().data
    at = made.index(b"PK\x01\x02")
    encrypted = made[: at + 8] + b"\x01" + made[at + 9 :]
    with pytest.raises(Refused, match="packed in a way that wheels are not"):
        opened(encrypted, Limits())


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(packed=100), "bytes is too large"),
        (Limits(unpacked=500), "too large"),
        (Limits(files=3), "5 files: too large"),
    ],
    ids=str,
)
def test_what_is_too_large(built, limits, said):
    with pytest.raises(Refused, match=said):
        opened(built().data, limits)


def test_a_bomb_is_not_unpacked(built):
    bomb = built().put("toy_half_zeros.bin", bytes(3_000_000)).data
    assert len(bomb) < 10_000
    with pytest.raises(Refused, match="unpacks to 3,0"):
        opened(bomb, Limits(unpacked=1_000_000))


def test_a_bomb_that_lies_about_its_size(built):
    """The size in the directory is what is read at most; the rest of the stream never is."""
    data = built().put("zeros.bin", bytes(3_000_000)).data
    lying = data.replace((3_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lying != data
    with pytest.raises(Refused, match="damaged: Bad CRC-32"):
        opened(lying, Limits(unpacked=1_000_000))


def test_entries_that_overlap(built):
    """Many names for the same compressed bytes: https://www.bamsoftware.com/hacks/zipbomb/."""
    made = built().put("a.bin", b"1").put("b.bin", b"2").data
    at = [made.index(b"PK\x01\x02")]
    while (following := made.find(b"PK\x01\x02", at[-1] + 1)) > 0:
        at.append(following)
    named = {made[a + 46 : a + 51]: a for a in at}
    offset = made[named[b"a.bin"] + 42 : named[b"a.bin"] + 46]
    b = named[b"b.bin"]
    with pytest.raises(Refused, match="damaged"):
        opened(made[: b + 42] + offset + made[b + 46 :], Limits())


def test_a_file_that_is_not_what_record_names(built):
    made = built()
    good = made.data
    made.record = zipfile.ZipFile(io.BytesIO(good)).read(f"{made.info}/RECORD").decode()
    made.put("toy_half.py", b"import os  # another one")
    with pytest.raises(Refused, match=r"toy_half.py in the wheel is not the file that its RECORD"):
        opened(made.data, Limits())


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("", "differ in"),
        ("a,b", "RECORD cannot be read"),
        ('"', "RECORD cannot be read"),
        ("toy_half.py,,\ntoy_half.py,,\n", "differ in"),
    ],
    ids=repr,
)
def test_a_record_that_is_none(built, record, said):
    made = built()
    made.record = record
    with pytest.raises(Refused, match=said):
        opened(made.data, Limits())


def test_a_record_without_hashes(built):
    made = built()
    made.record = "".join(f"{path},,\n" for path in [*made.files, f"{made.info}/RECORD"])
    with pytest.raises(Refused, match="is not the file that its RECORD names"):
        opened(made.data, Limits())


FILES = [
    ("toy_half.so", "machine code or byte code"),
    ("toy_half/a.PYD", "machine code or byte code"),
    ("__pycache__/toy_half.cpython-311.pyc", "machine code or byte code"),
    ("start.pth", "installed elsewhere or run"),
    ("toy_half-1.0.data/scripts/half", "installed elsewhere or run"),
    ("toy_half-1.0.data/purelib/other.py", "installed elsewhere or run"),
    ("sitecustomize.py", "no module of an algorithm"),
    ("usercustomize.py", "no module of an algorithm"),
    ("hydra_plugins/mine.py", "no module of an algorithm"),
    ("other-2.0.dist-info/METADATA", r"2 folders \*.dist-info, not one"),
]


@pytest.mark.parametrize(("path", "said"), FILES, ids=[path for path, _ in FILES])
def test_a_file_that_has_no_place_there(built, path, said):
    with pytest.raises(Refused, match=said):
        opened(built().put(path, b"").data, Limits())


INFO = [
    ("WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-any\n", "code alone"),
    ("WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: cp311-cp311-any\n", "code alone"),
    ("WHEEL", b"Wheel-Version: 2.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n", "code alone"),
    ("WHEEL", b"", "code alone"),
    ("METADATA", b"Name: other\nVersion: 1.0\n", "says other 1.0 in METADATA"),
    ("METADATA", b"Name: toy-half\nVersion: 2.0\n", "says toy-half 2.0 in METADATA"),
    ("METADATA", b"", "has no version"),
    ("entry_points.txt", b"", "no plugin of aeros alone"),
    ("entry_points.txt", b"[aeros]\nx = toy_half\n[pytest11]\ny = toy_half\n", "aeros, pytest11"),
    ("entry_points.txt", b"[aeros]\nx = os:system\n", "x = os:system leads out of the wheel"),
    ("entry_points.txt", b"[aeros]\nx = \n", "leads out of the wheel"),
    ("entry_points.txt", b"no section", "cannot be read"),
    ("entry_points.txt", b"\xff", "cannot be read"),
]


@pytest.mark.parametrize(("path", "data", "said"), INFO, ids=[f"{p}: {s}" for p, _, s in INFO])
def test_what_a_wheel_says_of_itself(built, path, data, said):
    with pytest.raises(Refused, match=said):
        opened(built().put(path, data, info=True).data, Limits())


@pytest.mark.parametrize("path", ["WHEEL", "METADATA"])
def test_what_a_wheel_must_say(built, path):
    made = built()
    del made.files[f"{made.info}/{path}"]
    with pytest.raises(Refused, match=f"has no .*/{path}"):
        opened(made.data, Limits())


@given(st.binary(max_size=400))
def test_bytes_that_are_no_wheel(data):
    with pytest.raises(Refused, match="damaged"):
        opened(data, Limits())


@settings(deadline=None)
@given(data=st.data())
def test_a_damaged_wheel_is_refused_or_read_as_it_was(built, data):
    """Bytes that no reader looks at, dates for instance, may change; content may not."""
    made = built()
    other = built(name="another", code="x = 1\n")
    changed = data.draw(damaged(made.data, other.data))
    try:
        wheel = opened(changed, Limits())
    except Refused:
        return
    if wheel.name == "another":
        made = other
    assert {p: d for p, d in wheel.files.items() if not p.endswith("RECORD")} == made.files


words = st.sampled_from(
    ["Name: toy-half\n", "Version: 1.0\n", "Requires-Dist: numpy\n", "[aeros]\n", "\ufeff",
     "half = toy_half\n", "Root-Is-Purelib: true\n", "Tag: py3-none-any\n", "\n\n", "\x00",
     "Wheel-Version: 1.0\n", ": \n", "%(a)s", "=", "[", "a" * 5000, "=?utf-8?q?=00?=",
     "Version: " + "9" * 5000 + "\n"]
) | st.text(max_size=10)  # fmt: skip


@settings(deadline=None)
@given(
    file=st.sampled_from(["METADATA", "WHEEL", "entry_points.txt", "RECORD"]),
    text=st.lists(words, max_size=12).map("".join),
)
def test_whatever_a_wheel_says_of_itself_it_is_read_or_refused(built, file, text):
    made = built()
    data = text.encode("utf-8", "surrogatepass")
    if file == "RECORD":
        made.record = data.decode("utf-8", "replace")
    else:
        made.put(file, data, info=True)
    with contextlib.suppress(Refused):
        wheel = opened(made.data, Limits())
        assert (wheel.name, wheel.version) == ("toy-half", "1.0")


@pytest.mark.parametrize("files", [2**32 - 1, 2**40])
def test_a_wheel_that_announces_files_without_number(built, files):
    """In the end of the archive, and in the larger form of it."""
    data = bytearray(built().data)
    end = data.rfind(b"PK\x05\x06")
    data[end + 8 : end + 12] = b"\xff" * 4
    data[end + 12 : end + 16] = (files % 2**32).to_bytes(4, "little")
    tracemalloc.start()
    try:
        with contextlib.suppress(Refused):
            opened(bytes(data), Limits())
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()
