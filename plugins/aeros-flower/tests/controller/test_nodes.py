"""Whom instructions go to, what comes back, and what happens when executors are lost."""

import json
import time
from dataclasses import asdict

import numpy as np
import pytest

from aeros_core.data import Partition
from aeros_core.errors import TaskError
from aeros_core.messages import Evaluation, Failure, Instruction
from aeros_core.parameters import Parameters
from aeros_core.tasks import waiting
from aeros_core.tasks.control import Cancelled, Control
from aeros_core.tasks.infrastructure import Description, this_machine
from aeros_flower.controller.limits import Limits
from aeros_flower.controller.nodes import FlowerNodes
from aeros_flower.membership.executors import Executors
from aeros_flower.protocol import messages
from aeros_flower.superlink.embedded import PulledMessages

ELEMENT = asdict(this_machine(Description()))


class Post:
    """Executors that answer when they are told to."""

    def __init__(self):
        self.there, self.sent, self.answers, self.count = {}, {}, [], 0
        self.delivered = set()

    def nodes(self):
        return set(self.there)

    def push(self, node, content, seconds=None):
        if node not in self.there:
            return None
        self.count += 1
        message = f"m{self.count}"
        self.sent[message] = (node, content)
        if content["aeros"]["kind"] == "prepare":
            self.answers.append(
                PulledMessages(message, messages.pack_note("prepared", self.there[node]))
            )
        return message

    def pull(self, messages, most=1):
        found = [answer for answer in self.answers if answer.message in set(messages)][:most]
        self.answers = [answer for answer in self.answers if answer not in found]
        return found

    def recall(self, messages):
        return [m for m in messages if m not in self.delivered]

    def wait(self, seconds):
        time.sleep(0.001)
        return False

    # ------------------------------------------------------------ what executors do

    def come(self, number, name, **told):
        self.there[number] = {
            "name": name, "own": False, "versions": {}, "element": ELEMENT, **told,
        }  # fmt: skip

    def open(self):
        """Return what was sent and not yet answered: message, executor, instructions."""
        found = []
        for message, (node, content) in list(self.sent.items()):
            if content["aeros"]["kind"] == "instructions":
                found.append((message, node, messages.unpack_instructions(content)))
        return found

    def answer(self, message, replies=None):
        node, content = self.sent.pop(message)
        asked = messages.unpack_instructions(content)
        replies = replies or [Evaluation(i.node, i.round, 2, {"loss": float(node)}) for i in asked]
        self.answers.append(PulledMessages(message, messages.pack_replies(replies)))


@pytest.fixture
def post():
    made = Post()
    made.come(1, "a")
    made.come(2, "b")
    return made


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

        def sleep(self, seconds):
            self.now += seconds

        def perf_counter(self):
            return self.now

    made = Clock()
    for module in (
        "controller.nodes",
        "membership.assignment",
        "membership.backoff",
        "controller.pending_message",
        "membership.presence",
        "membership.executors",
    ):
        monkeypatch.setattr(f"aeros_flower.{module}.time", made)
    monkeypatch.setattr("aeros_core.tasks.waiting.time", made)
    monkeypatch.setattr(Post, "wait", lambda self, seconds: made.sleep(max(seconds, 1e-3)))
    return made


def made(post, clients=6, judge=lambda member: "", **limits):
    told = []
    roster = Executors(post, messages.pack_note("prepare", {}), judge, told.append)
    partition = Partition(np.arange(clients * 2), np.arange(clients + 1) * 2)
    nodes = FlowerNodes(post, roster, partition, limits=Limits(**limits))
    nodes.told, nodes.roster = told, roster
    assert len(nodes)  # looks who is there
    return nodes


PARAMETERS = Parameters.of({"w": np.zeros(4, "float32")})


def ask(*clients, number=1, parameters=PARAMETERS, **more):
    return [Instruction(number, f"client-{i}", parameters, **more) for i in clients]


