"""Each rule of a site's policy, broken and kept by messages as a controller sends them."""

import json
import time

import numpy as np
import pytest

pytest.importorskip("flwr")

from aeros_core.config import store as configuration
from aeros_core.messages import Action, Failure, Instruction
from aeros_core.parameters import Parameters
from aeros_core.records import Model
from aeros_core.roles.disclosure import Disclosure
from aeros_core.schema import Field, Schema
from aeros_flower.executor.executor import Executor
from aeros_flower.protocol import messages, preparation
from aeros_flower.protocol.executor_info import ExecutorInfo
from aeros_flower.protocol.message_content import kind_of
from aeros_flower.site import log
from aeros_flower.site.log import NAME

SCORED = Schema(
    (Field("point", "float32", (2,)), Field("label", "int64", (), categories=("a", "b", "c"))),
    target="label",
)
WEIGHTS = Parameters.of({"weight": np.zeros((2, 3), "float32"), "bias": np.zeros(3, "float32")})


class Site:
    """An executor in this process, asked as a controller asks it."""

    def __init__(self, folder, policy="", **options):
        self.folder, self.said = folder, []
        file = folder / "policy.yaml"
        if policy is not None:
            file.write_text(policy)
            file.chmod(0o600)
        self.place = ExecutorInfo("edge", state=folder / "state", policy=policy and file, **options)
        self.restart()

    def restart(self):
        self.executor = Executor(self.place, tell=self.said.append)

    def prepare(self, model=None, **config):
        asked = preparation.pack_preparation("", config, model)
        return messages.unpack_note(self.executor.answer(asked), "prepared")

    def ask(self, action=Action.TRAIN, round=1, nodes=("client-0",), parameters=None, **more):
        given = WEIGHTS if parameters is None else parameters
        told = [Instruction(round, node, given, action, **more) for node in nodes]
        answer = self.executor.answer(messages.pack_instructions(told, "session"))
        if kind_of(answer) == "refused":
            return [Failure("", round, messages.unpack_note(answer, "refused")["reason"])]
        return messages.unpack_replies(answer, given.layout)

    @property
    def lines(self):
        return [line for line in log.read(self.folder / "state" / NAME) if line]

    def of(self, event):
        return [line for line in self.lines if line["event"] == event]


@pytest.fixture
def site(toy, tmp_path):
    return lambda policy="", **options: Site(tmp_path, policy, **options)


def task(registry, *, clients=1, examples=40, steps=("blobs", "even", "scale"), **options):
    """Return the configuration that a controller sends."""
    words = {"blobs": {"examples": examples}, "even": {"clients": clients}}

    def node(group, name, **more):
        return (
            configuration.plain(configuration.structured(registry.options[group, name].config))
            | more
        )

    return {
        "task": {"name": "toy", "rounds": 1, **options.pop("task", {})},
        "transformer": {s: node("transformer", s, **words.get(s, {})) for s in steps},
        "trainer": node("trainer", "linear", **options),
        "collector": {"codec": None},
    }


def stored(registry, **transformers):
    return Model("toy", WEIGHTS, SCORED, {}, transformers, inputs=SCORED)


def refused(site, told, rule, line):
    """A rule refuses: the controller is told its name alone, the site's person all of it."""
    reason = told if isinstance(told, str) else told["error"]
    assert reason.startswith(f"the site's policy does not allow this ({rule}); reference "), reason
    reference = reason.split("reference ")[1].split()[0]
    [found] = [entry for entry in site.of("refused") if entry["reference"] == reference]
    assert found["rule"] == rule
    assert line in found["text"]
    assert any(line in said for said in site.said)
    return found


def test_a_task_that_trains_is_allowed_by_default_and_each_thing_that_left_is_logged(site, toy):
    edge = site(None)
    told = edge.prepare(**task(toy))
    assert told["error"] == ""
    [update] = edge.ask()
    [evaluation] = edge.ask(Action.EVALUATE)
    assert (update.examples, evaluation.examples) == (40, 40)
    assert [line["kind"] for line in edge.of("sent")] == ["prepared", "update", "evaluation"]
    for line in edge.of("sent"):
        assert line["bytes"] > 0
        assert (line["rows"], line["task"], line["executor"]) == (40, "toy", "edge")
    assert edge.of("sent")[2]["metrics"] == ["accuracy", "loss"]
    assert [line["kind"] for line in edge.of("allowed")] == ["task"]


