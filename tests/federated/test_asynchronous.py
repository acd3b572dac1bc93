import random
from collections import Counter, deque
from dataclasses import replace

import pytest

from aeros_core import seeding
from aeros_core.errors import ConfigError, TaskError
from aeros_core.federated.asynchronous import AsynchronousRounds
from aeros_core.messages import Evaluation, Failure, Update
from aeros_core.tasks.control import Cancelled, Control
from aeros_core.tasks.round_counters import RoundCounters
from aeros_core.tasks.task import Task


class Buffered:
    """What `AsynchronousRounds` asks of a collector."""

    buffer = 2
    max_staleness = None


class Workers:
    """Nodes that reply one after the other, in the order in which they got work."""

    def __init__(self, population, reply):
        self.population, self.reply = population, reply
        self.queue = deque()
        self.most = 0
        self.told = []
        self.abandoned = 0

    def __len__(self):
        return self.population

    def name(self, number):
        return f"client-{number}"

    def dispatch(self, instructions):
        self.queue.extend(instructions)
        self.told.extend(instructions)
        self.most = max(self.most, len(self.queue))

    def receive(self, timeout):
        return self.reply(self.queue.popleft()) if self.queue else None

    def abandon(self):
        self.abandoned += 1
        self.queue.clear()


def good(told):
    return Update(told.node, told.round, told.parameters, 1, {"loss": 1.0}, delta=True)


@pytest.fixture
def busy():
    def make(reply=good, *, population=20, buffer=2, control=None, collector=None, **options):
        task = Task(**{"cohort": 5} | options)
        nodes = Workers(population, reply)
        breathe = (control or Control()).check
        return AsynchronousRounds(nodes, task, collector or Buffered(), buffer, breathe)

    return make


def test_as_many_nodes_are_at_work_as_the_cohort_is_large(busy, flat):
    made = busy()
    for number in range(1, 10):
        updates = list(made.step(number, flat(1, 2), RoundCounters()))
        assert len(updates) == 2
        assert len(made.at_work) == 4
    assert made.nodes.most == 5
    assert all(told.delta for told in made.nodes.told)


def test_no_node_is_given_work_twice_at_a_time(busy, flat):
    made = busy(population=6, cohort=5)
    for number in range(1, 30):
        list(made.step(number, flat(1, 2), RoundCounters()))
        waiting = Counter(told.node for told in made.nodes.queue)
        assert set(waiting.values()) == {1}
        assert set(waiting) == set(made.at_work)


def test_staleness_is_the_rounds_that_ended_meanwhile(busy, flat):
    """With five at work and two taken a round, the queue is two and a half rounds long."""
    made = busy()
    seen = [
        (update.round, update.scalars["staleness"])
        for number in range(1, 6)
        for update in made.step(number, flat(1, 2), RoundCounters())
    ]
    # at work after round 1: three of round 1 and one topped up in round 1, and so on
    assert seen == [(1, 0), (1, 0), (1, 1), (1, 1), (1, 2), (1, 2), (2, 2), (2, 2), (3, 2), (3, 2)]


def test_work_starts_from_the_parameters_of_its_round(busy, flat):
    made = busy()
    for number in range(1, 4):
        list(made.step(number, flat(number, 0), RoundCounters()))
    assert {(t.round, t.parameters.vector[0]) for t in made.nodes.told} == {(1, 1), (2, 2), (3, 3)}


def test_every_piece_of_work_has_a_seed_of_its_own(busy, flat):
    made = busy(population=2, cohort=1, buffer=6)
    list(made.step(1, flat(1, 2), RoundCounters()))
    seeds = [told.seed for told in made.nodes.told]
    assert len(set(seeds)) == len(seeds) == 6
    first = made.nodes.told[0]
    assert first.seed == seeding.seed(0, "train", 1, first.node)


def test_the_same_seed_gives_the_same_work(busy, flat):
    runs = []
    for seed in (1, 1, 2):
        made = busy(seed=seed)
        for number in range(1, 5):
            list(made.step(number, flat(1, 2), RoundCounters()))
        runs.append([told.node for told in made.nodes.told])
    assert runs[0] == runs[1] != runs[2]


