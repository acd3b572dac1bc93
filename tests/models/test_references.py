"""Tasks that start from a stored model."""

import numpy as np
import pytest

from aeros_core.controllers.local import LocalController
from aeros_core.errors import ConfigError
from aeros_core.models import references
from aeros_core.tasks.task import Task


@pytest.fixture
def kept(parts):
    """A repository that keeps two versions of ``toy``."""
    made = parts()
    for seed in (1, 2):
        LocalController().run(Task(name="toy", rounds=1, seed=seed), made)
    return made


def test_a_task_starts_from_a_stored_model_and_names_it_as_parent(kept):
    first = kept.repository.model("toy", 1).parameters
    LocalController().run(Task(name="more", rounds=1, start="toy:1"), kept)
    more = kept.repository.model("more")
    assert more.parents == (first.digest,)
    [info] = kept.repository.models("more")
    assert info.parents == (first.digest,)
    LocalController().run(Task(name="fresh", rounds=1), kept)
    assert kept.repository.model("fresh").parents == ()
    assert kept.repository.model("fresh").parameters.digest != more.parameters.digest


def test_it_is_the_stored_parameters_that_it_starts_from(kept):
    second = kept.repository.model("toy", 2).parameters
    assert references.load_initial("toy", kept.repository, second).digest == second.digest
    np.testing.assert_array_equal(
        references.load_initial("toy:2", kept.repository, second).vector, second.vector
    )


@pytest.mark.parametrize(
    ("start", "found"), [("toy", "toy:2"), ("toy:latest", "toy:2"), ("toy:1", "toy:1")]
)
def test_what_it_starts_from_is_held_fast_by_its_version(kept, start, found):
    assert references.resolve(start, kept.repository) == found


@pytest.mark.parametrize(
    ("start", "asked", "exists"),
    [
        ("nobody", "task.start=nobody names no stored model", "toy"),
        (":1", "task.start=:1 names no stored model", "toy"),
        ("toy:3", "toy has no version and no tag '3'", "versions up to 2"),
        ("toy:best", "toy has no version and no tag 'best'", "versions up to 2"),
    ],
)
def test_a_model_that_is_not_there_is_named_and_nothing_begun(kept, start, asked, exists):
    with pytest.raises(ConfigError) as refused:
        LocalController().run(Task(name="more", rounds=1, start=start), kept)
    assert asked in str(refused.value)
    assert exists in refused.value.exists
    assert kept.repository.runs("more") == []


def test_a_model_with_other_tensors_is_refused(kept, parts):
    stored = kept.repository.model("toy", 1).parameters
    other = type(stored).zeros(type(stored.layout).of({"w": ((3,), "float32")}))
    with pytest.raises(ConfigError, match=r"task\.start=toy:1 has other tensors") as refused:
        references.load_initial("toy:1", kept.repository, other)
    assert "aeros models show toy:1" in refused.value.hint


def test_a_parent_that_goes_while_the_task_runs_fails_nothing(kept, monkeypatch):
    first = kept.repository.model("toy", 1).parameters.digest
    models = kept.repository.models
    commit = kept.repository.commit

    def gone(*given):
        monkeypatch.setattr(
            kept.repository, "models", lambda name=None: [] if name == "toy" else models(name)
        )
        return commit(*given)

    monkeypatch.setattr(kept.repository, "commit", gone)
    LocalController().run(Task(name="more", rounds=1, start="toy:1"), kept)
    assert kept.repository.model("more").parents == (first,)
