"""The part of the contract of `repository.Repository` that is about models."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.parameters import Parameters
from aeros_core.records import Model, ModelInfo
from aeros_core.results import Status
from aeros_core.roles.repository import (
    Repository,
    SupportsCollection,
    SupportsParts,
    SupportsTags,
    SupportsVerify,
)
from aeros_core.testing.examples import records

__all__ = ["ModelsContract"]


class ModelsContract:
    """What every repository does with models; see `repository.RepositoryTests`."""

    def make(self, path: Path) -> Repository:
        """Return a new repository that keeps what it stores in this folder."""
        raise NotImplementedError

    def test_a_model_comes_back_bit_for_bit(self, tmp_path: Path) -> None:
        """Parameters, schema, module, fitted transformers, samples and lineage."""
        model = records.model()
        info = self.make(tmp_path).publish(model)
        assert (info.name, info.version, info.tags) == ("model", 1, ("latest",))
        assert (info.run, info.round, dict(info.metrics)) == ("a", 3, dict(model.metrics))
        assert info.digest == model.parameters.digest
        assert info.nbytes == model.parameters.nbytes
        found = self.make(tmp_path).model("model")
        assert found.parameters.digest == info.digest
        records.same_parameters(model.parameters, found.parameters)
        records.same_states(model.fitted, found.fitted)
        records.same_states({"": model.samples}, {"": found.samples})
        same = replace(model, parameters=found.parameters, fitted=found.fitted)
        assert replace(same, samples=found.samples) == found

    def test_versions_count_from_one_and_latest_follows(self, tmp_path: Path) -> None:
        """Every publication is a version of its own, of the same content too."""
        infos = [self.make(tmp_path).publish(records.model(seed=seed)) for seed in (1, 2, 2)]
        assert [info.version for info in infos] == [1, 2, 3]
        repository = self.make(tmp_path)
        assert [info.tags for info in repository.models("model")] == [(), (), ("latest",)]
        for asked, seed in ((1, 1), ("1", 1), (2, 2), ("2", 2), (3, 2), ("latest", 2)):
            found = repository.model("model", asked)
            records.same_parameters(records.model(seed=seed).parameters, found.parameters)

    def test_two_who_publish_at_once_get_versions_of_their_own(self, tmp_path: Path) -> None:
        """No version is given twice, and each holds what its publisher stored."""
        repositories = [self.make(tmp_path) for _ in range(8)]
        models = [records.model(seed=seed) for seed in range(8)]
        with ThreadPoolExecutor(8) as pool:
            infos = list(pool.map(lambda r, m: r.publish(m), repositories, models))
        assert sorted(info.version for info in infos) == list(range(1, 9))
        for info, model in zip(infos, models, strict=True):
            found = self.make(tmp_path).model("model", info.version)
            records.same_parameters(model.parameters, found.parameters)

    def test_of_those_who_name_a_version_one_gets_it(self, tmp_path: Path) -> None:
        """The others are told which there is, and what they wanted to store is not there."""
        models = [records.model(seed=seed) for seed in range(6)]

        def stored(model: Model) -> ModelInfo | RepositoryError:
            try:
                return self.make(tmp_path).publish(model, 1)
            except RepositoryError as error:
                return error

        with ThreadPoolExecutor(len(models)) as pool:
            told = list(pool.map(stored, models))
        [won] = [n for n, one in enumerate(told) if isinstance(one, ModelInfo)]
        for lost in (one for one in told if isinstance(one, RepositoryError)):
            assert "version 1 of model 'model' is there already" in lost.asked
            assert "1" in lost.exists
            assert "version 2" in lost.hint
        repository = self.make(tmp_path)
        assert [info.version for info in repository.models()] == [1]
        records.same_parameters(models[won].parameters, repository.model("model", 1).parameters)
        for wrong in (0, 1, 3):
            with pytest.raises(RepositoryError):
                repository.publish(models[0], wrong)
        assert repository.publish(models[0], 2).version == 2

    def test_models_are_listed_by_name_and_version(self, tmp_path: Path) -> None:
        """What is listed is what publishing returned, but for the tags."""
        repository = self.make(tmp_path)
        published = [repository.publish(records.model(name)) for name in ["b", *["a"] * 11]]
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
        repository.publish(records.model("other"))
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
            repository.publish(records.model(seed=seed))
        for version, seed in ((1, 1), ("2", 2), ("latest", 2)):
            repository.tag("model", "best", version)
            found = self.make(tmp_path).model("model", "best")
            records.same_parameters(records.model(seed=seed).parameters, found.parameters)
        assert [set(info.tags) for info in repository.models()] == [set(), {"latest", "best"}]
        for name, version in (("model", 3), ("model", "nothing"), ("nobody", 1)):
            with pytest.raises(RepositoryError):
                repository.tag(name, "best", version)

    def test_a_part_is_what_the_whole_has_there(self, tmp_path: Path) -> None:
        """Tensors by name or pattern, in the order of the layout, whatever the version."""
        repository = self.make(tmp_path)
        if not isinstance(repository, SupportsParts):
            pytest.skip("it delivers no parts")
        for seed in (1, 2):
            repository.publish(records.model(seed=seed))
        for version, seed in ((1, 1), ("latest", 2)):
            whole = records.model(seed=seed).parameters
            names = list(whole)
            for patterns in (["*"], names[-1:], names[::-1], [f"{names[0][:1]}*", names[-1]]):
                part = repository.part("model", version, tensors=patterns)
                wanted = [spec.name for spec in whole.layout.matching(patterns)]
                assert list(part) == wanted
                records.same_parameters(Parameters.of({n: whole[n] for n in wanted}), part)
        with pytest.raises(ConfigError) as caught:
            repository.part("model", tensors=[names[0], "nothing.*"])
        assert "nothing.*" in caught.value.asked
        assert names[0] in caught.value.exists
        for name, number in (("model", 3), ("nobody", 1)):
            with pytest.raises(RepositoryError):
                repository.part(name, number, tensors=["*"])

    def test_what_was_stored_is_verified(self, tmp_path: Path) -> None:
        """Everything, one model or one version: files were read, and nothing is wrong."""
        repository = self.make(tmp_path)
        if not isinstance(repository, SupportsVerify):
            pytest.skip("it does not check itself")
        assert repository.verify() == {}
        repository.begin(records.run("a"))
        repository.commit("a", records.checkpoint(1))
        repository.finish("a", records.result(Status.FINISHED))
        for seed in (1, 2):
            repository.publish(records.model(seed=seed))
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
        repository.begin(records.run("a"))
        for number in (1, 2, 3):
            repository.commit("a", records.checkpoint(number))
        repository.publish(records.model())
        assert repository.collect(-60.0) == {}
        records.same_checkpoint(records.checkpoint(3), self.make(tmp_path).latest("a"))
        model, found = records.model(), self.make(tmp_path).model("model")
        records.same_parameters(model.parameters, found.parameters)
        records.same_states({"": model.samples}, {"": found.samples})

    # ------------------------------------------------------------ whatever is stored

    @hypothesis.settings(
        max_examples=30,
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.differing_executors],
    )
    @hypothesis.given(data=st.data())
    def test_any_layout_comes_back(self, data: st.DataObject) -> None:
        """Any names, shapes and dtypes, any bits: NaN, empty tensors, no tensor at all."""
        parameters = data.draw(records.any_parameters())
        with tempfile.TemporaryDirectory() as folder:
            repository = self.make(Path(folder))
            repository.publish(replace(records.model(), parameters=parameters))
            found = self.make(Path(folder)).model("model").parameters
        records.same_parameters(parameters, found)
        assert found.digest == parameters.digest
