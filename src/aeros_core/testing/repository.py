"""The contract of `roles.Repository`, as tests to inherit."""

from __future__ import annotations

import json
import math
import struct
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from aeros_core.errors import AerosError, ConfigError, RepositoryError
from aeros_core.messages import State
from aeros_core.outcomes import Result, Round, Status
from aeros_core.parameters import Layout, Parameters
from aeros_core.records import Checkpoint, Model, Run
from aeros_core.roles import Repository, SupportsCollection, SupportsTags, SupportsVerify
from aeros_core.schema import Field, Schema

__all__ = ["RepositoryTests"]

_DTYPES = ["float32", "float64", "float16", "int64", "int32", "int8", "uint8", "bool"]
_BAD_NAMES = ["", ".", "..", "../up", "a/b", "/root", "-x", "a b", "a\x00b", "é", "x" * 300]


class RepositoryTests:
    """What every repository has to do.

    Subclass it and say how one is made::

        class TestMine(RepositoryTests):
            def make(self, path):
                return Mine(folder=str(path / "store"))

    ``make`` is called with an empty folder of its own for each test, and more than once
    with the same folder where a test looks at what another process would see: it has to
    return a new object each time, which shares nothing with the first but what is stored.
    """

    def make(self, path: Path) -> Repository:
        """Return a new repository that keeps what it stores in this folder."""
        raise NotImplementedError

    # ------------------------------------------------------------ runs

    def test_it_is_a_repository(self, tmp_path: Path) -> None:
        """It has the methods of the role."""
        assert isinstance(self.make(tmp_path), Repository)

    def test_an_empty_one_holds_nothing(self, tmp_path: Path) -> None:
        """Looking into a repository that was never written to is no error."""
        repository = self.make(tmp_path)
        assert list(repository.runs()) == []
        assert list(repository.models()) == []
        assert list(repository.models("model")) == []

    def test_a_run_comes_back(self, tmp_path: Path) -> None:
        """A run is what it was, in another object too."""
        run = _run("a-1")
        self.make(tmp_path).begin(run)
        assert list(self.make(tmp_path).runs()) == [run]

    def test_runs_are_listed_oldest_first(self, tmp_path: Path) -> None:
        """The order is that of their creation, whatever their names and who began them."""
        first = _run("z", created="2026-01-01T00:00:00+00:00")
        second = _run("b", created="2026-01-02T00:00:00+00:00")
        other = _run("a", task="other", created="2026-01-03T00:00:00+00:00")
        repository = self.make(tmp_path)
        for run in (other, first, second):
            repository.begin(run)
        assert list(repository.runs()) == [first, second, other]
        assert list(repository.runs("task")) == [first, second]
        assert list(repository.runs("nobody's")) == []

    def test_a_run_id_is_given_once(self, tmp_path: Path) -> None:
        """To begin another run of the same id is refused, and the first one stays."""
        repository = self.make(tmp_path)
        repository.begin(_run("a"))
        with pytest.raises(RepositoryError) as caught:
            repository.begin(_run("a", task="another"))
        assert "a" in str(caught.value)
        assert list(self.make(tmp_path).runs()) == [_run("a")]

    @pytest.mark.parametrize("method", ["commit", "latest", "history", "finish", "result"])
    def test_a_run_that_never_began_is_unknown(self, tmp_path: Path, method: str) -> None:
        """The message names the run that was asked for, and those that exist."""
        repository = self.make(tmp_path)
        repository.begin(_run("known"))
        more: dict[str, list[Any]]
        more = {"commit": [_checkpoint(1)], "finish": [_result(Status.FINISHED)]}
        with pytest.raises(AerosError) as caught:
            getattr(repository, method)("unknown", *more.get(method, []))
        assert "unknown" in str(caught.value)
        assert "known" in caught.value.exists

    @pytest.mark.parametrize("name", _BAD_NAMES)
    def test_a_name_that_cannot_be_is_refused(self, tmp_path: Path, name: str) -> None:
        """Names become files or keys: what could lead elsewhere is a ConfigError."""
        repository = self.make(tmp_path)
        for call in (
            lambda: repository.begin(_run(name)),
            lambda: repository.begin(_run("a", task=name)),
            lambda: repository.commit(name, _checkpoint(1)),
            lambda: repository.latest(name),
            lambda: repository.publish(_model(name)),
            lambda: repository.models(name),
            lambda: repository.model(name),
        ):
            with pytest.raises(ConfigError) as caught:
                call()
            assert caught.value.exists

    # ------------------------------------------------------------ rounds

    def test_a_checkpoint_comes_back_bit_for_bit(self, tmp_path: Path) -> None:
        """Parameters, state, figures and time, in another object too."""
        repository = self.make(tmp_path)
        repository.begin(_run("a"))
        assert repository.latest("a") is None
        stored = _checkpoint(1)
        repository.commit("a", stored)
        _same_checkpoint(stored, repository.latest("a"))
        _same_checkpoint(stored, self.make(tmp_path).latest("a"))

    def test_the_latest_round_is_the_highest(self, tmp_path: Path) -> None:
        """Ten comes after nine."""
        repository = self.make(tmp_path)
        repository.begin(_run("a"))
        for number in range(1, 12):
            repository.commit("a", _checkpoint(number))
        _same_checkpoint(_checkpoint(11), self.make(tmp_path).latest("a"))

    def test_history_holds_every_round_in_order(self, tmp_path: Path) -> None:
        """What rounds did is kept for ever, whatever happens to their parameters."""
        repository = self.make(tmp_path)
        repository.begin(_run("a"))
        assert list(repository.history("a")) == []
        for number in range(1, 12):
            repository.commit("a", _checkpoint(number))
        found = list(self.make(tmp_path).history("a"))
        assert _text(found) == _text([_round(number) for number in range(1, 12)])

    def test_runs_do_not_see_each_other(self, tmp_path: Path) -> None:
        """Rounds belong to one run."""
        repository = self.make(tmp_path)
        repository.begin(_run("a"))
        repository.begin(_run("b"))
        repository.commit("a", _checkpoint(1))
        repository.commit("b", _checkpoint(1, seed=7))
        repository.commit("b", _checkpoint(2))
        _same_checkpoint(_checkpoint(1), repository.latest("a"))
        assert len(repository.history("a")) == 1

    def test_a_round_that_is_committed_again_is_replaced(self, tmp_path: Path) -> None:
        """A task that was killed between commit and report repeats the round."""
        self.make(tmp_path).begin(_run("a"))
        for number in (1, 2):
            self.make(tmp_path).commit("a", _checkpoint(number))
        self.make(tmp_path).commit("a", _checkpoint(2))
        _same_checkpoint(_checkpoint(2), self.make(tmp_path).latest("a"))
        self.make(tmp_path).commit("a", _checkpoint(2, seed=9))
        _same_checkpoint(_checkpoint(2, seed=9), self.make(tmp_path).latest("a"))
        assert [r.number for r in self.make(tmp_path).history("a")] == [1, 2]

    def test_going_on_from_an_earlier_round_drops_the_later_ones(self, tmp_path: Path) -> None:
        """The history of a run is one line: after round 2, round 3 is the next."""
        repository = self.make(tmp_path)
        repository.begin(_run("a"))
        for number in (1, 2, 3, 4):
            repository.commit("a", _checkpoint(number))
        self.make(tmp_path).commit("a", _checkpoint(3, seed=5))
        assert [r.number for r in self.make(tmp_path).history("a")] == [1, 2, 3]
        _same_checkpoint(_checkpoint(3, seed=5), self.make(tmp_path).latest("a"))

    def test_what_was_committed_may_be_changed_in_memory(self, tmp_path: Path) -> None:
        """A collector that works in place does not reach what is stored."""
        repository = self.make(tmp_path)
        repository.begin(_run("a"))
        checkpoint = _checkpoint(1)
        repository.commit("a", checkpoint)
        for vector in checkpoint.parameters.vectors.values():
            vector[:] = 0
        _same_checkpoint(_checkpoint(1), repository.latest("a"))

    def test_a_loaded_checkpoint_can_be_worked_on(self, tmp_path: Path) -> None:
        """Its vectors are writable and no one else's."""
        repository = self.make(tmp_path)
        repository.begin(_run("a"))
        repository.commit("a", _checkpoint(1))
        loaded = repository.latest("a")
        assert loaded is not None
        for vector in loaded.parameters.vectors.values():
            vector[:] = 0
        _same_checkpoint(_checkpoint(1), repository.latest("a"))

    # ------------------------------------------------------------ results

    def test_a_result_comes_back(self, tmp_path: Path) -> None:
        """A later end of the same run replaces an earlier one."""
        repository = self.make(tmp_path)
        repository.begin(_run("a"))
        assert repository.result("a") is None
        for status in (Status.INTERRUPTED, Status.FINISHED):
            repository.finish("a", _result(status))
            assert self.make(tmp_path).result("a") == _result(status).to_json()

    # ------------------------------------------------------------ models

    def test_a_model_comes_back_bit_for_bit(self, tmp_path: Path) -> None:
        """Parameters, schema, module, fitted transformers and lineage."""
        model = _model()
        info = self.make(tmp_path).publish(model)
        assert (info.name, info.version, info.tags) == ("model", 1, ("latest",))
        assert (info.run, info.round, dict(info.metrics)) == ("a", 3, dict(model.metrics))
        assert info.digest == model.parameters.digest
        assert info.nbytes == model.parameters.nbytes
        found = self.make(tmp_path).model("model")
        assert found.parameters.digest == info.digest
        _same_parameters(model.parameters, found.parameters)
        _same_states(model.fitted, found.fitted)
        assert replace(model, parameters=found.parameters, fitted=found.fitted) == found

    def test_versions_count_from_one_and_latest_follows(self, tmp_path: Path) -> None:
        """Every publication is a version of its own, of the same content too."""
        infos = [self.make(tmp_path).publish(_model(seed=seed)) for seed in (1, 2, 2)]
        assert [info.version for info in infos] == [1, 2, 3]
        repository = self.make(tmp_path)
        assert [info.tags for info in repository.models("model")] == [(), (), ("latest",)]
        for asked, seed in ((1, 1), ("1", 1), (2, 2), ("2", 2), (3, 2), ("latest", 2)):
            found = repository.model("model", asked)
            _same_parameters(_model(seed=seed).parameters, found.parameters)

    def test_two_who_publish_at_once_get_versions_of_their_own(self, tmp_path: Path) -> None:
        """No version is given twice, and each holds what its publisher stored."""
        repositories = [self.make(tmp_path) for _ in range(8)]
        models = [_model(seed=seed) for seed in range(8)]
        with ThreadPoolExecutor(8) as pool:
            infos = list(pool.map(lambda r, m: r.publish(m), repositories, models))
        assert sorted(info.version for info in infos) == list(range(1, 9))
        for info, model in zip(infos, models, strict=True):
            found = self.make(tmp_path).model("model", info.version)
            _same_parameters(model.parameters, found.parameters)

    def test_models_are_listed_by_name_and_version(self, tmp_path: Path) -> None:
        """What is listed is what publishing returned, but for the tags."""
        repository = self.make(tmp_path)
        published = [repository.publish(_model(name)) for name in ["b", *["a"] * 11]]
        published.sort(key=lambda info: (info.name, info.version))
        listed = list(self.make(tmp_path).models())
        assert [replace(info, tags=()) for info in listed] == [
            replace(info, tags=()) for info in published
        ]
        assert [info.version for info in repository.models("a")] == list(range(1, 12))

    @pytest.mark.parametrize(
        ("name", "version", "said"),
        [
            ("nobody", "latest", "other"),
            ("other", 2, "1"),
            ("other", 0, "1"),
            ("other", "17", "1"),
            ("other", "production", "latest"),
        ],
    )
    def test_what_does_not_exist_is_an_error(
        self, tmp_path: Path, name: str, version: int | str, said: str
    ) -> None:
        """The message names what was asked for, and what there is."""
        repository = self.make(tmp_path)
        repository.publish(_model("other"))
        with pytest.raises(RepositoryError) as caught:
            repository.model(name, version)
        assert name in str(caught.value)
        assert version == "latest" or str(version) in caught.value.asked
        assert said in caught.value.exists

    # ------------------------------------------------------------ powers some have

    def test_a_tag_points_to_one_version_and_can_move(self, tmp_path: Path) -> None:
        """A tag names one version until it is given again; ``latest`` goes its own way."""
        repository = self.make(tmp_path)
        if not isinstance(repository, SupportsTags):
            pytest.skip("it gives no tags")
        for seed in (1, 2):
            repository.publish(_model(seed=seed))
        for version, seed in ((1, 1), ("2", 2), ("latest", 2)):
            repository.tag("model", "best", version)
            found = self.make(tmp_path).model("model", "best")
            _same_parameters(_model(seed=seed).parameters, found.parameters)
        assert [set(info.tags) for info in repository.models()] == [set(), {"latest", "best"}]
        for name, version in (("model", 3), ("model", "nothing"), ("nobody", 1)):
            with pytest.raises(RepositoryError):
                repository.tag(name, "best", version)

    def test_what_was_stored_is_verified(self, tmp_path: Path) -> None:
        """Everything, one model or one version: files were read, and nothing is wrong."""
        repository = self.make(tmp_path)
        if not isinstance(repository, SupportsVerify):
            pytest.skip("it does not check itself")
        assert repository.verify() == {}
        repository.begin(_run("a"))
        repository.commit("a", _checkpoint(1))
        repository.finish("a", _result(Status.FINISHED))
        for seed in (1, 2):
            repository.publish(_model(seed=seed))
        counts = [
            len(repository.verify()),
            len(repository.verify("model")),
            len(repository.verify("model", 1)),
        ]
        assert counts[0] > counts[1] > counts[2] > 1
        assert set(repository.verify().values()) == {""}
        for name, version in (("nobody", None), ("model", 3), ("model", "nothing")):
            with pytest.raises(RepositoryError) as caught:
                repository.verify(name, version)
            assert caught.value.exists

    def test_nothing_that_is_named_is_collected(self, tmp_path: Path) -> None:
        """However old: models, their fitted steps, and the last round of each run stay."""
        repository = self.make(tmp_path)
        if not isinstance(repository, SupportsCollection):
            pytest.skip("it does not collect what nothing names")
        assert repository.collect(0.0) == {}
        repository.begin(_run("a"))
        for number in (1, 2, 3):
            repository.commit("a", _checkpoint(number))
        repository.publish(_model())
        assert repository.collect(-60.0) == {}
        _same_checkpoint(_checkpoint(3), self.make(tmp_path).latest("a"))
        _same_parameters(_model().parameters, self.make(tmp_path).model("model").parameters)

    # ------------------------------------------------------------ whatever is stored

    @hypothesis.settings(
        max_examples=30,
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.differing_executors],
    )
    @hypothesis.given(data=st.data())
    def test_any_layout_comes_back(self, data: st.DataObject) -> None:
        """Any names, shapes and dtypes, any bits: NaN, empty tensors, no tensor at all."""
        parameters = data.draw(_parameters())
        with tempfile.TemporaryDirectory() as folder:
            repository = self.make(Path(folder))
            repository.publish(replace(_model(), parameters=parameters))
            found = self.make(Path(folder)).model("model").parameters
        _same_parameters(parameters, found)
        assert found.digest == parameters.digest

    @hypothesis.settings(
        max_examples=30,
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.differing_executors],
    )
    @hypothesis.given(data=st.data())
    def test_any_state_comes_back(self, data: st.DataObject) -> None:
        """Every float bit for bit, integers of any size, any text, arrays of any shape."""
        state = data.draw(st.dictionaries(st.text(max_size=8), _values(), max_size=6))
        checkpoint = replace(_checkpoint(1), state={"collector": state, "transformer.x": {}})
        with tempfile.TemporaryDirectory() as folder:
            repository = self.make(Path(folder))
            repository.begin(_run("a"))
            repository.commit("a", checkpoint)
            found = self.make(Path(folder)).latest("a")
        _same_checkpoint(checkpoint, found)