def test_clients_of_one_executor_share_a_message(post):
    nodes = made(post)
    assert (len(nodes), nodes.name(5), nodes.sizes(np.array([0, 5])).tolist()) == (
        6, "client-5", [2, 2],
    )  # fmt: skip
    nodes.dispatch(ask(*range(6)))
    sent = post.open()
    assert sorted(node for _, node, _ in sent) == [1, 2]
    assert [len(told) for _, _, told in sent] == [3, 3]
    for message, _, _ in sent:
        post.answer(message)
    replies = [nodes.receive(5.0) for _ in range(6)]
    assert sorted(reply.node for reply in replies) == [f"client-{i}" for i in range(6)]
    assert nodes.receive(0.01) is None
    assert nodes.receive(None) is None  # nothing is to come


def test_a_client_goes_where_it_was(post):
    nodes = made(post)
    homes = []
    for number in (1, 2):
        nodes.dispatch(ask(*range(6), number=number))
        homes.append({i.node: node for _, node, told in post.open() for i in told})
        for message, _, _ in post.open():
            post.answer(message)
        for _ in range(6):
            nodes.receive(5.0)
    assert homes[0] == homes[1]


def test_large_models_travel_in_messages_of_their_own_and_no_more_than_the_window_allows(post):
    nodes = made(post, bundle=PARAMETERS.nbytes, window=2 * PARAMETERS.nbytes)
    nodes.dispatch(ask(*range(6)))
    most = 0
    for _ in range(6):
        sent = post.open()
        most = max(most, len(sent))
        assert all(len(told) == 1 for _, _, told in sent)
        post.answer(sent[0][0])
        assert nodes.receive(5.0) is not None
    assert most == 2


def test_what_a_lost_executor_had_goes_to_another(post):
    nodes = made(post)
    nodes.dispatch(ask(*range(4)))
    del post.there[1]
    for _ in range(2):
        assert nodes.receive(0.02) is None
    assert "executor a is gone" in nodes.told
    for message, node, _ in post.open():
        if node == 2:
            post.answer(message)
    found = [nodes.receive(5.0) for _ in range(4)]
    assert {reply.node for reply in found} == {f"client-{i}" for i in range(4)}
    assert {reply.metrics["loss"] for reply in found} == {2.0}


def test_an_executor_that_came_back_is_not_missed_first(post):
    del post.there[2]
    nodes = made(post)
    nodes.dispatch(ask(0))
    post.come(7, "a")  # killed and started again; Flower still believes in the first
    nodes.receive(0.02)
    assert [node for _, node, _ in post.open()] == [1, 7]


def test_an_instruction_is_not_sent_for_ever(post):
    del post.there[2]
    nodes = made(post, attempts=2)
    nodes.dispatch(ask(0))
    for number in (11, 12):
        post.there.clear()
        post.come(number, f"x{number}")
        reply = nodes.receive(0.05)
    assert reply == Failure("client-0", 1, "2 executors were lost while it trained")


def test_without_any_executor_clients_fail_in_time(post):
    nodes = made(post, patience=0.05)
    post.there.clear()
    nodes.dispatch(ask(0, 1))
    reply = nodes.receive(30.0)
    assert reply == Failure("client-0", 1, "no executor was there for 0.05 s", "gone")


def test_the_deadline_is_kept(post):
    nodes = made(post)
    nodes.dispatch(ask(0))
    began = time.monotonic()
    assert nodes.receive(0.05) is None
    assert time.monotonic() - began < 5


def test_what_is_given_up_comes_late_or_not_at_all(post):
    nodes = made(post)
    nodes.dispatch(ask(0, 1))
    (begun, _, told), (waiting, _, _) = post.open()
    post.delivered.add(begun)
    nodes.abandon()
    assert nodes.receive(0.02) is None
    post.answer(begun)
    nodes.dispatch(ask(3, number=2))
    late = nodes.receive(5.0)
    assert (late.node, late.round) == (told[0].node, 1)
    del post.sent[waiting]
    post.answer(post.open()[0][0])
    assert nodes.receive(5.0).round == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (messages.pack_replies([]), "its executor sent no reply for it"),
        (messages.pack_note("refused", {"reason": "too hot"}), "its executor refused: too hot"),
        (messages.pack_note("poem", {}), "a message of kind 'poem', not 'replies'"),
        (
            messages.pack_replies([Evaluation("client-9", 1, 1, {})]),
            "its executor sent no reply for it",
        ),
    ],
)
def test_an_answer_that_is_none_fails_its_clients_with_the_reason(post, content, reason):
    nodes = made(post)
    nodes.dispatch(ask(0))
    ((message, _, _),) = post.open()
    post.answers.append(PulledMessages(message, content))
    assert nodes.receive(5.0) == Failure("client-0", 1, reason)


