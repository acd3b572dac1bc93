import pytest

from aeros_core.errors import RepositoryError
from aeros_zarr.stores.layout import numbers


def test_numbers_are_those_of_files_that_are_called_so():
    names = [
        "10.json",
        "2.json",
        "tags",
        "index",
        "03.json",
        "x.json",
        "\u0663.json",
        "4",
        "-1.json",
    ]
    assert numbers(names) == [2, 10]


@pytest.fixture
def filled(examples, tmp_path):
    store = examples.filled(tmp_path)
    store.begin(examples.run("b"))
    store.commit("b", examples.checkpoint(1, seed=9))
    for seed in (1, 2):
        store.publish(examples.model(seed=seed))
        store.publish(examples.model("other", seed=seed))
    for name in ("model", "other"):
        store.tag(name, "best", 1)
        store.tag(name, "worst", 2)
    return store


@pytest.mark.parametrize(
    ("origin", "place", "told", "read"),
    [
        ("models/model/1", "models/model/2", "version, 1", lambda s: s.model("model", 2)),
        ("models/other/1", "models/model/1", "name, 'other'", lambda s: s.model("model", 1)),
        ("models/model/tags/best", "models/model/tags/worst", "tag, 'best'",
         lambda s: s.model("model", "worst")),
        ("models/other/tags/best", "models/model/tags/best", "name, 'other'",
         lambda s: s.model("model", "best")),
        ("runs/a/rounds/2", "runs/a/rounds/3", "number, 2", lambda s: s.history("a")),
        ("runs/a/rounds/1", "runs/b/rounds/1", "run, 'a'", lambda s: s.latest("b")),
    ],
)  # fmt: skip
def test_a_record_in_the_place_of_another_is_not_taken_for_it(
    filled, examples, tmp_path, origin, place, told, read
):
    (tmp_path / f"{place}.json").write_bytes((tmp_path / f"{origin}.json").read_bytes())
    store = examples.store(tmp_path)
    with pytest.raises(RepositoryError) as caught:
        read(store)
    assert f"{tmp_path}/{place}.json is damaged: it is the record of another {told}" in str(
        caught.value
    )
    wrong = [file for file, what in store.verify().items() if what]
    assert wrong == [f"{tmp_path}/{place}.json"]


def test_a_run_in_the_place_of_another_is_left_out(filled, examples, tmp_path, caplog):
    (tmp_path / "runs/b/run.json").write_bytes((tmp_path / "runs/a/run.json").read_bytes())
    assert [run.id for run in examples.store(tmp_path).runs()] == ["a"]
    assert "runs/b/run.json is damaged: it is the record of another id, 'a'" in caplog.text


def test_a_round_of_an_earlier_writer_says_its_number_too(filled, examples, tmp_path):
    """In what it did; one that has no ``number`` and no ``run`` is read all the same."""
    from aeros_zarr.format import manifest

    for number in (1, 2, 3):
        file = tmp_path / f"runs/a/rounds/{number}.json"
        content = manifest.load("round", file.read_bytes(), "file")
        old = {k: v for k, v in content.items() if k not in ("number", "run")}
        file.write_bytes(manifest.dump("round", old))
    assert [r.number for r in examples.store(tmp_path).history("a")] == [1, 2, 3]
    second = (tmp_path / "runs/a/rounds/2.json").read_bytes()
    (tmp_path / "runs/a/rounds/3.json").write_bytes(second)
    with pytest.raises(RepositoryError, match=r"3\.json is damaged: it is the record of another"):
        examples.store(tmp_path).history("a")
