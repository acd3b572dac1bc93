import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy

from aeros_core.models import formats
from aeros_core.schema import Field, Schema


@pytest.fixture
def stored(aeros, toy_words):
    """Two versions of the model ``mine``."""
    for seed in ("0", "1"):
        words = ["run", *toy_words, "task.rounds=1", "task.name=mine", f"task.seed={seed}"]
        assert aeros(*words).returncode == 0


@pytest.fixture
def models(aeros):
    """A function that runs ``aeros models …`` on the toy repository."""
    return lambda *words: aeros("models", *words, "repository=files")


POWERS = [
    ("list", ["--limit", "3"], "list page by page", "SupportsPages"),
    ("verify", [], "check itself", "SupportsVerify"),
    ("tag", ["mine:1", "best"], "give tags", "SupportsTags"),
    ("gc", [], "remove what nothing names", "SupportsCollection"),
]


@pytest.mark.parametrize(("verb", "words", "what", "power"), POWERS, ids=str)
def test_a_repository_without_the_power_is_told(models, verb, words, what, power):
    done = models(verb, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"aeros: Files is a repository that cannot {what}: it has no {power}\n"
        "  next: repository=<another one>; aeros plugins lists them\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["verify", "a", "b"], "aeros models verify takes one model, or none for everything\n"),
        (["list", "--limit", "0"], "aeros models list shows a page of one model, or of all\n"),
        (["list", "--offset=-1"], "aeros models list shows a page of one model, or of all\n"),
        (["list", "a", "b", "--newest"], "aeros models list shows a page of one model, or of all"),
        (["tag", "mine"], "aeros models tag takes a version and a tag\n"),
        (["tag", "mine", "best"], "aeros models tag takes a version and a tag\n"),
        (["tag", "mine:1", "best", "more"], "aeros models tag takes a version and a tag\n"),
        (["export", "mine"], "aeros models export takes a model and a file whose name ends in"),
        (["export", "mine", "a.bin"], "aeros models export takes a model and a file whose name"),
        (["import", "--name", "n"], "aeros models import takes a file whose name ends in .safet"),
        (["import", "a.bin", "--name", "n"], "aeros models import takes a file whose name ends"),
        (["import", "a.onnx"], "aeros models import takes the name that the model is to have\n"),
        (["split", "mine"], "aeros models split takes the last layer of the first stage\n"),
        (["split", "--at", "a"], "aeros models split takes one model\n"),
        (["split", "a", "b", "--at", "a"], "aeros models split takes one model\n"),
        (["gc", "mine"], "aeros models gc takes no model and no negative age\n"),
        (["gc", "--hours=-1"], "aeros models gc takes no model and no negative age\n"),
    ],
    ids=" ".join,
)
def test_words_that_do_not_fit_are_told(models, words, said):
    done = models(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"aeros: {said}")
    assert f"\n  next: aeros models {words[0]}" in done.stderr


@pytest.mark.parametrize("file", ["iris.joblib", "iris.pkl", "iris.pickle"])
def test_a_pickle_is_not_imported(models, file):
    done = models("import", file, "--name", "iris")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"aeros: {file} is a pickle, which may run any code when it is read: it is not imported\n"
        "  exists: files whose name ends in .safetensors or .onnx or .pt or .pth\n"
        "  next: load it in Python, and for an estimator of scikit-learn:"
        " repository.publish(aeros_onnx.sklearn.model(NAME, estimator, schema))\n"
    )


@pytest.mark.usefixtures("stored")
def test_a_version_that_is_named_is_the_next_or_refused(models, tmp_path):
    file = str(tmp_path / "mine.safetensors")
    assert models("export", "mine:1", file).returncode == 0
    done = models("import", file, "--name", "mine:2")
    assert (done.returncode, done.stdout) == (1, "")
    assert "the next version of mine is 3" in done.stderr
    assert models("import", file, "--name", "mine:3").stdout.startswith("mine:3 is stored")
    done = models("import", file, "--name", "mine:best")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "aeros: --name mine:best names no number behind its colon\n"
        "  next: --name mine for the next version, or its number: --name mine:1\n"
    )


def test_a_repository_that_holds_nothing_says_so(models):
    done = models("list")
    assert (done.returncode, done.stdout) == (0, "no model is stored; aeros run trains one\n")
    assert models("list", "--json").stdout == "[]\n"