def test_executors_with_data_of_their_own_are_clients_by_name(post):
    post.come(3, "hospital", own=True, examples=40)
    post.come(4, "clinic", own=True, examples=4)
    nodes = made(post)
    assert [nodes.name(i) for i in range(len(nodes))] == ["clinic", "hospital"]
    assert nodes.sizes(np.array([0, 1])).tolist() == [4, 40]
    nodes.dispatch([Instruction(1, "hospital", PARAMETERS), Instruction(1, "clinic", PARAMETERS)])
    assert {told[0].node: node for _, node, told in post.open()} == {"hospital": 3, "clinic": 4}


def test_who_cannot_take_part_is_named_and_left_alone(post):
    judge = lambda member: "too old" if member.name == "a" else ""  # noqa: E731
    nodes = made(post, judge=judge)
    assert nodes.roster.unfit == {"a": "too old"}
    noted = [(node, c) for node, c in post.sent.values() if c["aeros"]["kind"] == "refused"]
    assert [(n, messages.unpack_note(c, "refused")["reason"]) for n, c in noted] == [(1, "too old")]
    [message] = [m for m, (_, c) in post.sent.items() if c["aeros"]["kind"] == "refused"]
    post.answers.append(PulledMessages(message, messages.pack_note("heard", {"name": "a"})))
    nodes.roster.refresh()
    assert post.answers == []
    nodes.dispatch(ask(*range(4)))
    assert {node for _, node, _ in post.open()} == {2}


def test_who_says_nonsense_of_itself_is_left_alone(post):
    post.come(3, 5)
    post.come(4, "d", element={"name": "x"})
    nodes = made(post)
    assert set(nodes.roster.unfit) == {"node 3", "node 4"}
    assert {m.name for m in nodes.roster.fit} == {"a", "b"}


def test_who_is_silent_again_and_again_rests(post):
    nodes = made(post)
    nodes.dispatch(ask(0, 1))
    post.delivered |= {message for message, _, _ in post.open()}
    ((message, node, _), _) = post.open()
    post.answer(message)
    nodes.receive(5.0)
    nodes.abandon()
    assert [m.number for m in nodes.roster.fit] == [node]
    nodes.dispatch(ask(0, 1, number=2))
    assert {n for _, n, told in post.open() if told[0].round == 2} == {node}


def test_who_never_asks_for_its_messages_costs_less_and_less(post, clock):
    """A frozen executor: every round without it takes a second, every one with it ten."""
    nodes, asked = made(post), []
    for number in range(1, 60):
        nodes.dispatch(ask(0, 1, number=number))
        frozen = False
        for message, node, _ in post.open():
            if node == 1:
                post.answer(message)
            else:
                frozen = True
        while nodes.receive(0) is not None:
            pass
        clock.now += 10.0 if frozen else 1.0
        nodes.abandon()
        post.sent.clear()
        if frozen:
            asked.append(number)
    assert asked[0] == 1
    gaps = np.diff(asked).tolist()
    assert gaps == [11, 21, 41][: len(gaps)]
    assert len(gaps) == 2


def test_who_could_not_ask_yet_is_not_silent(post, clock):
    nodes = made(post)
    nodes.dispatch(ask(0, 1))
    clock.now += 0.2  # enough others have replied
    nodes.abandon()
    assert {m.name for m in nodes.roster.fit} == {"a", "b"}


def test_a_round_strikes_once_however_many_messages_it_sent(post, clock):
    nodes = made(post, bundle=1)
    nodes.dispatch(ask(*range(6)))
    assert len(post.open()) > 2
    clock.now += 10.0
    nodes.abandon()
    assert {m.rest.strikes for m in nodes.roster.members.values()} == {1}