def test_kinds_of_sub_task(site, toy):
    edge = site("tasks: [train]")
    federated = {"task": {"evaluation": {"federated": True}}}
    refused(edge, edge.prepare(**task(toy, **federated)), "tasks", "tasks: [train, evaluate]")
    assert edge.prepare(**task(toy))["error"] == ""
    [reply] = edge.ask(Action.EVALUATE)  # it was not said beforehand
    refused(edge, reply.reason, "tasks", "tasks: [train, evaluate]")
    assert not isinstance(edge.ask()[0], Failure)


def test_inference_is_refused_by_default_and_allowed_by_a_line(site, toy):
    config = {"task": {"name": "ask"}, "transformer": task(toy)["transformer"],
              "inferencer": {"_target_": "toy_parts.Scores"}}  # fmt: skip
    edge = site(None)
    said = refused(edge, edge.prepare(stored(toy), **config), "tasks", "[train, evaluate, infer]")
    assert "a policy file, named with --policy FILE" in said["text"]
    edge = site("tasks: [train, evaluate, infer]")
    assert edge.prepare(stored(toy), **config)["error"] == ""
    [scores] = edge.ask(Action.INFER)
    assert scores.metrics
    assert not scores.outputs


@pytest.mark.parametrize(
    ("rule", "name"),
    [("trainers", "linear"), ("transformers", "scale"), ("models", "steep"), ("codecs", "coarse")],
)
def test_names_of_parts(site, toy, rule, name):
    config = task(toy, model={"_target_": "toy_parts.Steep", "slope": 1.0})
    config["collector"]["codec"] = {"_target_": "toy_parts.Coarse", "step": 0.01}
    others = {"transformers": "[blobs, even]"}.get(rule, "[other]")
    edge = site(f"{rule}: {others}")
    refused(edge, edge.prepare(**config), rule, f"{rule}: {others[:-1]}, {name}]")
    edge = site(f"{rule}: {others[:-1]}, '{name[:3]}*']")
    assert edge.prepare(**config)["error"] == ""


def test_names_of_inferencers_and_of_a_models_own_steps(site, toy):
    config = {"transformer": task(toy, steps=["blobs"])["transformer"],
              "inferencer": {"_target_": "toy_parts.Scores"}}  # fmt: skip
    infer = "tasks: [infer]\n"
    edge = site(infer + "inferencers: [other]")
    refused(edge, edge.prepare(stored(toy), **config), "inferencers", "[other, scores]")
    edge = site(infer + "transformers: [blobs]")
    model = stored(toy, thin={"_target_": "toy_parts.Thin"})
    refused(edge, edge.prepare(model, **config), "transformers", "[blobs, thin]")
    edge = site(infer + "inferencers: [scores]\ntransformers: [blobs, thin]")
    assert edge.prepare(model, **config)["error"] == ""


def test_algorithms_of_a_task(site, toy):
    pins = {"task": {"algorithms": {"half": {"version": "1.0", "sha256": "0" * 64}}}}
    edge = site(None)
    assert edge.prepare(**task(toy, **pins))["error"] == ""  # its collector's, not the node's
    brought = task(toy, **pins) | {"trainer": {"_target_": "half.Trainer"}}
    refused(edge, edge.prepare(**brought), "signers", "signers: [ID]")
    told = site("signers: [owner]").prepare(**brought)["error"]
    assert told.startswith(
        "a part that the task names is not registered on this executor (trainer)"
    )


def test_predictions(site, toy):
    config = {"task": {"name": "ask", "collect": "predictions"},
              "transformer": task(toy)["transformer"],
              "inferencer": {"_target_": "toy_parts.Scores"}}  # fmt: skip
    edge = site("tasks: [infer]")
    refused(edge, edge.prepare(stored(toy), **config), "predictions", "predictions: true")
    edge = site("tasks: [infer]\npredictions: true")
    assert edge.prepare(stored(toy), **config)["error"] == ""
    [scores] = edge.ask(Action.INFER)
    assert scores.outputs["row"].tolist() == list(range(40)) or len(scores.outputs["row"]) == 80


