"""Options by a former name: taken with a line on stderr, from the command line and from files."""

import pytest

from aeros_core.config import store
from aeros_core.config.loading import former_options
from aeros_core.errors import ConfigError


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch):
    monkeypatch.setattr(former_options, "_told", set())


@pytest.fixture
def load(toy, toy_words):
    """A function that composes what words ask for, from the toy plugin."""
    return lambda *words: store.load([*toy_words, *words], toy)


@pytest.mark.parametrize(
    ("former", "current", "value", "held"),
    [("below", "below_quorum", "retry", "retry"), ("enough", "min_updates", "3", 3),
     ("over", "split", "test", "test")],
)  # fmt: skip
def test_a_former_name_is_taken_and_told_once(load, capsys, former, current, value, held):
    for _ in range(2):
        task = store.plain(load(f"task.{former}={value}"))["task"]
        assert (task[current], former in task) == (held, False)
    assert capsys.readouterr().err == (
        f"aeros: task.{former} is called task.{current} now;"
        " the former name goes with the next version\n"
    )


@pytest.mark.parametrize("sign", ["", "+", "++"])
def test_both_names_are_refused(load, sign):
    with pytest.raises(ConfigError) as refused:
        load("task.min_updates=3", f"{sign}task.enough=2")
    assert str(refused.value) == (
        "task.enough is the former name of task.min_updates, and both are given\n"
        "  exists: task.min_updates\n"
        "  next: leave out task.enough"
    )


def test_a_file_may_have_the_former_name(load, tmp_path, capsys):
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    text = "# @package _global_\ntask:\n  below: retry\n  rounds: 7\n"
    (folder / "old.yaml").write_text(text)
    path = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
    with former_options_typed(path):
        task = store.plain(load("experiment=old", path))["task"]
    assert (task["below_quorum"], task["rounds"]) == ("retry", 7)
    assert "task.below is called task.below_quorum now" in capsys.readouterr().err
    (folder / "both.yaml").write_text(text + "  below_quorum: fail\n")
    with former_options_typed(path), pytest.raises(ConfigError, match="and both are given"):
        load("experiment=both", path)


def former_options_typed(word):
    from aeros_core.config.loading.loader import GuardedLoader

    return GuardedLoader.typing([word])


def test_sweeps_and_other_words_pass_as_they_are(toy):
    known = former_options.known(toy)
    words = ["task.enough=1,2", "trainer.enough=3", "+x.below=1", "task=federated", "a b"]
    assert former_options.rewrite_words(words, known) == ["task.min_updates=1,2", *words[1:]]


def test_experiment_none_is_taken_and_reported_once(toy, toy_words, capsys):
    words = ["experiment=none", *toy_words[1:]]
    for _ in range(2):
        assert store.load(words, toy) == store.load(toy_words, toy)
    assert capsys.readouterr().err == (
        "aeros: experiment=none is called experiment=null now;"
        " the former name goes with the next version\n"
    )


def test_an_experiment_of_ones_own_may_be_called_none(toy, toy_words, tmp_path, capsys):
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "none.yaml").write_text("# @package _global_\ntask:\n  rounds: 7\n")
    path = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
    with former_options_typed(path):
        loaded = store.load(["experiment=none", *toy_words[1:], path], toy)
    assert (loaded.task.rounds, capsys.readouterr().err) == (7, "")