# ---------------------------------------------------------------- examples


def _run(name: str, *, task: str = "task", created: str = "2026-01-01T00:00:00+00:00") -> Run:
    config = {"task": {"seed": 1, "rate": 0.1, "name": None}, "list": [1, True, "x"]}
    return Run(name, task, "f" * 64, config, {"python": "3.11"}, created)


def _round(number: int) -> Round:
    return Round(
        number=number,
        metrics={"accuracy": 0.1 * number, "loss": 1 / 3},
        federated={},
        training={"loss": math.nan if number == 2 else math.inf},
        nodes={"client-0": {"examples": 12, "loss": 0.2}},
        refused={"client-1": "holds NaN"},
        seconds={"total": 0.7},
        sent=2**40 + number,
        received=0,
    )


def _tensors(seed: int) -> Parameters:
    rng = np.random.default_rng(seed)
    return Parameters.of(
        {
            "dense.weight": rng.standard_normal((3, 5), dtype=np.float32),
            "dense.bias": rng.standard_normal(5, dtype=np.float32),
            "norm.batches": np.array(2**62 + seed, dtype=np.int64),
        }
    )


def _state(seed: int) -> State:
    return {
        "momentum": np.random.default_rng(seed).standard_normal(20, dtype=np.float32),
        "counts": np.arange(6, dtype=np.int64).reshape(2, 3) + 2**60,
        "step": seed,
        "generator": 2**127 + seed,
        "rate": 0.1 + seed,
        "never": math.nan,
        "best": -math.inf,
        "zero": -0.0,
        "name": "Größe \u2603",
    }


