"""A task locks an algorithm; a node with a store and keys of its own runs it, or refuses it."""

import hashlib
import importlib.util
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from aeros_algorithms.keys import ed25519
from aeros_core.cli import arguments
from aeros_core.records import Algorithm

TOY = Path(__file__).parents[2] / "plugins/aeros-algorithms/tests/conftest.py"

RUN = ("run", "task.algorithms=digits.lock", "collector=half", "task.rounds=2")


def toys():
    spec = importlib.util.spec_from_file_location("toy_wheels", TOY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class Owner:
    """Writes algorithms, signs them, and puts them where a node finds them."""

    aeros: object
    trusted: Path

    @property
    def node(self):
        return self.aeros.folder

    def push(self, built, key="../owner"):
        (self.node / "../toy.whl").write_bytes(built.data)
        return self.aeros("algorithms", "push", "../toy.whl", "--key", key)

    def signed(self, built):
        """Return the owner's statement of what the owner may not have looked at."""
        data = built.data
        digest = hashlib.sha256(data).hexdigest()
        return ed25519.sign(
            Algorithm("toy-half", "1.0", digest, len(data), "", ""),
            ed25519.private(self.node / "../owner"),
        )

    def smuggle(self, built, **told):
        """Store a wheel that `aeros algorithms push` would not sign, or not so."""
        repository, _ = arguments.repository([f"repository.path={self.node / 'aeros-repository'}"])
        repository.store_algorithm(replace(self.signed(built), **told), built.data)

    def lock(self, name="toy-half"):
        text = self.aeros("algorithms", "lock", name)
        (self.node / "digits.lock").write_text(text)
        return json.loads(text)

    def pin(self, built, version="1.0"):
        """Write the lock of somebody who wants just this wheel."""
        data = built.data
        lock = {"toy-half": {"version": version, "sha256": hashlib.sha256(data).hexdigest()}}
        (self.node / "digits.lock").write_text(json.dumps(lock))


@pytest.fixture
def built():
    return toys().Built


@pytest.fixture
def owner(aeros, monkeypatch):
    """An owner whose key the node trusts."""
    node = aeros.folder / "node"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(aeros.folder / "settings"))
    trusted = aeros.folder / "settings/aeros/keys"
    trusted.mkdir(parents=True)
    node.mkdir()
    aeros.folder = node
    for name in ("owner", "stranger"):
        ed25519.generate(node / ".." / name)
    shutil.copy(node / "../owner.pub", trusted)
    return Owner(aeros, trusted)


def refused(aeros, code, *more):
    """Return the one message of a run that is refused, which leaves nothing behind."""
    err = aeros(*RUN, *more, code=code)
    assert err.startswith("aeros: ")
    assert err.count("aeros: ") == 1
    assert "Traceback" not in err
    assert not list(aeros.folder.glob("outputs/*/*/rounds.jsonl"))
    assert not list(aeros.folder.glob("aeros-algorithms/*/*"))
    return err


def test_a_task_runs_with_what_it_locks(owner, aeros, built):
    owner.push(built())
    pins = owner.lock()
    aeros.apart(*RUN, "collector.by=0.0")
    still = aeros.result()
    assert still["status"] == "FINISHED"
    losses = [
        json.loads(line)["metrics"]["loss"]
        for line in next(aeros.folder.glob("outputs/*/*/rounds.jsonl")).read_text().splitlines()
    ]
    assert len(losses) == 2
    assert losses[0] == losses[1]  # no rule of ours goes nowhere
    [written] = aeros.folder.glob("outputs/*/*/config.yaml")
    assert yaml.safe_load(written.read_text())["task"]["algorithms"] == pins
    repository, _ = arguments.repository([f"repository.path={owner.node / 'aeros-repository'}"])
    [run] = repository.runs("digits")
    assert run.config["task"]["algorithms"] == pins
    assert run.versions["toy-half"] == "1.0"
    installed = aeros.folder / "aeros-algorithms/digits/toy-half-1.0"
    assert (installed / "toy_half.py").is_file()
    assert "collector=half does not exist" in aeros("run", "collector=half", code=2)
    assert "toy-half" not in aeros("plugins")


def test_an_experiment_locks_it_and_the_sweep_beside_it_does_not(owner, aeros, built):
    owner.push(built())
    pins = owner.lock()
    (aeros.folder / "mine/experiment").mkdir(parents=True)
    (aeros.folder / "mine/experiment/halves.yaml").write_text(
        "# @package _global_\ndefaults: [digits, override /collector: half]\n"
        f"task: {{name: halves, algorithms: {json.dumps(pins)}}}\ncollector: {{by: 0.75}}\n"
    )
    aeros.apart("run", "--config-dir", "mine", "-m", "experiment=halves,digits", "task.rounds=1")
    assert [result["status"] for result in aeros.results()] == ["FINISHED", "FINISHED"]