def test_who_dies_and_comes_again_rests_all_the_same(post, clock):
    nodes = made(post)
    nodes.dispatch(ask(0, 1))
    clock.now += 3.0
    del post.there[2]
    nodes.receive(0)
    post.come(7, "b")
    nodes.receive(0)
    assert nodes.roster.members[7].rest.strikes == 1
    assert [m.name for m in nodes.roster.fit] == ["a"]
    clock.now += 3.0
    assert [m.name for m in nodes.roster.fit] == ["a", "b"]


def test_who_comes_again_before_it_is_missed_takes_its_place_and_rests(post, clock):
    nodes = made(post)
    nodes.dispatch(ask(0, 1))
    post.come(7, "b")
    nodes.receive(0)
    assert {(m.number, m.rest.strikes) for m in nodes.roster.members.values()} == {(1, 0), (7, 1)}
    assert (
        "executor b came again, in place of the one before; two at a time need two names"
        in nodes.told
    )
    assert {node for _, node, _ in post.open()} == {1, 2}  # 7 rests, so 1 has all of it
    post.sent.clear()


def test_an_answer_in_time_ends_the_strikes(post, clock):
    nodes = made(post)
    for number, late in ((1, True), (2, False)):
        nodes.dispatch(ask(0, 1, number=number))
        clock.now += 2.0
        if not late:
            for message, _, _ in post.open():
                post.answer(message)
            while nodes.receive(0) is not None:
                pass
        nodes.abandon()
        post.sent.clear()
        clock.now += 5.0
    assert {m.rest.strikes for m in nodes.roster.members.values()} == {0}


def test_who_is_waited_for_is_told_once_a_minute(post, clock):
    nodes = made(post)
    nodes.dispatch(ask(0, 1))
    post.answer(post.open()[0][0])
    assert nodes.receive(0) is not None
    for _ in range(100):
        clock.now += 1.3
        nodes.receive(0.001)
    told = [line for line in nodes.told if "waits for" in line]
    assert len(told) == 2
    assert told[0] == (
        "round 1 waits for b, nothing came for a minute; task.deadline=SECONDS would go on without"
    )


def test_a_name_is_its_key_s(post):
    named = {1: "a", 2: "edge-8", 3: "edge-9"}
    post.come(2, "a")  # calls itself what another is
    post.come(3, "flower-0")  # has no name of its own
    told = []
    roster = Executors(
        post, messages.pack_note("prepare", {}), lambda member: "", told.append, admitted=named.get
    )
    roster.refresh()
    assert {m.name: m.number for m in roster.members.values()} == {"a": 1, "edge-9": 3}
    assert roster.unfit == {
        "edge-8": "it calls itself a, and its key is that of edge-8, so --name edge-8"
    }
    noted = [(node, c) for node, c in post.sent.values() if c["aeros"]["kind"] == "refused"]
    assert [(n, messages.unpack_note(c, "refused")["reason"]) for n, c in noted] == [
        (2, roster.unfit["edge-8"])
    ]
    assert told[1] == (
        "executor edge-8 cannot take part: it calls itself a, and its key is that of edge-8"
    )


def test_a_controller_that_goes_on_knows_the_session_and_who_was_where(post):
    first, second = made(post), made(post)
    first.dispatch(ask(*range(4)))
    second.restore(first.state())
    assert second.state() == first.state()
    second.restore({})  # of a run that began elsewhere
    assert second.state()["session"] == first.state()["session"]


@pytest.mark.parametrize(
    ("replies", "kinds"),
    [
        (["client-0", "client-0"], [("client-0", "duplicate")]),
        (["client-0"] * 3, [("client-0", "duplicate")] * 2),
        (["client-0", "client-1"], [("a", "not its own")]),
        (["client-1", "", "x" * 10**6], [("a", "not its own")] * 3),
        (["client-0", *(["client-0"] * 10**4)], [("client-0", "duplicate")] * 1000),
    ],
    ids=["twice", "three times", "another's", "strangers'", "flood"],
)
def test_what_nobody_asked_for_is_counted_once(post, replies, kinds):
    """An executor speaks for those clients alone that it was asked for."""
    del post.there[2]
    nodes = made(post)
    nodes.dispatch(ask(0))
    ((message, _, _),) = post.open()
    post.answer(message, [Evaluation(node, 1, 1, {}) for node in replies])
    if "client-0" in replies:
        assert nodes.receive(1.0) == Evaluation("client-0", 1, 1, {})
    else:
        assert nodes.receive(1.0).reason == "its executor sent no reply for it"
    assert nodes.receive(0.01) is None
    found = nodes.refusals()
    assert [(name, refusal.kind) for name, refusal in found] == kinds
    assert all(len(refusal.text) < 200 for _, refusal in found)
    assert nodes.refusals() == []