def test_who_fails_makes_room_for_another(busy, flat):
    failing = iter([True, False, True, False])
    tally = RoundCounters()
    made = busy(lambda t: Failure(t.node, t.round, "no") if next(failing) else good(t))
    assert len(list(made.step(1, flat(1, 2), tally))) == 2
    assert sum(kinds["failed"] for kinds in tally.dropped.values()) == 2


def test_a_round_in_which_everybody_fails_ends(busy, flat):
    tally = RoundCounters()
    made = busy(lambda told: Failure(told.node, told.round, "no"))
    assert list(made.step(1, flat(1, 2), tally)) == []
    assert sum(kinds["failed"] for kinds in tally.dropped.values()) == 5


def test_updates_beyond_the_staleness_allowed_are_refused(busy, flat):
    class Strict(Buffered):
        max_staleness = 1

    made, tally = busy(collector=Strict()), RoundCounters()
    for number in range(1, 4):
        taken = list(made.step(number, flat(1, 2), tally))
        assert all(update.scalars["staleness"] <= 1 for update in taken)
    assert {"late": 1} in tally.dropped.values()


class Whole(Buffered):
    """One that asks for parameters."""

    whole = True


def test_a_collector_may_ask_for_whole_parameters(busy, flat):
    made, tally = busy(lambda t: replace(good(t), delta=False), collector=Whole()), RoundCounters()
    assert len(list(made.step(1, flat(1, 2), tally))) == 2
    assert not any(told.delta for told in made.nodes.told)
    assert list(busy(good, collector=Whole()).step(1, flat(1, 2), tally)) == []
    assert set(tally.refused.values()) == {"a difference where parameters were asked for"}


def test_whole_parameters_and_a_codec_do_not_go_together(busy):
    collector = Whole()
    collector.codec = object()
    with pytest.raises(ConfigError, match="a codec compresses differences") as caught:
        busy(collector=collector)
    assert caught.value.hint.startswith("leave the codec out")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (lambda t: Update(t.node, t.round, t.parameters, 1), "not an update"),
        (lambda t: Update("mallory", t.round, t.parameters, 1, delta=True), "not asked"),
        (lambda t: Update(t.node, t.round + 7, t.parameters, 1, delta=True), "other round"),
        (lambda t: Evaluation(t.node, t.round, 1, {}), "not an update"),
    ],
    ids=["whole", "stranger", "other round", "evaluation"],
)
def test_what_does_not_fit_is_refused(busy, flat, reply, kind):
    tally = RoundCounters()
    assert list(busy(reply).step(1, flat(1, 2), tally)) == []
    found = {kind for kinds in tally.dropped.values() for kind in kinds}
    assert found - {"no reply"} == {kind}  # those that were asked have not replied
    assert ("no reply" in found) is (kind in ("not asked", "other round"))


def test_nobody_waits_for_ever(busy, flat):
    class Silent(Workers):
        def receive(self, timeout):
            assert timeout == pytest.approx(3.0, abs=1.0)

    made, tally = busy(deadline=3.0), RoundCounters()
    made.nodes = Silent(20, good)
    assert list(made.step(1, flat(1, 2), tally)) == []
    assert made.nodes.abandoned == 1
    assert made.at_work == {}
    assert list(tally.refused.values()) == ["no reply within the deadline"] * 5


def test_it_can_be_cancelled_between_messages(busy, flat):
    control = Control()
    coming = iter(busy(control=control).step(1, flat(1, 2), RoundCounters()))
    next(coming)
    control.cancel()
    with pytest.raises(Cancelled):
        next(coming)


class Coming(Workers):
    """Nodes with data of their own that leave and come back; what one has fails once it is gone."""

    def __init__(self, population, seed, *, rare=0):
        super().__init__(population, good)
        self.names = [f"site-{number}" for number in range(population)]
        self.here = list(self.names)
        self.rng, self.rare, self.waits = random.Random(seed), rare, 0

    def __len__(self):
        if self.rng.random() < 0.1:
            self.here = [name for name in self.names if self.rng.random() < 0.6]
        return len(self.here)

    def name(self, number):
        return self.here[number]

    def receive(self, timeout):
        if not self.queue:
            return None
        self.queue.rotate(self.rng.randrange(3))
        told = self.queue.popleft()
        if told.node in self.here:
            return good(told)
        return Failure(told.node, told.round, "its executor is gone", "gone")

    def wait_for(self, count, check):
        self.waits += 1
        check()
        self.here = list(self.names)