@pytest.fixture
def able(toys, monkeypatch):
    """The toy repository with every power; holds what it was asked."""
    asked = []

    def power(name, answer):
        def method(self, *words):
            asked.append((name, *words))
            return answer

        monkeypatch.setattr(toys.Files, name, method, raising=False)

    power("tag", None)
    power("verify", {"one": "", "two": ""})
    power("collect", {"one": 1000, "two": 234})
    return asked


def test_what_is_whole_is_counted(models, able):
    assert models("verify").stdout == "2 files verified, none is damaged\n"
    done = models("verify", "--json", "mine:best")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"files": 2, "damaged": {}})
    models("verify", "mine")
    assert able == [
        ("verify", None, None), ("verify", "mine", "best"), ("verify", "mine", None),
    ]  # fmt: skip


def test_each_damaged_file_is_named(models, able, toys, monkeypatch):
    files = {"a/1": "", "a/2": "it is missing", "a/3": ""}
    monkeypatch.setattr(toys.Files, "verify", lambda *words: files)
    done = models("verify")
    assert done.returncode == 1
    assert done.stdout == "file  damage\na/2   it is missing\n"
    assert done.stderr == (
        "aeros: 1 of 3 files is damaged\n  next: aeros models verify --heal, or"
        " --heal-from COPY, a copy of the repository\n"
    )
    files["a/3"] = "it is not a manifest"
    done = models("verify", "--json")
    assert json.loads(done.stdout)["damaged"] == {
        "a/2": "it is missing",
        "a/3": "it is not a manifest",
    }
    assert done.stderr.startswith("aeros: 2 of 3 files are damaged\n")


def test_a_colon_without_a_version_is_refused(models, stored):
    for words in (["show", "mine:"], ["export", "mine:", "a.safetensors"], ["tag", "mine:", "a"]):
        done = models(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            "aeros: 'mine:' names no version behind its colon\n  next: mine, or mine:1\n"
        )


def test_only_a_repository_that_can_heals_itself(models, able):
    done = models("verify", "--heal")
    assert done.returncode == 2
    assert done.stderr.startswith("aeros: Files is a repository that cannot heal itself: it has no")


def test_a_version_is_tagged(models, able):
    assert models("tag", "mine:1", "best").stdout == "mine:1 is tagged best\n"
    assert models("tag", "mine:latest", "production").returncode == 0
    assert able == [("tag", "mine", "best", "1"), ("tag", "mine", "production", "latest")]


def test_what_is_removed_is_counted(models, able):
    assert models("gc").stdout == "2 blobs removed, 1,234 bytes\n"
    assert json.loads(models("gc", "--hours", "0.5", "--json").stdout) == {"one": 1000, "two": 234}
    assert able == [("collect", 86400.0), ("collect", 1800.0)]


def test_a_version_is_exported(models, stored, toys, tmp_path):
    done = models("export", "mine:1", "here.safetensors")
    assert (done.returncode, done.stderr) == (0, "")
    data = (tmp_path / "here.safetensors").read_bytes()
    assert done.stdout == f"here.safetensors holds mine:1, {len(data)} bytes\n".replace(
        f"{len(data)}", f"{len(data):,}"
    )
    first = toys.Files(path="toy-store").model("mine", 1).parameters
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert set(header) == {"__metadata__", "weight", "bias"}
    tensors = safetensors.numpy.load(data)
    assert {name: array.tolist() for name, array in tensors.items()} == {
        name: array.tolist() for name, array in first.items()
    }
    done = models("export", "mine", "newest.safetensors")
    newest = toys.Files(path="toy-store").model("mine", 2).parameters
    assert newest.digest != first.digest
    data = (tmp_path / "newest.safetensors").read_bytes()
    assert safetensors.numpy.load(data)["weight"].tolist() == newest["weight"].tolist()


def test_what_does_not_exist_is_not_exported(models, tmp_path):
    done = models("export", "nobody", "here.safetensors")
    assert (done.returncode, done.stderr) == (1, "aeros: model nobody is not stored\n")
    assert not (tmp_path / "here.safetensors").exists()