def test_one_that_answers_for_another_s_client_takes_nothing_from_it(post):
    nodes = made(post)
    nodes.dispatch(ask(0, 1))
    (first, _, (mine,)), (second, _, (theirs,)) = post.open()
    post.answer(first, [Evaluation(theirs.node, 1, 1, {"loss": 666.0})])
    assert nodes.receive(1.0) == Failure(mine.node, 1, "its executor sent no reply for it")
    post.answer(second)
    assert nodes.receive(1.0).metrics["loss"] != 666.0


@pytest.mark.parametrize("number", [0, 1, 3, 10**9])
def test_a_reply_for_another_round_is_told_as_what_it_is(post, number):
    """It took no time until the deadline: without one the round waited for ever."""
    nodes = made(post)
    nodes.dispatch(ask(0, number=2))
    ((message, _, _),) = post.open()
    post.answer(message, [Evaluation("client-0", number, 1, {})])
    why = f"a reply for round {number}, where round 2 was asked for"
    assert nodes.receive(None) == Failure("client-0", 2, why, "other round")


def test_what_comes_late_ends_no_rest(post):
    del post.there[2]
    nodes = made(post)
    nodes.dispatch(ask(0))
    ((message, _, _),) = post.open()
    post.delivered.add(message)
    nodes.abandon()
    post.answer(message)
    assert nodes.receive(1.0).round == 1
    assert nodes.roster.members[1].rest.strikes == 1


def test_a_client_that_keeps_something_waits_for_its_executor_to_come_back(post):
    nodes = made(post, clients=2)
    nodes.dispatch(ask(0, 1, personal=("w",)))
    nodes.abandon()
    for message, _, _ in post.open():
        post.sent.pop(message)
    del post.there[1]
    nodes.dispatch(ask(0, 1, number=2, personal=("w",)))
    assert nodes.receive(0.01) is None
    assert [(node, [told.node for told in asked]) for _, node, asked in post.open()] == [
        (2, ["client-1"])
    ]
    post.come(7, "a")
    assert nodes.receive(0.7) is None
    assert {(node, asked[0].node) for _, node, asked in post.open()} == {
        (2, "client-1"), (7, "client-0"),
    }  # fmt: skip


def own(post, *names):
    """Have executors with data of their own there, and no others."""
    post.there.clear()
    for number, name in enumerate(names, 11):
        post.come(number, name, own=True, examples=5)


def clients(*names, number=1):
    return [Instruction(number, name, PARAMETERS) for name in names]


def test_what_one_has_alone_goes_to_nobody_else_while_it_is_gone(post, clock):
    own(post, "clinic", "hospital")
    nodes = made(post)
    nodes.dispatch(clients("clinic", "hospital"))
    del post.there[12]
    for _ in range(20):
        assert nodes.receive(0.01) is None
    assert {n: [t.node for t in told] for _, n, told in post.open()} == {
        11: ["clinic"], 12: ["hospital"],  # which was sent before
    }  # fmt: skip
    post.come(13, "hospital", own=True, examples=5)
    for _ in range(20):
        nodes.receive(0.01)
    assert [(n, t.node) for _, n, told in post.open() for t in told][-1] == (13, "hospital")


def test_what_one_has_alone_fails_once_it_is_gone_for_long(post, clock):
    own(post, "clinic", "hospital")
    nodes = made(post)
    nodes.dispatch(clients("clinic", "hospital"))
    post.answer(next(message for message, node, _ in post.open() if node == 11))
    assert nodes.receive(1.0).node == "clinic"
    del post.there[12]
    began = clock.now
    failed = nodes.receive(None)
    assert (failed.node, failed.kind) == ("hospital", "gone")
    assert failed.reason == "its executor, which alone has its data, was not there for 30 s"
    assert clock.now - began < 35
    assert [nodes.name(i) for i in range(len(nodes))] == ["clinic"]