def test_explanations(site, toy):
    config = {"transformer": task(toy)["transformer"],
              "inferencer": {"_target_": "toy_parts.Scores", "explain": "gradients"}}  # fmt: skip
    edge = site("tasks: [infer]")
    refused(edge, edge.prepare(stored(toy), **config), "explanations", "explanations: true")
    edge = site("tasks: [infer]\nexplanations: true")
    assert "policy" not in edge.prepare(stored(toy), **config)["error"]  # there is no such option


def test_fewest_rows(site, toy):
    edge = site("least_rows: 41")
    said = refused(edge, edge.prepare(**task(toy)), "least_rows", "least_rows: 40")
    assert "40 rows" in said["text"]
    edge = site("least_rows: 40")
    assert edge.prepare(**task(toy))["error"] == ""


def test_the_client_with_fewest_rows_decides(site, toy):
    edge = site("least_rows: 11")
    refused(edge, edge.prepare(**task(toy, clients=4)), "least_rows", "least_rows: 10")


def test_kinds_of_information(site, toy, toys, monkeypatch):
    edge = site("disclosures: [counts, sums]")
    told = refused(edge, edge.prepare(**task(toy)), "disclosures", "[counts, sums, updates]")
    assert "trainer sends updates" in told["text"]
    edge = site("disclosures: [updates]")
    refused(edge, edge.prepare(**task(toy)), "disclosures", "[counts, sums, updates]")
    edge = site(None)
    monkeypatch.delattr(toys.Linear, "discloses")
    refused(edge, edge.prepare(**task(toy)), "disclosures", "undeclared")


def test_a_metric_of_a_kind_that_is_not_allowed_stays(site, toy, toys, monkeypatch):
    edge = site(None)
    assert edge.prepare(**task(toy))["error"] == ""
    values = {"loss": 0.5, "income.max": 987654.25}
    monkeypatch.setattr(toys.Linear, "evaluate", lambda *_: values)
    for action in (Action.TRAIN, Action.EVALUATE):
        [reply] = edge.ask(action)
        assert reply.metrics == {"loss": 0.5}
    assert "metric income.max is of kind extremes" in edge.of("refused")[0]["text"]
    assert "987654" not in (edge.folder / "state" / NAME).read_text()


def test_smallest_count(site, toy):
    edge = site("smallest_count: 11")
    assert edge.prepare(**task(toy, clients=4))["error"] == ""
    for action in (Action.TRAIN, Action.EVALUATE):
        [reply] = edge.ask(action)
        refused(edge, reply.reason, "smallest_count", "smallest_count: 10")
    edge = site("smallest_count: 10")
    edge.prepare(**task(toy, clients=4))
    assert edge.ask()[0].examples == 10


def test_one_row_is_never_a_figure_by_default(site, toy):
    held = {"evaluation": {"federated": True, "holdout": 0.01}}
    edge = site(None)
    assert edge.prepare(**task(toy, task=held))["error"] == ""
    [reply] = edge.ask(Action.EVALUATE)
    refused(edge, reply.reason, "smallest_count", "smallest_count: 1")


def test_rounds_that_a_task_announces(site, toy):
    edge = site("most_rounds: 2")
    refused(edge, edge.prepare(**task(toy, task={"rounds": 3})), "most_rounds", "most_rounds: 3")
    assert edge.prepare(**task(toy, task={"rounds": 2}))["error"] == ""


def test_rounds_are_counted_whatever_the_controller_calls_them(site, toy):
    """Neither another round's number, nor a new name, nor a restart gives more of them."""
    edge = site("most_rounds: 2")
    edge.prepare(**task(toy))
    assert not isinstance(edge.ask(round=1)[0], Failure)
    assert not isinstance(edge.ask(round=1)[0], Failure)
    [reply] = edge.ask(round=1)
    refused(edge, reply.reason, "most_rounds", "most_rounds: 4")
    again = task(toy, task={"name": "another", "seed": 7})
    refused(edge, edge.prepare(**again), "most_rounds", "most_rounds: 4")
    edge.restart()
    refused(edge, edge.prepare(**again), "most_rounds", "most_rounds: 4")


def test_parts_of_a_round_count_as_parts(site, toy):
    edge = site("most_rounds: 1")
    edge.prepare(**task(toy, clients=4))
    for number in range(4):
        assert not isinstance(edge.ask(nodes=[f"client-{number}"])[0], Failure)
    assert isinstance(edge.ask(nodes=["client-0"])[0], Failure)


