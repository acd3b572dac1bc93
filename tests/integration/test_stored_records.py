"""A repository that an earlier version has written is listed, verified, served and gone on with.

What is in it, and how it was written, is in tests/fixtures/repository-format-2/README.md.
"""

import importlib.util
import json
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_module

from aeros_core.config import build, graph_members, store
from aeros_core.config.naming import name_parts
from aeros_core.former_targets import FORMER_TARGETS
from aeros_core.plugins import discovery
from aeros_core.tasks import identity

ROOT = Path(__file__).parents[2]
FIXTURE = ROOT / "tests/fixtures/repository-format-2"
EXPECTED = json.loads((FIXTURE / "expected.json").read_text())
TARGETS = json.loads((FIXTURE / "targets.json").read_text())
BUCKET, PREFIX = "stored", "some/where/"
KILLED = [(place, run) for place in ("disk", "bucket") for run in EXPECTED[place]["killed"]]
RECOGNISED = {
    "disk": ("digits", "patients", "wine", "infer-ensemble", "rule-tree"),
    "bucket": ("patients", "wine", "infer-sequence"),
}


@dataclass
class Place:
    """A copy of the stored repository, and the words that name it."""

    aeros: object
    where: tuple
    expected: dict

    def type(self, *words):
        return self.aeros(*words, *self.where)

    def told(self, *words):
        return json.loads(self.type(*words, "--json"))

    @property
    def repository(self):
        return opened(*self.where)


def opened(*where):
    """Return the repository that words name."""
    registry = discovery.discover()
    node = store.plain(store.load(where, registry, root="models"))["repository"]
    return build.build_part(registry, "repository", node)


def is_a_lease(key):
    """Whether an object tells who holds a run.

    How old it is says the bucket, and what was just uploaded is new: a process that was killed
    long ago would seem to live for another minute.
    """
    return "/lock/" in key


@pytest.fixture(scope="module")
def registry():
    return discovery.discover()


@pytest.fixture(scope="session")
def s3():
    """A real S3 endpoint on loopback."""
    path = ROOT / "plugins/aeros-zarr/tests/endpoints.py"
    spec = importlib.util.spec_from_file_location("endpoints", path)
    endpoints = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(endpoints)
    with endpoints.moto() as url:
        yield url


