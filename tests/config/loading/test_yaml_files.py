"""Configuration files that are odd, broken or hostile: one message, no traceback."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from aeros_core.config import store
from aeros_core.config.loading import yaml_files
from aeros_core.errors import AerosError, ConfigError

HEAD = "# @package _global_\n"


@pytest.fixture
def experiment(aeros, toy_words, tmp_path):
    """A function that runs a task on an experiment file of these bytes."""
    words = [word for word in toy_words if word != "experiment=null"]

    def run(data, *more):
        path = tmp_path / "mine/experiment/e.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else (HEAD + data).encode())
        done = aeros("run", "--config-dir", "mine", "experiment=e", *words, "task.rounds=1", *more)
        assert "Traceback" not in done.stderr + done.stdout
        return done

    return run


BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{b}: &{b} {{p: *{a}, q: *{a}, r: *{a}, s: *{a}, <<: *{a}}}\n"
    for a, b in zip("abcdefghij", "bcdefghijk", strict=True)
)

BROKEN = {
    "a Python object": ("a: !!python/object/apply:os.system ['touch caught']", "!!python/object"),
    "a Python name": ("task: !!python/name:os.system ''", "the tag !!python/name:os.system"),
    "a tag of its own": ("task: !mine {seed: 1}", "the tag !mine is not plain YAML"),
    "a set": ("x: !!set {a, b}", "the tag !!set"),
    "binary": ("x: !!binary aGk=", "the tag !!binary"),
    "a date with a tag": ("x: !!timestamp 2024-01-01", "the tag !!timestamp"),
    "a tab": ("task:\n\tseed: 1\n", "line 3: a tab where spaces indent"),
    "a tab within": ("task:\n  seed: 1\n\trounds: 2\n", "line 4: a tab"),
    "laughs": (BOMB, "more than 100000 values"),
    "merged laughs": (MERGES, "more than 100000 values"),
    "itself": ("a: &a [*a]\n", "*a refers to what it stands in"),
    "an alias of nothing": ("a: *b\n", "undefined alias"),
    "two of a key": ("task: {seed: 1}\ntask: {seed: 2}\n", "duplicate key"),
    "a list at the top": ("- task\n", "the top is not a mapping"),
    "a word at the top": ("task\n", "the top is not a mapping"),
    "two documents": ("a: 1\n---\nb: 2\n", "another document"),
    "deep": ("a: " + "[" * 3000 + "]" * 3000, "nested deeper than 40"),
    "deep by indentation": (
        "".join(f"{' ' * n}a:\n" for n in range(60)), "nested deeper than 40",
    ),
    "large": ("a: '" + "x" * (1 << 20) + "'", "is larger than 1 MiB"),
    "open": ("task: {seed: 1", "expected ',' or '}'"),
    "a list for a key": ("? [a, b]\n: 1\n", "unhashable"),
    "NUL": ("task: {name: 'a\0b'}\n", "special characters are not allowed"),
    "Latin-1": (b"task: {name: caf\xe9}\n", "is not UTF-8 text"),
    "UTF-16": (HEAD.encode("utf-16"), "is not UTF-8 text"),
    "a defaults list that is none": ("defaults: {a: b}\n", "defaults must be a list"),
    "numbers in a defaults list": ("defaults: [1]\n", "Unsupported type in defaults"),
    "two groups in one line": ("defaults: [{a: b, c: d}]\n", "Too many keys"),
    "a file that is not there": ("defaults: [/trainer/nosuch]\n", "nosuch"),
    "itself by name": ("defaults: [/experiment: e]\n", ""),
    "an option of itself": ("task: {name: '${task.name}'}\n", ""),
    "a task of itself": ("task: ${task}\n", ""),
    "a list for a mapping": ("task: [1]\n", ""),
    "a word for a mapping": ("task: x\n", ""),
    "a date": ("task: {seed: 2024-01-01}\n", "task.seed"),
    "an interpolation that is open": ("task: {name: '${task.'}\n", ""),
    "a number that is none": ("task: {seed: .nan}\n", "task.seed"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_with_one_message(experiment, tmp_path, name):
    data, message = BROKEN[name]
    done = experiment(data)
    assert done.returncode == 2, done.stderr + done.stdout
    assert done.stderr.startswith("aeros: ")
    assert message in done.stderr
    assert not (tmp_path / "caught").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


FINE = {
    "nothing": b"",
    "a comment": b"# nothing\n",
    "null": b"null\n",
    "a mark of order": b"\xef\xbb\xbf# @package _global_\ntask: {seed: 7}\n",
    "an alias": HEAD.encode() + b"task: {seed: &s 7, cohort: *s}\n",
    "a merge": HEAD.encode() + b"task: {<<: {seed: 7}}\n",
    "lines of Windows": HEAD.encode() + b"task:\r\n  seed: 7\r\n",
    "a plain tag": HEAD.encode() + b"task: {seed: !!int '7'}\n",
}


@pytest.mark.parametrize("name", FINE)
def test_a_file_that_is_merely_odd_is_taken(experiment, name):
    done = experiment(FINE[name], "task.cohort=null", "--cfg", "job")
    assert done.returncode == 0, done.stderr


def test_a_folder_in_the_place_of_a_file_is_missing(aeros, toy_words, tmp_path):
    (tmp_path / "mine/experiment/e.yaml").mkdir(parents=True)
    done = aeros("run", "--config-dir", "mine", *toy_words[1:], "experiment=e")
    assert done.returncode == 2
    assert "experiment=e does not exist" in done.stderr


def test_an_unreadable_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        yaml_files.check_file(tmp_path, OmegaConf.create)


# ---------------------------------------------------------------- whatever is written

whatever = settings(
    max_examples=settings().max_examples // 2, suppress_health_check=list(HealthCheck)
)

plain = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["${task}", "${nowhere}", "${now:%H}", "???", "_target_", "2024-01-01"]),
)  # fmt: skip
names = st.sampled_from(
    ["task", "trainer", "hydra", "seed", "name", "defaults", "_target_", "job", "run", "dir", "<<"]
) | st.text(max_size=5)
trees = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=10,
)


def test_what_is_written_is_composed(experiments):
    assert experiments(HEAD + "task: {seed: 77}")["task"]["seed"] == 77


@whatever
@given(st.dictionaries(names, trees, max_size=3))
def test_no_mapping_gives_a_traceback(experiments, tree):
    experiments(HEAD + yaml_text(tree))


@whatever
@given(st.text(max_size=80) | st.text("[]{}&*a:,-!|>#'\" \n\t", max_size=60))
def test_no_text_gives_a_traceback(experiments, text):
    experiments(HEAD + text)


@whatever
@given(st.binary(max_size=60))
def test_no_bytes_give_a_traceback(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("yaml") / "e.yaml"
    path.write_bytes(data)
    with contextlib.suppress(ConfigError):
        yaml_files.check_file(path, OmegaConf.create)


def yaml_text(tree):
    """Return a tree as YAML in flow style, as JSON is; keys as they are."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{yaml_text(k)}: {yaml_text(v)}" for k, v in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(yaml_text, tree)) + "]"
    if isinstance(tree, str):
        return "'" + tree.replace("'", "''") + "'"
    return {None: "null", True: "true", False: "false"}.get(tree, str(tree))


