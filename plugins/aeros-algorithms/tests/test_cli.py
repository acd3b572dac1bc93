import dataclasses
import json
import sys
from types import ModuleType

import pytest

from aeros_algorithms.keys import trust_folder
from aeros_core.cli import main
from aeros_core.errors import RepositoryError
from aeros_core.plugins import discovery, registry

KEYS = "config/aeros/keys"


class Shelf:
    """A repository that keeps algorithms, of a whole process."""

    stored = {}  # noqa: RUF012

    def store_algorithm(self, algorithm, wheel):
        kept = self.stored.setdefault((algorithm.name, algorithm.version), (algorithm, wheel))
        if kept != (algorithm, wheel):
            raise RepositoryError("it is stored already")

    def algorithms(self, name=None):
        return [a for a, _ in self.stored.values() if name in (None, a.name)]

    def algorithm(self, name, version):
        return self.stored[name, version]


class Bare:
    """One that does not."""


@pytest.fixture
def aeros(tmp_path, monkeypatch, capsys):
    """A function that runs ``aeros algorithms …`` in an empty folder."""
    module = ModuleType("toy_shelf")
    module.Shelf, module.Bare = Shelf, Bare
    configs = {}
    for name in ("Shelf", "Bare"):
        made = dataclasses.make_dataclass(name, [("_target_", str, f"toy_shelf.{name}")])
        configs[name.lower()] = made
    monkeypatch.setitem(sys.modules, "toy_shelf", module)
    monkeypatch.setattr(Shelf, "stored", {})
    plugin = registry.Plugin("shelf", "toy-shelf", "1", "toy_shelf")
    own = discovery.discover()
    offered = {
        ("repository", n): registry.Option("repository", n, c, plugin) for n, c in configs.items()
    }
    found = registry.Registry((*own.plugins, plugin), own.options | offered)
    monkeypatch.setattr(discovery, "discover", lambda: found)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    trust_folder._say.cache_clear()

    def run(*words, repository="shelf"):
        more = [] if words[0] in ("keygen", "keys", "revoke") else [f"repository={repository}"]
        code = main.main(["algorithms", *words, *more])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def pushed(aeros, built, tmp_path):
    """Two versions, signed by ``owner``, whose public key the user trusts."""
    assert aeros("keygen", "owner")[0] == 0
    (tmp_path / KEYS).mkdir(parents=True)
    (tmp_path / "owner.pub").rename(tmp_path / KEYS / "owner.pub")
    for version in ("1.9", "1.10"):
        (tmp_path / "toy.whl").write_bytes(built(version=version).data)
        code, out, err = aeros("push", "toy.whl", "--key", "owner")
        assert (code, err) == (0, "")
        assert out.startswith(f"toy-half:{version} is stored, signed by ")


def test_from_a_key_to_an_installed_algorithm(aeros, pushed, tmp_path):
    rows = json.loads(aeros("list", "--json")[1])
    assert [(row["name"], row["version"]) for row in rows] == [
        ("toy-half", "1.9"), ("toy-half", "1.10"),
    ]  # fmt: skip
    assert aeros("list")[1].splitlines()[0].split() == ["name", "version", "size", "sha256", "key"]
    assert aeros("verify")[:2] == (0, "2 algorithms verified, all by trusted keys\n")
    code, lock, _ = aeros("lock", "toy-half")
    assert json.loads(lock) == {"toy-half": {"version": "1.10", "sha256": rows[1]["sha256"]}}
    (tmp_path / "digits.lock").write_text(lock)
    code, out, err = aeros("install", "--task", "digits", "--lock", "digits.lock")
    assert (code, err) == (0, "")
    assert out == "aeros-algorithms/digits/toy-half-1.10\n"
    assert (tmp_path / out.strip() / "toy_half.py").is_file()


