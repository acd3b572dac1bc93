import json
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from aeros_algorithms.policy import folders, install, verify
from aeros_algorithms.wheels.signed_statement import Refused
from aeros_algorithms.wheels.wheel import Limits
from aeros_core.errors import ConfigError
from aeros_core.tasks.algorithm_pin import AlgorithmPin


@pytest.fixture
def take(site, owner, lock):
    """A function that signs a wheel and installs it, for a task that locks it."""

    def taken(built, task="digits", version="1.0", name="toy-half", **rules):
        data = built.data
        algorithm = owner.sign(data, version=version, name=name)
        return install(replace(site, **rules), task, lock(algorithm), algorithm, data)

    return taken


def files(root):
    """Return everything below a folder but the lock of the installer."""
    paths = [path for path in root.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def floors(site):
    """The versions that a node has had, without the checksums of their lines."""
    lines = json.loads((site.root / "versions.json").read_text())
    return {name: line.partition(" ")[0] for name, line in lines.items()}


def test_what_is_installed_is_what_was_built(take, built, site):
    made = built()
    folder = take(made)
    assert folder == site.root / "digits/toy-half-1.0"
    found = files(folder)
    assert found.pop(f"{made.info}/RECORD")
    assert found == made.files
    assert folders(site, "digits") == [folder]
    assert folders(site, "other") == []
    assert floors(site) == {"toy-half": "1.0"}


def test_nothing_is_run(take, built, tmp_path):
    take(built(code=f"open({str(tmp_path / 'ran')!r}, 'w')"))
    assert not (tmp_path / "ran").exists()


def test_the_same_once_more_mends_what_was_changed(take, built):
    folder = take(built())
    (folder / "toy_half.py").write_text("import os")
    (folder / "json.py").touch()
    assert take(built()) == folder
    assert not (folder / "json.py").exists()
    assert files(folder)["toy_half.py"] == built().files["toy_half.py"]


def test_a_newer_one_takes_the_place_of_an_older_one(take, built, site):
    take(built(version="1.9"), version="1.9")
    folder = take(built(version="1.10"), version="1.10")
    assert folders(site, "digits") == [folder]


@pytest.fixture
def untouched(site):
    """Nothing of what is refused is ever written."""
    yield
    assert files(site.root) == {}
    assert not [path for path in site.root.glob("*/*") if path.is_dir()]


@pytest.mark.usefixtures("untouched")
class TestRefused:
    def test_a_wheel_that_nobody_signed(self, site, owner, lock, built):
        data = built().data
        unsigned = replace(owner.sign(data), signature="")
        with pytest.raises(Refused, match="is not signed"):
            install(site, "digits", lock(unsigned), unsigned, data)

    def test_a_wheel_that_a_stranger_signed(self, site, stranger, lock, built):
        data = built().data
        algorithm = stranger.sign(data)
        with pytest.raises(Refused, match="which is not trusted here"):
            install(site, "digits", lock(algorithm), algorithm, data)

    def test_another_wheel_under_a_good_statement(self, site, owner, lock, built):
        algorithm = owner.sign(built().data)
        other = built(code="import os").data
        with pytest.raises(Refused, match="is not the one that was signed"):
            install(site, "digits", lock(algorithm), algorithm, other)

    def test_a_wheel_with_something_behind_it(self, site, owner, lock, built):
        data = built().data
        algorithm = owner.sign(data)
        with pytest.raises(Refused, match="is not the one that was signed"):
            install(site, "digits", lock(algorithm), algorithm, data + b"\0")

    def test_a_good_signature_on_another_name(self, site, owner, lock, built):
        data = built().data
        algorithm = owner.sign(data, name="toy-other")
        with pytest.raises(Refused, match=r"toy-other:1.0 was signed, but the wheel is toy-half"):
            install(site, "digits", lock(algorithm), algorithm, data)

    def test_a_good_signature_on_another_version(self, site, owner, lock, built):
        """An old wheel, said to be new."""
        data = built().data
        algorithm = owner.sign(data, version="2.0")
        with pytest.raises(Refused, match=r"toy-half:2.0 was signed, but the wheel is .*:1.0"):
            install(site, "digits", lock(algorithm), algorithm, data)

    def test_what_the_task_does_not_lock(self, site, owner, built):
        data = built().data
        with pytest.raises(
            Refused, match=r"toy-half:1.0 is not in the task's lock\n  exists: none"
        ):
            install(site, "digits", {}, owner.sign(data), data)

    def test_a_good_one_that_is_not_the_one_in_the_lock(self, site, owner, built):
        data = built().data
        wanted = {"toy-half": AlgorithmPin("1.0", "0" * 64)}
        with pytest.raises(Refused, match="is not the one in the task's lock"):
            install(site, "digits", wanted, owner.sign(data), data)

    @pytest.mark.parametrize("version", ["1.0.1", "1.10", "2.0rc1"])
    def test_one_that_is_older_than_the_lock(self, site, owner, built, version):
        data = built().data
        algorithm = owner.sign(data)
        wanted = {"toy-half": AlgorithmPin(version, algorithm.sha256)}
        with pytest.raises(Refused, match=r"toy-half:1.0 is older than the task's lock"):
            install(site, "digits", wanted, algorithm, data)

    @pytest.mark.parametrize("path", ["../../up.py", "/tmp/up.py"])
    def test_a_path_that_leads_out_though_it_was_signed(self, take, built, path):
        with pytest.raises(Refused, match="leads out of its folder"):
            take(built().entry(path))

    def test_one_that_is_too_large(self, take, built):
        with pytest.raises(Refused, match="too large"):
            take(built(), limits=Limits(unpacked=10))

    @pytest.mark.parametrize("name", ["../up", "", ".", "a/b", "/tmp/a"])
    def test_a_task_whose_name_leads_elsewhere(self, take, built, name):
        with pytest.raises(ConfigError, match="is not a valid name of a task"):
            take(built(), task=name)

    @pytest.mark.parametrize(
        ("needs", "said"),
        [
            ("Requires-Dist: requests", "depends on requests, which is not allowed here"),
            ("Requires-Dist: numpy @ https://x.example/numpy.whl", "which is not allowed here"),
            ("Requires-Dist: numpy<1", r"depends on numpy<1\n  exists: numpy "),
            ("Requires-Dist: numpy; python_version<'3'\nRequires-Dist: evil", "depends on evil"),
            ("Requires-Dist: not a name!", "depends on cannot be read"),
            ("Requires-Python: <3", "needs Python <3"),
            ("Requires-Python: nine", "depends on cannot be read"),
            ("Requires-Python: >=" + "9" * 5000, "depends on cannot be read"),
            ("Requires-Dist: numpy>=" + "9" * 5000, "depends on cannot be read"),
            ("Requires-Dist: numpy; " + "(" * 3000, "depends on cannot be read"),
        ],
        ids=lambda text: text[:50],
    )
    def test_what_it_depends_on(self, take, built, needs, said):
        with pytest.raises(Refused, match=said):
            take(built(metadata=f"{needs}\n"))

    def test_what_is_allowed_but_not_there(self, take, built):
        with pytest.raises(Refused, match="which is not installed here"):
            take(built(metadata="Requires-Dist: absent-one\n"), allowed=frozenset({"Absent.One"}))

    @pytest.mark.parametrize("module", ["json", "numpy", "aeros_core", "pytest", "sys"])
    def test_a_module_that_is_here_already(self, take, built, module):
        with pytest.raises(Refused, match=f"brings the module {module}, which is here already"):
            take(built().put(f"{module}/__init__.py", b""))

    def test_a_distribution_that_is_here_already(self, take, built):
        made = built(name="numpy", version="99.0")
        with pytest.raises(Refused, match="brings the distribution numpy, which is here already"):
            take(made, name="numpy", version="99.0")

    def test_a_plugin_that_is_here_already(self, take, built):
        """The core's own is loaded whatever AEROS_PLUGINS says."""
        made = built().put("entry_points.txt", b"[aeros]\ncore = toy_half\n", info=True)
        with pytest.raises(Refused, match="brings the plugin core, which is here already"):
            take(made)


def test_what_it_may_depend_on(take, built):
    needs = (
        "Requires-Dist: numpy>=1\nRequires-Dist: Aeros_Core\nRequires-Python: >=3.8\n"
        "Requires-Dist: evil; python_version < '3'\nRequires-Dist: evil; extra == 'more'\n"
    )
    assert take(built(metadata=needs)).is_dir()
    assert take(built(metadata="Requires-Dist: PyTest\n"), allowed=frozenset({"pytest"})).is_dir()


def test_an_older_one_than_the_node_has_had(take, built, site):
    """Signed and locked, as it may have been before a fault of it was found."""
    folder = take(built(version="1.10"), version="1.10", task="first")
    before = files(site.root)
    for task in ("first", "second"):
        with pytest.raises(Refused, match=r"toy-half:1.9 is older than .*\n  exists: version 1.10"):
            take(built(version="1.9"), version="1.9", task=task)
    assert files(site.root) == before
    assert folder.is_dir()


@pytest.mark.parametrize("text", ["", "[]", '{"toy-half": "none"}', '{"toy-half": 1}'])
def test_versions_that_cannot_be_read_let_nothing_in(take, built, site, text):
    site.root.mkdir()
    (site.root / "versions.json").write_text(text)
    with pytest.raises(Refused, match="nobody knows what is a downgrade"):
        take(built())
    assert not (site.root / "digits").exists()


def test_a_flipped_bit_in_the_versions_lets_nothing_in(take, built, site):
    """Neither another version nor another name, though it would be one."""
    take(built(version="1.10"), version="1.10")
    path = site.root / "versions.json"
    whole = path.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 7
        if json.loads(whole) == _json(changed):
            continue  # white space
        path.write_bytes(changed)
        with pytest.raises(Refused, match="nobody knows what is a downgrade"):
            take(built(version="1.9"), version="1.9")
    path.write_bytes(whole)
    with pytest.raises(Refused, match="is older than what this node has had"):
        take(built(version="1.9"), version="1.9")


def _json(data):
    try:
        return json.loads(data)
    except ValueError:
        return None


def test_versions_of_an_earlier_writer_and_by_hand_have_no_checksum(take, built, site):
    site.root.mkdir()
    (site.root / "versions.json").write_text('{"toy-half": "1.10"}')
    with pytest.raises(Refused, match="is older than what this node has had"):
        take(built(version="1.9"), version="1.9")
    take(built(version="1.11"), version="1.11")
    said = json.loads((site.root / "versions.json").read_text())["toy-half"]
    assert said == f"1.11 {zlib.crc32(b'toy-half' + chr(10).encode() + b'1.11'):08x}"


def test_another_algorithm_of_the_task_that_it_would_hide(take, built):
    take(built())
    with pytest.raises(Refused, match=r"toy-more:1.0 brings the module toy_half, which is here"):
        take(built(name="toy-more"), name="toy-more")
    made = built(name="toy-more").put("entry_points.txt", b"[aeros]\nmore = toy_half\n", info=True)
    assert take(made, name="toy-more", task="another").is_dir()


def test_it_is_no_collision_with_itself_on_the_path(take, built, monkeypatch):
    folder = take(built())
    with monkeypatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(folder)])
        assert take(built()) == folder


