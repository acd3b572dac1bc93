from dataclasses import replace

import pytest

from aeros_core.errors import ConfigError
from aeros_core.results import Result, Status


def end(repository, examples, n, status=Status.FINISHED):
    """Publish version n with accuracy 1 / n as run ``r<n>`` does, and end the run."""
    repository.begin(examples.run(f"r{n}"))
    model = replace(examples.model(seed=n), run=f"r{n}", metrics={"accuracy": 1 / n})
    info = repository.publish(model)
    told = {"name": info.name, "version": info.version, "digest": info.digest}
    repository.finish(f"r{n}", Result("task", status, 1, {}, told, 0.0, 0, 0, {}))


def versions(repository):
    return [info.version for info in repository.models("model")]


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"keep_last": 2}, [4, 5]),
        ({"keep_best": 1}, [1, 5]),
        ({"keep_last": 2, "keep_best": 1}, [1, 4, 5]),
    ],
    ids=str,
)
def test_what_the_rules_do_not_keep_goes_when_a_run_ends(examples, tmp_path, options, left):
    repository = examples.store(tmp_path, **options)
    for n in range(1, 6):
        end(repository, examples, n)
    assert versions(repository) == left
    assert set(repository.verify().values()) == {""}


def test_what_is_tagged_stays(examples, tmp_path):
    repository = examples.store(tmp_path, keep_last=1)
    end(repository, examples, 1)
    repository.tag("model", "production", 1)
    for n in (2, 3):
        end(repository, examples, n)
    assert versions(repository) == [1, 3]


def test_what_an_unfinished_run_has_stored_stays(examples, tmp_path):
    repository = examples.store(tmp_path, keep_last=1)
    end(repository, examples, 1, Status.INTERRUPTED)
    for n in (2, 3):
        end(repository, examples, n)
    assert versions(repository) == [1, 3]


@pytest.mark.parametrize("record", ["run.json", "result.json"])
def test_what_a_run_has_stored_whose_record_is_damaged_stays(examples, tmp_path, record):
    repository = examples.store(tmp_path, keep_last=1)
    end(repository, examples, 1, Status.INTERRUPTED)
    (tmp_path / "runs/r1" / record).write_bytes(b"")
    for n in (2, 3):
        end(repository, examples, n)
    assert versions(repository) == [1, 3]


def test_a_metric_that_nobody_measured_is_told_and_the_run_ends_well(examples, tmp_path, caplog):
    repository = examples.store(tmp_path, keep_best=1, keep_metric="f1")
    for n in (1, 2):
        end(repository, examples, n)
    assert versions(repository) == [1, 2]
    assert repository.result("r2")["status"] == "FINISHED"
    assert "no version of model 'model' was removed: no version of a model measures f1" in (
        caplog.text
    )


@pytest.mark.parametrize("options", [{"keep_last": -1}, {"keep_best": -1}], ids=str)
def test_numbers_that_cannot_be(examples, tmp_path, options):
    with pytest.raises(ConfigError) as caught:
        examples.store(tmp_path, **options)
    [name] = options
    assert str(caught.value) == (
        f"repository.{name} must be at least 0, got -1\n  exists: 0 for both keeps every version"
    )