def test_evaluations_are_counted_too(site, toy):
    """Otherwise a controller could ask for figures of any number of models."""
    edge = site("most_rounds: 2")
    edge.prepare(**task(toy))
    found = [isinstance(edge.ask(Action.EVALUATE)[0], Failure) for _ in range(3)]
    assert found == [False, False, True]


def test_seconds_interrupt_a_client_and_last_over_a_restart(site, toy):
    edge = site("most_seconds: 2")
    edge.prepare(**task(toy, pause=600.0))
    [reply] = edge.ask()
    refused(edge, reply.reason, "most_seconds", "most_seconds: 4")
    assert edge.ask()[0].reason == "was not prepared"
    refused(edge, edge.prepare(**task(toy)), "most_seconds", "most_seconds: 4")
    edge.restart()
    refused(edge, edge.prepare(**task(toy)), "most_seconds", "most_seconds: 4")


def test_seconds_interrupt_the_preparation(site, toy, toys, monkeypatch):
    monkeypatch.setattr(toys.Blobs, "load", lambda *_: time.sleep(600))
    edge = site("most_seconds: 1")
    refused(edge, edge.prepare(**task(toy)), "most_seconds", "most_seconds: 2")


def test_memory(site, toy):
    from aeros_flower.site import work_limits

    much = task(toy, examples=40_000_000)
    edge = site(f"most_memory_mb: {int(work_limits.taken_mb()) + 200}")
    refused(edge, edge.prepare(**much), "most_memory_mb", "most_memory_mb: ")
    assert edge.prepare(**task(toy))["error"] == ""


def test_the_controllers_own_user_is_told_everything(site, toy):
    edge = site(None, same_user=True)
    assert any("its controller is this user's own" in said for said in edge.said)
    config = task(toy, fail=["client-0"])
    assert edge.prepare(**config)["error"] == ""
    assert edge.ask()[0].reason == "RuntimeError: the sensor is unplugged"


def test_what_a_part_says_of_an_error_stays_at_the_site(site, toy, toys, monkeypatch):
    edge = site(None)
    edge.prepare(**task(toy, fail=["client-0"]))
    [reply] = edge.ask()
    assert reply.reason.startswith("the executor failed at this; reference ")
    assert "sensor is unplugged" in edge.of("error")[0]["text"]

    def broken(*_):
        raise ValueError("row 17 of /srv/ward.csv holds 'hunter2'")

    monkeypatch.setattr(toys.Blobs, "load", broken)
    told = edge.prepare(**task(toy))
    assert "hunter2" not in json.dumps(told)
    assert "/srv" not in json.dumps(told)
    assert "hunter2" in edge.of("error")[1]["text"]
    assert any("hunter2" in said for said in edge.said)


def test_the_machines_own_name_stays(site, toy):
    import platform

    told = site(None).prepare(**task(toy))
    assert told["element"]["name"] == "edge"
    assert platform.node() not in json.dumps(told)


def test_nothing_leaves_where_the_log_cannot_be_written(site, toy):
    edge = site(None)
    edge.prepare(**task(toy))
    path = edge.folder / "state" / NAME
    path.unlink()
    path.symlink_to("/dev/full")
    [reply] = edge.ask()
    assert reply.reason == "the site's log cannot be written, so nothing leaves"
    answer = edge.executor.answer(preparation.pack_preparation("", task(toy)))
    assert kind_of(answer) == "refused"
    path.unlink()
    edge.prepare(**task(toy))
    assert not isinstance(edge.ask()[0], Failure)


def test_the_log_is_printed_as_a_table_and_as_lines(site, toy, aeros):
    edge = site(None)
    edge.prepare(**task(toy, task={"name": "\x1b[2Jtoy"}))
    edge.prepare(**task(toy))
    edge.ask()
    state = str(edge.folder / "state")
    with (edge.folder / "state" / NAME).open("a") as file:
        file.write('{"torn')
    out = aeros("executor", "--log", "--state", state)
    assert "update" in out
    assert "\x1b" not in out
    out = aeros("executor", "--log", "--json", "--state", state)
    assert [json.loads(line) for line in out.splitlines()] == edge.lines


def test_disclosures_cover_every_kind_that_exists():
    from aeros_flower.site.policy.policy import permissive

    assert permissive().disclosures == set(Disclosure)