@pytest.fixture
def uploaded(request, monkeypatch, tmp_path):
    """A function that puts the stored objects into a bucket; returns the words that name it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")

    def upload():
        import boto3

        url = request.getfixturevalue("s3")
        s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
        bucket = f"{BUCKET}-{tmp_path.parent.name}-{tmp_path.name}".replace("_", "-").lower()[-60:]
        bucket = bucket.strip("-")
        s3.create_bucket(Bucket=bucket)
        with tarfile.open(FIXTURE / "bucket.tar.xz") as archive:
            for entry in archive:
                if not is_a_lease(entry.name):
                    body = archive.extractfile(entry).read()
                    s3.put_object(Bucket=bucket, Key=entry.name, Body=body)
        return (
            "repository=s3", f"repository.endpoint={url}", f"repository.bucket={bucket}",
            f"repository.prefix={PREFIX.rstrip('/')}", "repository.cache=",
        )  # fmt: skip

    return upload


@pytest.fixture
def place(aeros, uploaded):
    """A function that copies the stored repository to a folder or a bucket of this test."""

    def copied(name):
        shutil.copytree(FIXTURE / "data", aeros.folder / "data")
        folder = aeros.folder / "another/place"
        where = (f"repository.path={folder}",)
        if name == "bucket":
            where = uploaded()
        else:
            with tarfile.open(FIXTURE / "disk.tar.xz") as archive:
                archive.extractall(folder, filter="data")
        return Place(aeros, where, EXPECTED[name])

    return copied


def among(expected, found):
    """Return of each row found what is expected of one; a later version may tell more."""
    keys = {key for row in expected for key in row}
    return [{key: row[key] for key in keys & row.keys()} for row in found]


@pytest.mark.parametrize("name", ["disk", "bucket"])
def test_models_and_runs_are_listed_and_every_file_is_verified(place, name):
    stored = place(name)
    for words, kind in ((("models", "list"), "models"), (("results",), "runs")):
        assert among(stored.expected[kind], stored.told(*words)) == stored.expected[kind]
    verified = stored.told("models", "verify")
    assert verified == {"files": stored.expected["files"], "damaged": {}}
    shown = stored.type("results")
    assert all(run["run"] in shown for run in stored.expected["runs"])
    shown = stored.type("models", "list")
    assert all(model["name"] in shown for model in stored.expected["models"])


@pytest.mark.parametrize("name", ["disk", "bucket"])
def test_every_model_answers_as_it_did(place, registry, name):
    stored = place(name)
    repository = stored.repository
    for case in stored.expected["answers"]:
        model = repository.model(*case["model"].split(":"))
        node = graph_members.default_inferencer(registry, model)
        if case["words"]:
            node = store.plain(store.load(case["words"], registry, root="models"))["inferencer"]
        service = build.build_service(registry, model, node, repository=repository)
        answer = service.predict(columns(case["rows"]))
        expected = columns(case["answer"])
        assert answer.keys() == expected.keys(), case["model"]
        for field, column in expected.items():
            told = f"{case['model']} {case['words']} {field}"
            assert answer[field].dtype == column.dtype, told
            # Another CPU adds in another order, and rounds to 8 bits at other edges.
            apart = 2e-2 if any("int8" in word for word in case["words"]) else 1e-5
            np.testing.assert_allclose(answer[field], column, rtol=apart, atol=apart, err_msg=told)


def columns(told):
    """Return a batch from what JSON says of it."""
    return {name: np.array(each["values"], each["dtype"]) for name, each in told.items()}


def test_every_stored_model_with_a_module_or_a_graph_is_asked():
    for name in ("disk", "bucket"):
        asked = {case["model"] for case in EXPECTED[name]["answers"]}
        kept = {f"{model['name']}:{model['version']}" for model in EXPECTED[name]["models"]}
        # wide:1 is parameters alone; digits:3 is asked as digits:latest.
        assert kept - asked == {"wide:1"} | ({"digits:3"} if name == "disk" else set())


@pytest.mark.parametrize(("name", "run"), KILLED)
def test_a_killed_run_goes_on_to_the_bits_of_an_undisturbed_one(place, name, run):
    stored = place(name)
    told = stored.expected["killed"][run]
    runs = [each.id for each in stored.repository.runs()]
    out = stored.type("run", *told["words"], "task.resume=true")
    assert f"goes on after round {told['rounds']}" in out
    assert [each.id for each in stored.repository.runs()] == runs
    elsewhere = f"repository.path={stored.aeros.folder / 'twin'}"
    stored.aeros("run", *told["words"], elsewhere)
    twin = opened(elsewhere)
    [undisturbed] = twin.runs()
    ours, theirs = stored.repository.latest(run), twin.latest(undisturbed.id)
    history = [done.number for done in stored.repository.history(run)]
    assert history == list(range(1, theirs.round.number + 1))
    assert stored.repository.result(run)["status"] == "FINISHED"
    model = stored.repository.models(undisturbed.task)[-1]
    assert (model.run, model.round) == (run, theirs.round.number)
    assert ours.state.keys() == theirs.state.keys()
    if twin.models(undisturbed.task)[-1].digest == told["digest"]:
        assert model.digest == told["digest"]
        check_state(ours.state, theirs.state)
    else:  # another CPU than the one that wrote the first rounds: their bits are others, too
        for field in ours.parameters:
            np.testing.assert_allclose(
                ours.parameters[field], theirs.parameters[field], rtol=1e-3, atol=1e-4
            )


def check_state(ours, theirs):
    """Compare states bit by bit, at any depth."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            check_state(ours[key], value)
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            check_state(one, other)
    else:
        one, other = np.asarray(ours), np.asarray(theirs)
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