def test_a_file_becomes_the_next_version(models, stored, toys):
    models("export", "mine:1", "here.safetensors")
    done = models("import", "here.safetensors", "--name", "mine")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "mine:3 is stored, 36 bytes of parameters\n"
    store = toys.Files(path="toy-store")
    assert store.model("mine", 3).parameters.digest == store.model("mine", 1).parameters.digest
    told = json.loads(models("import", "here.safetensors", "--name", "n", "--json").stdout)
    assert (told["name"], told["version"]) == ("n", 1)


def test_a_format_that_nobody_offers(models, stored):
    done = models("export", "mine", "here.bin", "--format", "nothing")
    assert done.returncode == 2
    assert done.stderr.startswith("aeros: format nothing does not exist\n  exists: safetensors")
    assert models("export", "mine", "here.bin", "--format", "safetensors").returncode == 0


class Answers:
    """A format whose files answer; keeps the model it was given."""

    def __init__(self, stored=None):
        self.stored = stored

    def save_compared(self, path, model):
        self.model = model
        rows = next((len(column) for column in model.samples.values()), 0)
        return 1234, None if self.stored is False else formats.Compared(rows, 34, 2e-7)


@pytest.fixture
def answers(stored, monkeypatch):
    made = Answers()
    monkeypatch.setattr(formats, "choose", lambda path, named: made)
    return made


def test_what_a_file_that_answers_was_compared_on_is_told(models, answers, tmp_path):
    assert models("export", "mine", "a.onnx").stdout == (
        "a.onnx holds mine, 1,234 bytes\n"
        "it answers as the model does on 34 drawn rows, apart by at most 2e-07\n"
        "no rows are stored with it: --samples FILE, or task.samples=16\n"
    )
    (tmp_path / "rows.csv").write_text("point\n1\n")
    np.savez(tmp_path / "rows.npz", point=np.ones((3, 2)))
    done = models("export", "mine", "a.onnx", "--samples", "rows.npz")
    assert done.stdout.splitlines()[1] == (
        "it answers as the model does on 3 rows of rows.npz and 34 drawn ones,"
        " apart by at most 2e-07"
    )
    assert answers.model.samples["point"].shape == (3, 2)
    told = json.loads(models("export", "mine", "a.onnx", "--samples", "rows.npz", "--json").stdout)
    assert told == {
        "file": "a.onnx",
        "nbytes": 1234,
        "compared": {"stored": 3, "drawn": 34, "apart": 2e-7},
    }
    for file, said in (("no.npz", "no.npz does not exist"), ("rows.csv", "'point' of rows.csv is")):
        done = models("export", "mine", "a.onnx", "--samples", file)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"aeros: {said}")


def test_a_file_that_is_the_model_is_compared_with_nothing(models, answers):
    answers.stored = False
    assert models("export", "mine", "a.onnx").stdout.splitlines()[1] == (
        "it is the stored graph itself, so there is nothing to compare it with"
    )


def test_a_file_of_parameters_is_compared_with_nothing(models, stored):
    done = models("export", "mine", "a.safetensors", "--samples", "rows.npz")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("aeros: --samples has nothing to compare: such a file holds")


def test_stored_rows_are_told(models, answers, toys, monkeypatch):
    read = toys.Files.model

    def with_rows(self, name, version="latest"):
        return replace(read(self, name, version), samples={"point": np.ones((4, 2), np.float32)})

    monkeypatch.setattr(toys.Files, "model", with_rows)
    assert "on 4 stored rows and 34 drawn ones" in models("export", "mine", "a.onnx").stdout
    assert json.loads(models("show", "mine", "--json").stdout)["samples"] == 4


@pytest.mark.usefixtures("stored")
def test_what_a_request_has_to_bring_is_told(models, toys, monkeypatch):
    read, raw = toys.Files.model, []

    def with_inputs(self, name, version="latest"):
        return replace(read(self, name, version), inputs=raw[0])

    monkeypatch.setattr(toys.Files, "model", with_inputs)
    job = Field("job", "str", categories=tuple(f"job {n}" for n in range(1021)))
    kind = Field("kind", "int64", categories=("a", "b"))
    age = Field("age", "float32", (3, None), range=(0, 99), unit="a")
    raw.append(Schema((job, kind, age, Field("label", "int64")), "label"))
    told = json.loads(models("show", "mine", "--json").stdout)["inputs"]
    assert list(told) == ["job", "kind", "age"]
    assert told["job"]["categories"] == [*(f"job {n}" for n in range(20)), "… and 1,001 more"]
    assert told["kind"] == {"dtype": "int64", "shape": [], "categories": ["a", "b"]}
    assert told["age"] == {"dtype": "float32", "shape": [3, None], "range": [0, 99], "unit": "a"}
    raw[0] = None  # and a step may have changed what came
    assert "\ninputs: null\n" in models("show", "mine").stdout