def test_with_all_gone_its_clients_are_not_those_of_the_partition(post, clock):
    own(post, "clinic")
    nodes = made(post)
    assert [nodes.name(i) for i in range(len(nodes))] == ["clinic"]
    post.there.clear()
    assert len(nodes) == 0
    post.come(21, "clinic", own=True, examples=5)
    nodes.roster.refresh()
    assert [nodes.name(i) for i in range(len(nodes))] == ["clinic"]


@pytest.mark.parametrize("first", [True, False])
def test_the_other_kind_of_executor_stands_aside_and_is_told_why(post, first):
    post.there.clear()
    post.come(1, "first", own=first, examples=5)
    nodes = made(post)
    before = len(nodes)
    post.come(2, "second", own=not first, examples=5)
    nodes.roster.refresh()
    assert len(nodes) == before
    assert set(nodes.roster.aside) == {"second"}
    [why] = [messages.unpack_note(c, "refused")["reason"] for n, c in post.sent.values() if n == 2
             and c["aeros"]["kind"] == "refused"]  # fmt: skip
    assert ("has data of its own" if first is False else "no data of its own") in why


def test_the_wait_for_executors_is_told_and_ends(post, clock):
    own(post, "clinic", "hospital")
    nodes = made(post, patience=150.0)
    post.there.clear()
    nodes.roster.refresh()
    began = clock.now
    with pytest.raises(TaskError, match="0 of 1 executor that a round needs") as ended:
        nodes.wait_for(1, lambda: None)
    assert 150 <= clock.now - began < 152
    assert "gone: clinic, hospital; waited 150 s for them" in str(ended.value)
    assert "task.resume=true; controller.wait=SECONDS waits longer" in str(ended.value)
    assert len([line for line in nodes.told if line.startswith("waits for executors: 0 of 1")]) == 3


def test_the_wait_for_executors_ends_when_they_come(post, clock):
    own(post, "clinic", "hospital")
    nodes = made(post)
    post.there.clear()
    seen = []

    def check():
        seen.append(clock.now)
        if len(seen) == 20:
            post.come(31, "clinic", own=True, examples=5)

    nodes.wait_for(1, check)
    assert [nodes.name(i) for i in range(len(nodes))] == ["clinic"]
    assert max(np.diff(seen)) <= 1.0


def test_the_wait_for_executors_is_cancelled(post, clock):
    own(post, "clinic")
    nodes, control = made(post, patience=1e9), Control()
    post.there.clear()

    def check():
        if clock.now > 1100:
            control.cancel()
        control.check()

    with pytest.raises(Cancelled):
        nodes.wait_for(1, check)
    assert clock.now < 1103


def test_a_wait_for_replies_hears_a_cancellation_and_a_pause(post, clock):
    nodes, control = made(post), Control()
    nodes.dispatch(ask(0, 1))

    def check():
        if 1100 < clock.now < 1200:
            clock.now += 500.0  # it is paused: no deadline passes
        if clock.now > 1700:
            control.cancel()
        control.check()

    with waiting.hearing(check):
        assert nodes.receive(200.0) is None
        assert 1700 <= clock.now < 1703
        with pytest.raises(Cancelled):
            nodes.receive(None)
    assert clock.now < 1706


def test_who_is_gone_is_waited_for_aloud(post, clock):
    own(post, "clinic")
    nodes = made(post, patience=200.0)
    nodes.dispatch(clients("clinic"))
    post.there.clear()
    assert nodes.receive(None).kind == "gone"
    told = [line for line in nodes.told if "waits for" in line]
    assert told == ["waits for executors: none is there; gone: clinic"] * 4  # at once, each minute


def test_who_is_left_of_those_that_are_gone_is_waited_for_as_before(post, clock):
    own(post, "clinic", "hospital")
    nodes = made(post, homecoming=200.0)
    nodes.dispatch(clients("clinic", "hospital"))
    del post.there[max(post.there)]
    for _ in range(50):
        clock.now += 1.3
        nodes.receive(0.001)
    [told] = [line for line in nodes.told if "waits for" in line]
    assert told.startswith("round 1 waits for clinic, nothing came for a minute")