@pytest.mark.parametrize("name", ["disk", "bucket"])
def test_a_finished_run_that_is_typed_again_is_recognised(place, name):
    stored = place(name)
    runs = stored.told("results")
    for run, words in stored.expected["typed"].items():
        [task] = {row["task"] for row in runs if row["run"] == run}
        newest = [row["run"] for row in runs if row["task"] == task][-1]
        if task in RECOGNISED[name] and run == newest:
            stored.type("run", *words, "task.resume=true")
    assert [came_of(row) for row in stored.told("results")] == [came_of(row) for row in runs]


def came_of(row):
    """Return what came of a run; an inference answers again, within its run, in another time."""
    again = row["task"].startswith("infer")
    return {key: value for key, value in row.items() if not (again and key == "seconds")}


def test_words_typed_again_have_the_identity_of_their_run(place, registry, hydra):
    """Those of every rule, codec, model, inferencer and transformer; nothing is run."""
    stored = place("disk")
    runs = {run.id: run for run in stored.repository.runs()}
    store.register(registry)
    typed = stored.expected["typed"] | {
        run: told["words"] for run, told in stored.expected["killed"].items()
    }
    with initialize_config_module("aeros_core.conf", **store.SINCE):
        for run, words in typed.items():
            composed = store.plain(hydra_compose("config", [*words, *stored.where]))
            kept = decisive(registry, runs[run].config)
            assert decisive(registry, composed) == kept, run
            composed["task"]["seed"] += 1
            assert decisive(registry, composed) != kept, run


def decisive(registry, configuration):
    """Return what of a configuration, stored or typed, decides the result."""
    return identity.decisive(name_parts(registry, configuration), registry.defaults)


@pytest.mark.parametrize("entry", TARGETS, ids=lambda entry: f"{entry['group']}={entry['option']}")
def test_every_target_that_was_ever_registered_leads_to_its_option(registry, entry):
    assert entry["option"] in FORMER_TARGETS[entry["target"]]
    part = {"_target_": entry["target"]}
    found = registry.chosen(entry["group"], part, entry["option"])
    assert found is not None
    assert (found.name, found.plugin.distribution) == (entry["option"], entry["distribution"])


def documents(name):
    """Return the records of runs and models of an archive, by key."""
    with tarfile.open(FIXTURE / f"{name}.tar.xz") as archive:
        return {
            entry.name: json.load(archive.extractfile(entry))
            for entry in archive
            if entry.name.endswith(".json") and not entry.name.endswith("zarr.json")
        }


@pytest.mark.parametrize("name", ["disk", "bucket"])
def test_the_records_name_paths_of_modules(name):
    """Otherwise they were written anew by a later version, and prove nothing."""
    found = documents(name)
    kept = [key for key in found if key.endswith("/run.json")]
    assert len(kept) == len(EXPECTED[name]["runs"])
    for key in kept:
        assert found[key]["content"]["config"]["repository"]["_target_"].startswith("aeros_zarr.")
    targets = {entry["target"] for entry in TARGETS}
    assert targets > set(named(found))


def named(node):
    """Yield every target at any depth."""
    if isinstance(node, dict):
        yield from [node["_target_"]] if "_target_" in node else []
        for value in node.values():
            yield from named(value)
    elif isinstance(node, list):
        for value in node:
            yield from named(value)


@pytest.mark.parametrize(("name", "run"), KILLED)
def test_the_killed_runs_have_a_state_to_go_on_with(place, name, run):
    stored = place(name)
    repository = stored.repository
    assert repository.result(run) is None
    checkpoint = repository.latest(run)
    assert checkpoint.round.number == stored.expected["killed"][run]["rounds"]
    kept = {f"{role}.{key}" for role, state in checkpoint.state.items() for key in state}
    inside = {"collector.rule.variates", "collector.average.float32"}
    nodes = {"nodes.personal.layers.2.weight", "nodes.residual.layers.0.weight"}
    assert kept >= (inside if "-inside-" in run else nodes)