class TestRefused:
    def test_unsigned(self, owner, aeros, built):
        owner.smuggle(built(), signature="")
        owner.pin(built())
        assert "toy-half:1.0 is not signed" in refused(aeros, 1)

    def test_altered(self, owner, aeros, built):
        """Another wheel under the signature of a good one; the lock's author fell for it."""
        good, other = built(), built().put("toy_half.py", b"raise SystemExit(7)")
        owner.smuggle(other, signature=owner.signed(good).signature)
        owner.pin(other)
        said = refused(aeros, 1)
        assert "the signature of toy-half:1.0 does not belong to it: it was altered" in said

    def test_an_unknown_key(self, owner, aeros, built):
        owner.push(built(), key="../stranger")
        owner.lock()
        assert "which is not trusted here" in refused(aeros, 1)

    def test_not_the_bytes_of_the_lock(self, owner, aeros, built):
        owner.smuggle(built())
        owner.pin(built().put("toy_half.py", b"pass"))
        assert "toy-half:1.0 is not the one in the task's lock" in refused(aeros, 1)

    def test_a_downgrade(self, owner, aeros, built):
        owner.smuggle(built())
        owner.pin(built())
        (owner.node / "aeros-algorithms").mkdir()
        (owner.node / "aeros-algorithms/versions.json").write_text('{"toy-half": "2.0"}')
        assert "toy-half:1.0 is older than what this node has had" in refused(aeros, 1)

    def test_a_path_that_leads_out(self, owner, aeros, built):
        out = built().entry("../../up.py", b"raise SystemExit(7)")
        owner.smuggle(out)
        owner.pin(out)
        assert "'../../up.py', which leads out of its folder" in refused(aeros, 1)
        assert not list(owner.node.parent.rglob("up.py"))

    def test_a_name_that_leads_out(self, owner, aeros):
        lock = {"../../toy": {"version": "1.0", "sha256": "0" * 64}}
        (owner.node / "digits.lock").write_text(json.dumps(lock))
        assert "'../../toy' cannot be the name of an algorithm" in refused(aeros, 2)

    def test_a_key_that_was_revoked_after_it_was_installed(self, owner, aeros, built):
        owner.smuggle(built())
        owner.pin(built())
        aeros("algorithms", "install", "--task", "digits", "--lock", "digits.lock")
        aeros("algorithms", "revoke", str(owner.trusted / "owner.pub"), "--why", "stolen")
        err = aeros(*RUN, code=1)
        assert "was revoked here on " in err
        assert ": stolen\n" in err

    def test_a_key_that_has_expired(self, owner, aeros, built):
        owner.smuggle(built())
        owner.pin(built())
        path = owner.trusted / "owner.pub"
        path.write_bytes(b"expires: 2020-02-29\n" + path.read_bytes())
        assert "has expired: its last day was 2020-02-29" in refused(aeros, 1)

    def test_a_dependency_that_the_site_does_not_allow(self, owner, aeros, built):
        needy = built(metadata="Requires-Dist: packaging\n")
        owner.smuggle(needy)
        owner.pin(needy)
        assert "depends on packaging, which is not allowed here" in refused(aeros, 1)

    def test_no_key_that_is_trusted(self, owner, aeros, built):
        owner.smuggle(built())
        owner.pin(built())
        shutil.rmtree(owner.trusted)
        assert f"{owner.trusted} holds no key to trust" in refused(aeros, 2)

    def test_what_is_not_stored(self, owner, aeros, built):
        owner.pin(built())
        assert "algorithm toy-half:1.0 is not stored" in refused(aeros, 1)

    def test_a_folder_that_brings_its_own_key(self, owner, aeros, built):
        """Whoever clones it trusts nobody by that, and reads what to type."""
        own = owner.node / "aeros-keys"
        own.mkdir()
        shutil.copy(owner.node / "../stranger.pub", own)
        owner.push(built(), key="../stranger")
        owner.lock()
        err = aeros.apart(*RUN, code=1)
        assert "is signed by the key" in err
        assert "which is not trusted here" in err
        assert err.count(f"the keys in {own.resolve()} are not read") == 1
        assert "AEROS_KEYS=aeros-keys in the environment trusts them" in err

    def test_a_key_that_others_of_the_group_may_replace(self, owner, aeros, built):
        owner.push(built())
        owner.lock()
        owner.trusted.chmod(0o775)
        assert f"its group may write {owner.trusted}" in refused(aeros, 2)

    def test_a_folder_that_brings_an_unpacked_algorithm(self, owner, aeros, built):
        """What is imported is the wheel that was signed; what is no algorithm stays."""
        owner.push(built())
        owner.lock()
        task = owner.node / "aeros-algorithms/digits"
        (task / "toy-half-old").mkdir(parents=True)
        (task / "toy-half-old/thesis.tex").write_text("mine")
        (task / "toy-half-1.0").mkdir()
        (task / "toy-half-1.0/toy_half.py").write_text("raise SystemExit(7)")
        err = aeros.apart(*RUN, code=1)
        assert "toy-half-1.0 is there, and is not an algorithm that aeros has unpacked" in err
        shutil.rmtree(task / "toy-half-1.0")
        aeros.apart(*RUN)
        assert (task / "toy-half-old/thesis.tex").read_text() == "mine"

    def test_a_link_in_place_of_the_folder_of_algorithms(self, owner, aeros, built):
        owner.push(built())
        owner.lock()
        (owner.node / "../elsewhere").mkdir()
        (owner.node / "aeros-algorithms").symlink_to("../elsewhere")
        assert "aeros-algorithms is a link or a file" in aeros.apart(*RUN, code=1)
        assert not list((owner.node / "../elsewhere").iterdir())