def test_one_that_never_says_whether_it_can_take_part_keeps_nobody(post, clock, monkeypatch):
    """It answers no preparation and is there: what waits for an executor fails all the same."""
    nodes = made(post, patience=100.0)
    post.there.clear()
    nodes.dispatch(ask(0))
    nodes.receive(0)
    monkeypatch.setattr(post, "answers", Deaf())
    post.come(9, "deaf")
    began = clock.now
    assert nodes.receive(None).kind == "gone"
    assert clock.now - began < 1000


class Deaf(list):
    """Answers that nobody gives."""

    def append(self, answer):
        """Keep none."""


def test_a_client_never_claims_more_examples_than_its_partition_has(post):
    nodes = made(post)
    nodes.dispatch(ask(0, 1))
    for message, _, asked in post.open():
        post.answer(message, [Evaluation(i.node, 1, 10**15, {"loss": 0.0}) for i in asked])
    replies = [nodes.receive(5.0) for _ in range(2)]
    assert {(reply.node, reply.kind) for reply in replies} == {
        ("client-0", "examples"), ("client-1", "examples"),
    }  # fmt: skip
    told = "claims 1000000000000000 examples, and stated 2 when it joined"
    assert {reply.reason for reply in replies} == {told}


def test_an_executor_with_data_of_its_own_claims_no_more_than_it_stated(post):
    for number, name in ((1, "a"), (2, "b"), (3, "late")):
        post.come(number, name, own=True, examples=10)
    nodes = made(post)
    nodes.dispatch([Instruction(1, name, PARAMETERS) for name in ("a", "b", "late")])
    claims = {"a": 10, "b": 11, "late": 10**15}
    for message, _, asked in post.open():
        post.answer(message, [Evaluation(i.node, 1, claims[i.node], {}) for i in asked])
    replies = {r.node: r for r in (nodes.receive(5.0) for _ in range(3))}
    assert isinstance(replies["a"], Evaluation)
    assert replies["b"].kind == replies["late"].kind == "examples"


def unreadable(roster):
    return {name: why for name, why in roster.unfit.items() if "unreadable" in why}


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"name": "edge\nexecutor b takes part"}, "control characters"),
        ({"name": "x" * 101}, "101 characters"),
        ({"name": "x" * 10**6}, "1000000 characters"),
        ({"name": ""}, "0 characters"),
        ({"versions": {"a\x1b[2J": "1"}}, "control characters"),
        ({"versions": {"a": 7}}, "a name is int"),
        ({"versions": {f"p{i}": "1" for i in range(200_000)}}, "more than 100000 things"),
        ({"examples": 10**30}, "no number from 0 to 2^53"),
        ({"examples": -1}, "no number from 0 to 2^53"),
        ({"examples": True}, "examples is bool"),
        ({"more": "y" * 10_001}, "10001 characters"),
        ({"more": json.loads("[" * 40 + "]" * 40)}, "deeper than 16"),
    ],
)
def test_an_executor_that_says_too_much_of_itself_takes_no_part(told, why):
    post = Post()
    post.come(1, "good")
    post.come(2, told.pop("name", "bad"), **told)
    nodes = made(post)
    assert [member.name for member in nodes.roster.fit] == ["good"]
    (found,) = unreadable(nodes.roster).values()
    assert why in found
    assert found.isprintable()


def test_whatever_an_executor_says_its_schema_is_ends_no_run():
    def judge(member):
        return ", ".join(member.told["schema"]["fields"].keys())

    post = Post()
    post.come(1, "bad", schema={"fields": [1]})
    post.come(2, "good", schema={"fields": {}})
    nodes = made(post, judge=judge)
    assert [member.name for member in nodes.roster.fit] == ["good"]
    assert "incomplete" in nodes.roster.unfit["bad"]


def test_an_error_of_an_executor_is_shown_as_one_line():
    post = Post()
    post.come(1, "bad", error="no data\nround 9/9 accuracy 1.0" + "z" * 9000)
    post.come(2, "good", error="")
    nodes = made(post, judge=lambda member: member.told["error"])
    assert nodes.roster.unfit["bad"].startswith("no data round 9/9 accuracy 1.0zz")
    assert len(nodes.roster.unfit["bad"]) < 2100