def _checkpoint(number: int, seed: int = 0) -> Checkpoint:
    state: Mapping[str, State] = {"collector": _state(number + seed), "trainer": {}}
    return Checkpoint(_round(number), _tensors(100 * number + seed), state, 1.5 * number)


def _result(status: Status) -> Result:
    model: dict[str, str | int] = {"name": "model", "version": 1, "digest": "f" * 64}
    return Result("task", status, 3, {"accuracy": 0.97}, model, 1.25, 10, 20, {"python": "3.11"})


def _model(name: str = "model", seed: int = 0) -> Model:
    fields = (Field("image", "float32", (28, 28), (0.0, 255.0)), Field("label", "int64"))
    return Model(
        name=name,
        parameters=_tensors(seed),
        schema=Schema(fields, "label"),
        module={"_target_": "somewhere.Module", "hidden": [200, 10]},
        transformers={"standardise": {"epsilon": 1e-8}, "reshape": {}},
        fitted={"standardise": {"mean": np.arange(3, dtype=np.float64) / 3, "count": 12}},
        run="a",
        round=3,
        metrics={"accuracy": 0.97},
        versions={"python": "3.11"},
        parents=("e" * 64,),
    )


def _parameters() -> st.SearchStrategy[Parameters]:
    shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
    tensors = st.tuples(shapes, st.sampled_from(_DTYPES))
    layouts = st.dictionaries(st.text(max_size=6), tensors, max_size=6).map(Layout.of)
    return st.builds(_filled, layouts, st.integers(0, 2**32))