class Halves:
    """A format that parts a model at the middle of its name."""

    def split(self, model, layer, *, early=False):
        layer = f"{layer}.early" if early else layer
        return [replace(model, name=f"{model.name}.{layer}{n}") for n in (1, 2)]


def test_a_model_becomes_two_stages(models, stored, toys, monkeypatch):
    monkeypatch.setattr(formats, "choose", lambda path, named: Halves())
    done = models("split", "mine:1", "--at", "half")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "".join(
        f"mine.half{n}:1 is stored, 36 bytes, takes point: float32 (2), -1 to 1\n" for n in (1, 2)
    )
    told = json.loads(models("split", "mine", "--at", "half", "--json").stdout)
    assert [(info["name"], info["version"]) for info in told] == [
        ("mine.half1", 2), ("mine.half2", 2),
    ]  # fmt: skip


def test_the_first_stage_may_answer_early(models, stored, toys, monkeypatch):
    monkeypatch.setattr(formats, "choose", lambda path, named: Halves())
    done = models("split", "mine:1", "--at", "half", "--exit")
    first, second = done.stdout.splitlines()
    takes = "is stored, 36 bytes, takes point: float32 (2), -1 to 1"
    assert first == f"mine.half.early1:1 {takes}, and answers at its exit"
    assert second == f"mine.half.early2:1 {takes}"


def test_a_format_that_cannot_part_models(models, stored, monkeypatch):
    monkeypatch.setattr(formats, "choose", lambda path, named: object())
    done = models("split", "mine", "--at", "half")
    assert done.returncode == 2
    assert done.stderr.startswith("aeros: the format onnx cannot part models\n")


@pytest.fixture
def removing(stored, able, toys, monkeypatch):
    """A toy repository whose versions have no tags and can be removed; holds which were.

    A class of its own: Python remembers of a class that it had a power once.
    """
    gone = []
    infos = [replace(info, tags=()) for info in toys.Files(path="toy-store").models()]

    class Files(toys.Files):
        def models(self, name=None):
            return infos

        def remove(self, name, versions):
            gone.append((name, versions))
            return versions

    monkeypatch.setattr(toys, "Files", Files)
    return gone


def test_old_versions_are_removed_by_rules(models, removing):
    assert models("gc", "--keep-last", "1", "--dry-run").stdout == "would go: mine:1\n"
    assert removing == []
    done = models("gc", "--keep-last", "1")
    assert done.stdout == "gone: mine:1\n2 blobs removed, 1,234 bytes\n"
    assert removing == [("mine", [1])]
    told = json.loads(models("gc", "--keep-last", "1", "--json").stdout)
    assert told == {"versions": {"mine": [1]}, "blobs": {"one": 1000, "two": 234}}


def test_what_a_run_that_has_not_finished_has_stored_stays(models, removing, toys, monkeypatch):
    monkeypatch.setattr(toys.Files, "result", lambda self, run: None)
    assert models("gc", "--keep-last", "1", "--dry-run").stdout == ""


@pytest.mark.parametrize("words", [["--keep-last=-1"], ["--keep-best=-2"], ["--dry-run"]], ids=str)
def test_rules_that_cannot_be(models, able, words):
    done = models("gc", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("aeros: keeping the last ")


def test_a_repository_that_cannot_remove_versions(models, able):
    done = models("gc", "--keep-last", "1")
    assert done.returncode == 2
    assert done.stderr.startswith("aeros: Files is a repository that cannot remove versions: it")


@pytest.mark.parametrize("words", [["nobody"], ["mine", "nobody"]], ids=" ".join)
def test_a_model_that_does_not_exist_is_not_an_empty_list(aeros, toy_words, models, words):
    assert aeros("run", *toy_words, "task.name=mine", "task.rounds=1").returncode == 0
    done = models("list", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "aeros: model 'nobody' does not exist\n  exists: mine\n  next: aeros models list\n"
    )