def test_an_older_one_is_refused_afterwards(aeros, pushed, tmp_path):
    for name, code in (("toy-half:1.10", 0), ("toy-half:1.9", 1)):
        (tmp_path / "lock").write_text(aeros("lock", name)[1])
        done = aeros("install", "--task", "digits", "--lock", "lock")
        assert done[0] == code
    assert done[2].startswith("aeros: toy-half:1.9 is older than what this node has had\n")


def test_what_would_be_refused_is_named(aeros, pushed):
    algorithm, wheel = Shelf.stored["toy-half", "1.9"]
    Shelf.stored["toy-half", "1.9"] = (algorithm, wheel + b"\0")
    code, out, err = aeros("verify")
    assert (code, err) == (1, "aeros: 1 of 2 algorithms would be refused\n")
    assert out.splitlines()[1].startswith("toy-half:1.9  the wheel of toy-half:1.9 is not the one")
    assert aeros("verify", "toy-half")[0] == 0
    assert set(json.loads(aeros("verify", "--json")[1])["refused"]) == {"toy-half:1.9"}


def test_a_repository_that_delivers_another(aeros, pushed, tmp_path):
    lock = aeros("lock", "toy-half:1.9")[1]
    (tmp_path / "lock").write_text(lock)
    other, wheel = Shelf.stored["toy-half", "1.10"]
    Shelf.stored["toy-half", "1.9"] = (other, wheel)
    code, _, err = aeros("install", "--task", "digits", "--lock", "lock")
    assert code == 1
    assert err.startswith("aeros: toy-half:1.10 is not the one in the task's lock\n")
    assert not list((tmp_path / "aeros-algorithms").glob("*/*"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["keygen"], "aeros algorithms keygen takes one file"),
        (["keygen", "a", "b"], "aeros algorithms keygen takes one file"),
        (["revoke"], "aeros algorithms revoke takes one key"),
        (["revoke", "abc"], "'abc' is no key"),
        (["revoke", "nowhere.pub"], "the public key nowhere.pub cannot be read: No such file"),
        (["keys"], "{keys} holds no key to trust"),
        (["push", "--key", "k"], "aeros algorithms push takes one wheel"),
        (["push", "a.zip", "--key", "k"], "aeros algorithms push takes one wheel"),
        (["push", "a.whl", "--key", "nowhere"], "the key nowhere cannot be read: No such file"),
        (["verify"], "{keys} holds no key to trust"),
        (["lock"], "aeros algorithms lock takes algorithms"),
        (["install", "x", "--task", "t", "--lock", "l"], "aeros algorithms install takes what to"),
        (["install", "--task", "t", "--lock", "l"], "l is not the lock of a task"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_words_that_do_not_fit_are_told(aeros, tmp_path, words, said):
    code, out, err = aeros(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"aeros: {said}".replace("{keys}", str(tmp_path / KEYS)))
    assert "\n  next: " in err


def test_a_wheel_that_is_not_there(aeros):
    aeros("keygen", "key")
    code, _, err = aeros("push", "a.whl", "--key", "key")
    assert (code, err.splitlines()[0]) == (
        2,
        "aeros: a.whl cannot be read: No such file or directory",
    )


def test_an_algorithm_that_is_not_stored_is_told(aeros, built, tmp_path):
    none = "  exists: none at all\n  next: aeros algorithms list\n"
    assert aeros("list", "half") == (1, "", f"aeros: algorithm 'half' is not stored\n{none}")
    (tmp_path / "a.whl").write_bytes(built().data)
    aeros("keygen", "key")
    aeros("push", "a.whl", "--key", "key")
    for words, exists in (
        (["list", "half"], "toy-half"), (["lock", "half:1.0"], "toy-half"),
        (["lock", "toy-half:2"], "1.0"),
    ):  # fmt: skip
        code, out, err = aeros(*words)
        assert (code, out) == (1, "")
        assert err == (
            f"aeros: algorithm '{words[1]}' is not stored\n  exists: {exists}\n"
            "  next: aeros algorithms list\n"
        )


def test_a_file_that_is_no_wheel_is_named(aeros, tmp_path):
    aeros("keygen", "key")
    (tmp_path / "a.whl").write_bytes(b"nothing of a wheel")
    code, _, err = aeros("push", "a.whl", "--key", "key")
    assert (code, err) == (
        1, "aeros: a.whl is not stored: the wheel is damaged: File is not a zip file\n",
    )  # fmt: skip


def test_a_wheel_that_no_node_would_take_is_not_pushed(aeros, built, tmp_path):
    aeros("keygen", "key")
    (tmp_path / "a.whl").write_bytes(built().entry("../up.py").data)
    code, _, err = aeros("push", "a.whl", "--key", "key")
    assert (code, Shelf.stored) == (1, {})
    assert "leads out of its folder" in err


@pytest.mark.parametrize("name", ["nobody", "toy-half:3"])
def test_what_is_not_stored(aeros, pushed, name):
    code, _, err = aeros("lock", name)
    assert code == 1
    assert err.startswith(f"aeros: algorithm '{name}' is not stored\n  exists: ")


def test_a_repository_that_keeps_no_algorithms(aeros):
    code, _, err = aeros("list", repository="bare")
    assert code == 2
    assert err.startswith("aeros: Bare is a repository that cannot keep algorithms: it has no Supp")


def test_a_key_from_its_making_to_its_end(aeros, pushed, tmp_path):
    [row] = json.loads(aeros("keys", "--json")[1])
    assert (row["file"], row["status"], row["expires"], row["why"]) == (
        "owner.pub", "trusted", "", "",
    )  # fmt: skip
    assert aeros("verify")[0] == 0
    code, out, err = aeros("revoke", f"{KEYS}/owner.pub", "--why", "stolen")
    assert (code, err) == (0, "")
    assert out.startswith(f"{row['key']} is revoked since ")
    assert aeros("keys")[1].splitlines()[1].endswith(": stolen")
    code, out, err = aeros("verify")
    assert (code, err) == (1, "aeros: 2 of 2 algorithms would be refused\n")
    assert "was revoked here on" in out
    assert json.loads(aeros("revoke", row["key"], "--json")[1])["why"] == "stolen"


def test_a_key_with_a_last_day(aeros, tmp_path):
    assert aeros("keygen", "key", "--days", "30")[0] == 0
    assert (tmp_path / "key.pub").read_text().startswith("expires: 2")
    for days in ("0", "36501"):
        code, _, err = aeros("keygen", "other", "--days", days)
        assert (code, err) == (2, f"aeros: --days {days} is not possible\n  exists: 1 to 36500\n")


def test_a_site_is_told_by_its_environment(aeros, pushed, tmp_path, monkeypatch):
    (tmp_path / KEYS).rename(tmp_path / "elsewhere")
    assert aeros("verify")[0] == 2
    monkeypatch.setenv("AEROS_KEYS", "elsewhere")
    monkeypatch.setenv("AEROS_ALGORITHMS", "there")
    assert aeros("verify")[0] == 0
    (tmp_path / "lock").write_text(aeros("lock", "toy-half")[1])
    out = aeros("install", "--task", "digits", "--lock", "lock")[1]
    assert out == "there/digits/toy-half-1.10\n"


def test_keys_in_the_working_directory_are_not_read_and_that_is_said_once(aeros, pushed, tmp_path):
    """A folder that was cloned may bring keys of its own."""
    (tmp_path / KEYS).rename(tmp_path / "aeros-keys")
    code, out, err = aeros("verify")
    assert (code, out) == (2, "")
    assert err == (
        f"aeros: the keys in {tmp_path}/aeros-keys are not read; trusted keys lie in"
        f" {tmp_path / KEYS}\n"
        "  next: AEROS_KEYS=aeros-keys in the environment trusts them\n"
        f"aeros: {tmp_path / KEYS} holds no key to trust\n"
        "  exists: files *.pub as aeros algorithms keygen writes them\n"
        f"  next: mkdir -p {tmp_path / KEYS} && cp FILE.pub {tmp_path / KEYS}, the public key of"
        " whoever may push algorithms\n"
    )
    assert "are not read" not in aeros("verify")[2]
    assert aeros("verify", "--keys", "aeros-keys")[0] == 0


def test_keys_that_are_typed_need_no_word(aeros, pushed, tmp_path, monkeypatch):
    (tmp_path / KEYS).rename(tmp_path / "aeros-keys")
    monkeypatch.setenv("AEROS_KEYS", "aeros-keys")
    assert aeros("verify") == (0, "2 algorithms verified, all by trusted keys\n", "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.put("toy_half.py/x.txt", b""), "as a file and as a folder"),
        (lambda w: w.put("toy_half/x.py", b""), "'toy_half.py' as a file and as a folder"),
        (lambda w: w.put("TOY_HALF.py", b""), "'TOY_HALF.py' twice"),
        (lambda w: w.put("A/x.py", b"").put("a/y.py", b""), "in two spellings"),
        (lambda w: w.put("\u00e9.txt", b"").put("e\u0301.txt", b""), "twice"),
        (lambda w: w.put("entry_points.txt", b"[aeros]\na = toy_half\nb = toy_half\n", info=True),
         "brings 2 plugins, not one"),
        (lambda w: w.put("entry_points.txt", b"[aeros]\n", info=True), "brings 0 plugins"),
        *[(lambda w, tag=tag: w.put(
            "WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(), info=True
        ), "for another Python or platform")
          for tag in ("py2-none-any", "cp27-none-any", "py4-none-any", "py399-none-any",
                      "pp39-none-any")],
        (lambda w: w.put(
            "WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-win_amd64\n",
            info=True), "code alone"),
        (lambda w: w.put("METADATA", b"Metadata-Version: 2.1\nName: toy-half\nVersion: 1.0\n"
                         b"Name: other\n", info=True), "says Name twice"),
        (lambda w: w.put("METADATA", b"Metadata-Version: 2.1\nName: toy-half\nVersion: 1.0\n"
                         b"Requires-Dist: aeros-core >= banana\n", info=True), "cannot be read"),
    ],
)  # fmt: skip
def test_wheels_that_no_node_would_take_are_not_pushed(aeros, built, tmp_path, change, said):
    aeros("keygen", "key")
    (tmp_path / "a.whl").write_bytes(change(built()).data)
    code, _, err = aeros("push", "a.whl", "--key", "key")
    assert (code, Shelf.stored) == (1, {})
    assert err.startswith("aeros: a.whl is not stored: ")
    assert said in err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("toy_half-1.0-cp39-cp39-manylinux_2_17_x86_64.whl", "another Python or platform"),
        ("toy_half-2.0-py3-none-any.whl", "its file's name another's"),
        ("other-1.0-py3-none-any.whl", "its file's name another's"),
    ],
)
def test_a_file_whose_name_says_something_else_is_not_pushed(aeros, built, tmp_path, name, said):
    aeros("keygen", "key")
    (tmp_path / name).write_bytes(built().data)
    code, _, err = aeros("push", name, "--key", "key")
    assert (code, Shelf.stored) == (1, {})
    assert said in err


def test_a_wheel_for_several_pythons_is_pushed(aeros, built, tmp_path):
    aeros("keygen", "key")
    wheel = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py2-none-any\nTag: py3-none-any\n"
    (tmp_path / "toy_half-1.0-py2.py3-none-any.whl").write_bytes(
        built().put("WHEEL", wheel, info=True).data
    )
    assert aeros("push", "toy_half-1.0-py2.py3-none-any.whl", "--key", "key")[0] == 0


@pytest.mark.parametrize("text", ["scipy>=1", "scipy;pandas", "-", "sci\ufeffpy", "http://x"])
def test_a_list_of_what_is_allowed_that_is_not_understood(aeros, monkeypatch, text):
    monkeypatch.setenv("AEROS_ALGORITHMS_ALLOW", text)
    code, _, err = aeros("list")
    assert code == 2
    assert err.startswith("aeros: AEROS_ALGORITHMS_ALLOW: ")