def _filled(layout: Layout, seed: int) -> Parameters:
    parameters = Parameters.zeros(layout)
    rng = np.random.default_rng(seed)
    for dtype, vector in parameters.vectors.items():
        top = 2 if dtype == "bool" else 256
        bits = rng.integers(0, top, vector.nbytes, dtype=np.uint8)
        vector[:] = bits.view(vector.dtype)
    return parameters


def _values() -> st.SearchStrategy[Any]:
    arrays = st.builds(
        lambda shape, dtype, seed: _filled(Layout.of({"a": (shape, dtype)}), seed)["a"].copy(),
        st.lists(st.integers(0, 3), max_size=3).map(tuple),
        st.sampled_from(_DTYPES),
        st.integers(0, 2**32),
    )
    return st.one_of(st.integers(), st.floats(width=64), st.text(max_size=8), arrays)


# ---------------------------------------------------------------- sameness


def _same_checkpoint(stored: Checkpoint, found: Checkpoint | None) -> None:
    assert found is not None
    assert _text([found.round]) == _text([stored.round])
    assert found.seconds == stored.seconds
    _same_parameters(stored.parameters, found.parameters)
    _same_states(stored.state, found.state)


def _text(rounds: list[Round]) -> str:
    return json.dumps([round.to_json() for round in rounds])  # NaN is not equal to itself


def _same_parameters(stored: Parameters, found: Parameters) -> None:
    assert found.layout == stored.layout
    assert set(found.vectors) == set(stored.vectors)
    for dtype, vector in stored.vectors.items():
        assert found.vectors[dtype].dtype == dtype
        assert found.vectors[dtype].tobytes() == vector.tobytes()


def _same_states(stored: Mapping[str, State], found: Mapping[str, State]) -> None:
    assert set(found) == set(stored)
    for owner, state in stored.items():
        assert set(found[owner]) == set(state)
        for name, value in state.items():
            assert _bits(found[owner][name]) == _bits(value)


def _bits(value: Any) -> object:
    if isinstance(value, float):
        return "float", struct.pack(">d", value)
    if isinstance(value, int | str):
        return type(value).__name__, value
    return str(value.dtype), value.shape, value.tobytes()