def test_a_kill_while_unpacking_leaves_nothing_that_counts(take, built, site, monkeypatch):
    def killed(self, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            take(built())
    assert folders(site, "digits") == []
    (site.root / "digits/.left").mkdir(parents=True)
    assert folders(site, "digits") == []
    assert take(built()).is_dir()


def test_many_that_install_at_once(site, owner, lock, built):
    made = [built(name=f"toy-{n}") for n in range(6)]
    for n, each in enumerate(made):
        each.files[f"toy_{n}.py"] = each.files.pop("toy_half.py")
        each.put("entry_points.txt", f"[aeros]\nt{n} = toy_{n}\n".encode(), info=True)
    signed = [owner.sign(each.data, name=f"toy-{n}") for n, each in enumerate(made)]
    jobs = [(site, "digits", lock(*signed), a, e.data) for a, e in zip(signed, made, strict=True)]
    with ThreadPoolExecutor(len(jobs)) as pool:
        found = list(pool.map(lambda job: install(*job), jobs))
    assert folders(site, "digits") == sorted(found)
    assert floors(site) == {a.name: "1.0" for a in signed}


def test_the_signature_comes_first(site, owner, lock):
    """What nobody trusted has signed is not even opened."""
    data = b"no wheel at all"
    with pytest.raises(Refused, match="is not signed"):
        verify(site, replace(owner.sign(data), signature=""), data)
    with pytest.raises(Refused, match="damaged: File is not a zip file"):
        verify(site, owner.sign(data), data)


def test_a_link_in_place_of_the_lock_of_the_installer_empties_nothing(take, built, site, tmp_path):
    site.root.mkdir()
    (tmp_path / "thesis.tex").write_text("mine")
    (site.root / ".lock").symlink_to(tmp_path / "thesis.tex")
    with pytest.raises(Refused, match=r"\.lock cannot be opened"):
        take(built())
    assert (tmp_path / "thesis.tex").read_text() == "mine"


@pytest.mark.parametrize("which", ["", "digits", "digits/toy-half-1.0"])
def test_folders_that_others_may_write(take, built, site, which):
    take(built())
    (site.root / which).chmod(0o777)
    with pytest.raises(Refused, match="others may write"):
        take(built())


def test_folders_of_others_beside_an_algorithm_stay(take, built, site):
    """Folders whose names begin alike, and one that only looks like an older version."""
    theirs = {"toy-half-photos/a.jpg": "a", "toy-half-0.9/notes.txt": "b", "toy-half-x-1/c": "c"}
    for name, text in theirs.items():
        path = site.root / "digits" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    (site.root / ".lock").write_text("mine")
    take(built(version="1.9"), version="1.9")
    old = site.root / "digits/toy-half-1.9"
    (old / "thesis.tex").write_text("mine")
    folder = take(built(version="1.10"), version="1.10")
    assert folders(site, "digits") == [folder]
    for name, text in theirs.items():
        assert (site.root / "digits" / name).read_text() == text
    assert [p.name for p in old.iterdir()] == ["thesis.tex"]
    assert (site.root / ".lock").read_text() == "mine"


def test_what_others_put_into_an_algorithm_is_moved_beside_it(take, built, site):
    folder = take(built())
    (folder / "json.py").write_text("mine")
    take(built())
    [kept] = (site.root / "digits").glob(".kept-*/json.py")
    assert kept.read_text() == "mine"
    assert not (folder / "json.py").exists()


def test_a_folder_of_others_in_its_place_is_refused(take, built, site):
    place = site.root / "digits/toy-half-1.0"
    place.mkdir(parents=True)
    (place / "a.jpg").write_text("mine")
    with pytest.raises(Refused, match="is not an algorithm that aeros has unpacked"):
        take(built())
    assert (place / "a.jpg").read_text() == "mine"