WORDS = [
    "experiment=null", "repository=files", "transformer=[blobs,even,scale]", "trainer=linear",
    "collector=mean",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzzed")


@pytest.fixture
def composing(hydra, toy):
    """A function that composes words; an error of ours, or a configuration, comes out."""

    def compose(*words):
        with contextlib.suppress(AerosError):
            return store.plain(store.load([*WORDS, *words], toy))

    return compose


@pytest.fixture
def experiments(composing, folder, monkeypatch):
    """A function that composes an experiment file of this text."""
    (folder / "experiment").mkdir(exist_ok=True)
    monkeypatch.chdir(folder)

    def compose(text):
        (folder / "experiment/fuzzed.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
        return composing("experiment=fuzzed", "hydra.searchpath=[file://.]")

    return compose


keys = st.sampled_from(
    ["task.seed", "task", "trainer", "hydra", "hydra.run.dir", "hydra/launcher", "transformer",
     "task.name", "trainer.lr", "experiment", "hydra.job.env_set.X", "trainer/model", ""]
)  # fmt: skip
values = st.sampled_from(
    ["", "1", "a,b", "[1,2]", "{a:1}", "{a:{b:[1,{c:2}]}}", "${nowhere}", "${task}", "'x'", "null",
     "???", "range(1,3)", "choice(1,2)", "glob(*)", "int(a)", "\\", "${", "'", "[" * 300, "1e999"]
) | st.text(max_size=10)  # fmt: skip


@whatever
@given(st.sampled_from(["", "+", "++", "~"]), keys | st.text(max_size=10), values)
def test_no_word_gives_a_traceback(composing, sign, key, value):
    composing(f"{sign}{key}={value}")