@pytest.mark.parametrize("cohort", [None, 1, 2, 3])
@pytest.mark.parametrize("seed", range(30))
def test_nodes_that_leave_at_any_moment_hold_no_round_up(busy, flat, seed, cohort):
    """With ``task.cohort`` as large as the population, one that left made the draw endless."""
    made = busy(cohort=cohort)
    made.nodes = Coming(3, seed)
    for number in range(1, 60):
        tally = RoundCounters()
        taken = list(made.step(number, flat(1, 2), tally))
        assert len(taken) == 2, tally.dropped
        waiting = Counter(told.node for told in made.nodes.queue)
        assert set(waiting.values()) <= {1}
        assert len(made.at_work) <= 3


def test_a_node_that_is_gone_and_one_at_work_leave_nobody_to_draw(busy, flat):
    made = busy(cohort=3, buffer=1)
    made.nodes = nodes = Coming(3, 0)
    nodes.rng.random = lambda: 0.5  # nobody leaves by chance
    list(made.step(1, flat(1, 2), RoundCounters()))
    nodes.here = ["site-0", "site-1"]
    made.top_up(flat(1, 2), RoundCounters())
    assert len(made.at_work) <= 3
    assert Counter(told.node for told in nodes.queue).most_common(1)[0][1] == 1


def test_where_everybody_is_gone_it_waits_and_then_ends(busy, flat):
    class Lonely(Coming):
        def __len__(self):
            return len(self.here)

        def wait_for(self, count, check):
            assert count == 1
            check()
            raise TaskError("nobody is there")

    made = busy(cohort=3)
    made.nodes = Lonely(3, 0)
    coming = iter(made.step(1, flat(1, 2), RoundCounters()))
    next(coming)
    made.nodes.here = []
    with pytest.raises(TaskError, match="nobody is there"):
        next(coming)


@pytest.mark.parametrize(
    ("replies", "kinds"),
    [
        (lambda t: [good(t), good(t)], {"duplicate": 1}),
        (lambda t: [replace(good(t), round=t.round - 2), good(t)], {"late": 1}),
        (lambda t: [replace(good(t), round=t.round + 5), good(t)], {"other round": 1}),
        (lambda t: [replace(good(t), node="mallory"), good(t)], {"not asked": 1}),
    ],
    ids=["twice", "earlier", "later", "stranger"],
)
def test_what_nobody_asked_for_is_counted_as_what_it_is(busy, flat, replies, kinds):
    class Doubled(Workers):
        def receive(self, timeout):
            if not self.extra and self.queue:
                self.extra += replies(self.queue.popleft())
            return self.extra.popleft() if self.extra else None

    made = busy(cohort=1, population=1, buffer=1)
    made.nodes = Doubled(1, good)
    made.nodes.extra = deque()
    for number in range(1, 3):
        list(made.step(number, flat(1, 2), RoundCounters()))
    tally = RoundCounters()
    assert len(list(made.step(3, flat(1, 2), tally))) == 1
    assert list(tally.dropped.values()) == [kinds]


def test_what_nobody_asked_for_ends_no_round_and_keeps_none_open(busy, flat, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("aeros_core.federated.timing.time.monotonic", lambda: now[0])

    class Flood(Workers):
        def receive(self, timeout):
            now[0] += 0.1
            told = self.queue[0]
            return None if timeout <= 0 else replace(good(told), node="mallory")

    made, tally = busy(cohort=3, deadline=5.0), RoundCounters()
    made.nodes = Flood(20, good)
    assert list(made.step(1, flat(1, 2), tally)) == []
    assert tally.dropped["mallory"]["not asked"] > 10  # more than are at work: it went on
    assert 5 <= now[0] < 6  # and came to its end in time


def test_what_comes_after_the_deadline_is_late_not_a_stranger_s(busy, flat):
    class Slow(Workers):
        def receive(self, timeout):
            return None

        def abandon(self):
            """What was begun comes all the same."""

    made = busy(cohort=2, deadline=1.0)
    made.nodes = Slow(2, good)
    assert list(made.step(1, flat(1, 2), RoundCounters())) == []
    made.nodes.receive = lambda timeout: Workers.receive(made.nodes, timeout)
    tally = RoundCounters()
    assert len(list(made.step(2, flat(1, 2), tally))) == 2
    assert list(tally.dropped.values()) == [{"late": 1}, {"late": 1}]
