"""``GROUP=null`` chooses no option of a group, as Hydra users expect."""

import pytest

from aeros_core.config import store
from aeros_core.errors import ConfigError


@pytest.fixture
def load(toy, toy_words):
    """A function that composes these words with the parts of the toy plugin."""
    return lambda *words: store.load([*toy_words[1:], *words], toy)


def test_without_an_experiment_every_option_is_at_its_default(load):
    assert load("experiment=null").task.name == "task"
    assert load("~experiment") == load("experiment=null")


@pytest.mark.parametrize("word", ["inferencer=null", "collector/codec=null"])
def test_a_group_that_is_empty_by_default_may_be_null(load, word):
    assert load("experiment=null", word) == load("experiment=null")


def test_the_last_choice_counts(load):
    assert load("experiment=mine", "experiment=null").task.name == "task"
    with pytest.raises(ConfigError, match="experiment=mine does not exist"):
        load("experiment=null", "experiment=mine")


@pytest.mark.parametrize("word", ["collector=null", "+experiment=null", "repository=null"])
def test_other_groups_need_an_option(load, word):
    with pytest.raises(ConfigError) as refused:
        load(word)
    group = word.strip("+").partition("=")[0]
    assert str(refused.value) == (
        f"{word} chooses no option, which this group does not allow\n"
        "  exists: groups that may be null: experiment, inferencer, collector/codec\n"
        f"  next: {group}=<option>; aeros options {group} lists them"
    )


def test_a_group_with_a_package_of_its_own_is_another_choice(load):
    cfg = load("experiment=null", "inferencer=scores", "+inferencer@second=scores")
    assert cfg.second == cfg.inferencer
    cfg = load("experiment=null", "inferencer=null", "+inferencer@second=scores")
    assert "inferencer" not in cfg
    assert cfg.second
