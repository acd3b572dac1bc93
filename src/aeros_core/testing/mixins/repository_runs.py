"""The part of the contract of `repository.Repository` that is about runs and their rounds."""

from __future__ import annotations

import os
import socket
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from aeros_core.errors import AerosError, ConfigError, RepositoryError
from aeros_core.results import Status
from aeros_core.roles.repository import Repository, SupportsRunLocks
from aeros_core.testing.examples import records

__all__ = ["RunsContract"]

BAD_NAMES = ["", ".", "..", "../up", "a/b", "/root", "-x", "a b", "a\x00b", "é", "x" * 300]

RESERVED = ["con", "CON", "aux.json", "nul", "com1", "lpt9.tar.gz", "a.", "a.."]


class RunsContract:
    """What every repository does with runs; see `repository.RepositoryTests`."""

    def make(self, path: Path) -> Repository:
        """Return a new repository that keeps what it stores in this folder."""
        raise NotImplementedError

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
        run = records.run("a-1")
        self.make(tmp_path).begin(run)
        assert list(self.make(tmp_path).runs()) == [run]

    def test_runs_are_listed_oldest_first(self, tmp_path: Path) -> None:
        """The order is that of their creation, whatever their names and who began them."""
        first = records.run("z", created="2026-01-01T00:00:00+00:00")
        second = records.run("b", created="2026-01-02T00:00:00+00:00")
        other = records.run("a", task="other", created="2026-01-03T00:00:00+00:00")
        repository = self.make(tmp_path)
        for run in (other, first, second):
            repository.begin(run)
        assert list(repository.runs()) == [first, second, other]
        assert list(repository.runs("task")) == [first, second]
        assert list(repository.runs("nobody's")) == []

    def test_a_run_id_is_given_once(self, tmp_path: Path) -> None:
        """To begin another run of the same id is refused, and the first one stays."""
        repository = self.make(tmp_path)
        repository.begin(records.run("a"))
        with pytest.raises(RepositoryError) as caught:
            repository.begin(records.run("a", task="another"))
        assert "a" in str(caught.value)
        assert list(self.make(tmp_path).runs()) == [records.run("a")]

    @pytest.mark.parametrize("method", ["commit", "latest", "history", "finish", "result"])
    def test_a_run_that_never_began_is_unknown(self, tmp_path: Path, method: str) -> None:
        """The message names the run that was asked for, and those that exist."""
        repository = self.make(tmp_path)
        repository.begin(records.run("known"))
        more: dict[str, list[Any]]
        more = {"commit": [records.checkpoint(1)], "finish": [records.result(Status.FINISHED)]}
        with pytest.raises(AerosError) as caught:
            getattr(repository, method)("unknown", *more.get(method, []))
        assert "unknown" in str(caught.value)
        assert "known" in caught.value.exists

    @pytest.mark.parametrize("name", BAD_NAMES)
    def test_a_name_that_cannot_be_is_refused(self, tmp_path: Path, name: str) -> None:
        """Names become files or keys: what could lead elsewhere is a ConfigError."""
        repository = self.make(tmp_path)
        for call in (
            lambda: repository.begin(records.run(name)),
            lambda: repository.begin(records.run("a", task=name)),
            lambda: repository.commit(name, records.checkpoint(1)),
            lambda: repository.latest(name),
            lambda: repository.publish(records.model(name)),
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
        repository.begin(records.run("a"))
        assert repository.latest("a") is None
        stored = records.checkpoint(1)
        repository.commit("a", stored)
        records.same_checkpoint(stored, repository.latest("a"))
        records.same_checkpoint(stored, self.make(tmp_path).latest("a"))

    def test_the_latest_round_is_the_highest(self, tmp_path: Path) -> None:
        """Ten comes after nine."""
        repository = self.make(tmp_path)
        repository.begin(records.run("a"))
        for number in range(1, 12):
            repository.commit("a", records.checkpoint(number))
        records.same_checkpoint(records.checkpoint(11), self.make(tmp_path).latest("a"))

    def test_history_holds_every_round_in_order(self, tmp_path: Path) -> None:
        """What rounds did is kept for ever, whatever happens to their parameters."""
        repository = self.make(tmp_path)
        repository.begin(records.run("a"))
        assert list(repository.history("a")) == []
        for number in range(1, 12):
            repository.commit("a", records.checkpoint(number))
        found = list(self.make(tmp_path).history("a"))
        assert records.text(found) == records.text(
            [records.round_(number) for number in range(1, 12)]
        )

    def test_runs_do_not_see_each_other(self, tmp_path: Path) -> None:
        """Rounds belong to one run."""
        repository = self.make(tmp_path)
        repository.begin(records.run("a"))
        repository.begin(records.run("b"))
        repository.commit("a", records.checkpoint(1))
        repository.commit("b", records.checkpoint(1, seed=7))
        repository.commit("b", records.checkpoint(2))
        records.same_checkpoint(records.checkpoint(1), repository.latest("a"))
        assert len(repository.history("a")) == 1

    def test_a_round_that_is_committed_again_is_replaced(self, tmp_path: Path) -> None:
        """A task that was killed between commit and report repeats the round."""
        self.make(tmp_path).begin(records.run("a"))
        for number in (1, 2):
            self.make(tmp_path).commit("a", records.checkpoint(number))
        self.make(tmp_path).commit("a", records.checkpoint(2))
        records.same_checkpoint(records.checkpoint(2), self.make(tmp_path).latest("a"))
        self.make(tmp_path).commit("a", records.checkpoint(2, seed=9))
        records.same_checkpoint(records.checkpoint(2, seed=9), self.make(tmp_path).latest("a"))
        assert [r.number for r in self.make(tmp_path).history("a")] == [1, 2]

    def test_going_on_from_an_earlier_round_drops_the_later_ones(self, tmp_path: Path) -> None:
        """The history of a run is one line: after round 2, round 3 is the next."""
        repository = self.make(tmp_path)
        repository.begin(records.run("a"))
        for number in (1, 2, 3, 4):
            repository.commit("a", records.checkpoint(number))
        self.make(tmp_path).commit("a", records.checkpoint(3, seed=5))
        assert [r.number for r in self.make(tmp_path).history("a")] == [1, 2, 3]
        records.same_checkpoint(records.checkpoint(3, seed=5), self.make(tmp_path).latest("a"))

    def test_what_was_committed_may_be_changed_in_memory(self, tmp_path: Path) -> None:
        """A collector that works in place does not reach what is stored."""
        repository = self.make(tmp_path)
        repository.begin(records.run("a"))
        checkpoint = records.checkpoint(1)
        repository.commit("a", checkpoint)
        for vector in checkpoint.parameters.vectors.values():
            vector[:] = 0
        records.same_checkpoint(records.checkpoint(1), repository.latest("a"))

    def test_a_loaded_checkpoint_can_be_worked_on(self, tmp_path: Path) -> None:
        """Its vectors are writable and no one else's."""
        repository = self.make(tmp_path)
        repository.begin(records.run("a"))
        repository.commit("a", records.checkpoint(1))
        loaded = repository.latest("a")
        assert loaded is not None
        for vector in loaded.parameters.vectors.values():
            vector[:] = 0
        records.same_checkpoint(records.checkpoint(1), repository.latest("a"))

    # ------------------------------------------------------------ results

    def test_a_result_comes_back(self, tmp_path: Path) -> None:
        """A later end of the same run replaces an earlier one."""
        repository = self.make(tmp_path)
        repository.begin(records.run("a"))
        assert repository.result("a") is None
        for status in (Status.INTERRUPTED, Status.FINISHED):
            repository.finish("a", records.result(status))
            assert self.make(tmp_path).result("a") == records.result(status).to_json()

    @hypothesis.settings(
        max_examples=30,
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.differing_executors],
    )
    @hypothesis.given(data=st.data())
    def test_any_state_comes_back(self, data: st.DataObject) -> None:
        """Every float bit for bit, integers of any size, any text, arrays of any shape."""
        state = data.draw(st.dictionaries(st.text(max_size=8), records.any_values(), max_size=6))
        checkpoint = replace(records.checkpoint(1), state={"collector": state, "transformer.x": {}})
        with tempfile.TemporaryDirectory() as folder:
            repository = self.make(Path(folder))
            repository.begin(records.run("a"))
            repository.commit("a", checkpoint)
            found = self.make(Path(folder)).latest("a")
        records.same_checkpoint(checkpoint, found)

    @pytest.mark.parametrize("name", RESERVED)
    def test_a_name_that_is_reserved_elsewhere_is_not_given(
        self, tmp_path: Path, name: str
    ) -> None:
        """A store may be copied to any system: no file may have such a name on some."""
        repository = self.make(tmp_path)
        repository.publish(records.model("model"))
        for call in (
            lambda: repository.begin(records.run(name)),
            lambda: repository.begin(records.run("a", task=name)),
            lambda: repository.publish(records.model(name)),
        ):
            with pytest.raises(ConfigError, match=repr(name)):
                call()
        assert list(repository.runs()) == []
        assert [info.name for info in repository.models()] == ["model"]

    def test_names_that_differ_only_in_case_are_not_given(self, tmp_path: Path) -> None:
        """On some systems they are one file."""
        repository = self.make(tmp_path)
        repository.begin(records.run("run", task="model"))
        repository.publish(records.model("model"))
        for call in (
            lambda: repository.begin(records.run("RUN")),
            lambda: repository.begin(records.run("a", task="Model")),
            lambda: repository.publish(records.model("MODEL")),
        ):
            with pytest.raises(ConfigError, match="case"):
                call()
        assert repository.publish(records.model("model")).version == 2

    def test_one_at_a_time_holds_a_run(self, tmp_path: Path) -> None:
        """With `SupportsRunLocks`: a second one is refused, and told which process holds it."""
        first, second = self.make(tmp_path), self.make(tmp_path)
        if not (isinstance(first, SupportsRunLocks) and isinstance(second, SupportsRunLocks)):
            pytest.skip("it has no locks")
        for name in ("a", "b"):
            first.begin(records.run(name))
        first.acquire("a")
        with pytest.raises(ConfigError) as caught:
            second.acquire("a")
        assert "a" in caught.value.asked
        assert str(os.getpid()) in caught.value.asked
        assert socket.gethostname() in caught.value.asked
        second.acquire("b")
        second.release("b")
        first.release("a")
        first.release("a")
        second.acquire("a")
        second.release("a")

    def test_a_held_run_is_written_by_its_holder_and_read_by_all(self, tmp_path: Path) -> None:
        """With `SupportsRunLocks`: a lock keeps nobody from reading."""
        first = self.make(tmp_path)
        if not isinstance(first, SupportsRunLocks):
            pytest.skip("it has no locks")
        first.begin(records.run("a"))
        first.acquire("a")
        first.commit("a", records.checkpoint(1))
        assert [done.number for done in self.make(tmp_path).history("a")] == [1]
        first.finish("a", records.result(Status.FINISHED))
        first.release("a")
        assert (self.make(tmp_path).result("a") or {})["status"] == "FINISHED"

    def test_reading_writes_no_file(self, tmp_path: Path) -> None:
        """What reads changes no file below the folder, and no time of one."""
        repository = self.make(tmp_path)
        repository.begin(records.run("a"))
        repository.commit("a", records.checkpoint(1))
        repository.publish(records.model("model"))
        before = _times(tmp_path)
        reader = self.make(tmp_path)
        reader.runs(), reader.latest("a"), reader.history("a"), reader.result("a")
        reader.models(), reader.model("model")
        assert _times(tmp_path) == before


def _times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}
