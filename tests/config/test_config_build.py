import copy
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest
from omegaconf import OmegaConf

from aeros_core.config import build as config_build
from aeros_core.config import store
from aeros_core.controllers.local import LocalController
from aeros_core.errors import ConfigError, PluginError
from aeros_core.hookspecs import hookimpl
from aeros_core.records import Model
from aeros_core.results import Status
from aeros_core.roles.codec import Codec
from aeros_core.roles.collector import SupportsCodec
from aeros_core.tasks.control import Control
from aeros_core.tasks.identity import digest
from aeros_core.tasks.task import Task


def named(role, option):
    """Return how a stored configuration names a part of the toy plugin."""
    said = {"_distribution_": "toy", "_version_": "1.0"}
    return {"_role_": role, "_option_": option, **said}


TOY = [
    "experiment=null",
    "repository=files",
    "transformer=[blobs,even,scale]",
    "trainer=linear",
    "collector=mean",
]

COMPOSED = {}
"""Configurations that were composed before, by what was typed."""

pytestmark = pytest.mark.usefixtures("hydra")


@pytest.fixture
def build(install, tmp_path, monkeypatch):
    """A function that composes and builds the toy task, some values then changed by path."""
    registry = install("toy", "misfit")
    monkeypatch.chdir(tmp_path)

    def make(*words, changed=(), **options):
        if words not in COMPOSED:
            COMPOSED[words] = store.load([*TOY, *words], registry)
        cfg = copy.deepcopy(COMPOSED[words])
        for path, value in dict(changed).items():
            OmegaConf.update(cfg, path, value, force_add=True)
        return config_build.build(cfg, registry, **options)

    return make


def test_a_codec_goes_with_any_collector(build, toys):
    collector = build("collector/codec=coarse", "collector.codec.step=0.5").parts.collector
    assert isinstance(collector, toys.Mean)
    assert isinstance(collector, SupportsCodec)
    assert isinstance(collector.codec, Codec)
    assert collector.codec.step == 0.5
    assert not isinstance(build().parts.collector, SupportsCodec)


def test_a_codec_decides_the_result(build):
    plain, coded = build().parts, build("collector/codec=coarse").parts
    assert coded.config["collector"]["codec"] == {
        **named("collector/codec", "coarse"),
        "step": 0.01,
    }
    assert "codec" not in plain.config["collector"]
    assert coded.identity != plain.identity


def test_what_is_no_codec_is_not_built(build):
    with pytest.raises(PluginError) as caught:
        build(changed={"collector.codec": {"_target_": "toy_parts.Mean"}})
    assert str(caught.value).splitlines()[0] == (
        "collector/codec: _target_=toy_parts.Mean is not registered for collector/codec"
    )
    with pytest.raises(PluginError, match="collector/codec: 3 is not registered for"):
        build(changed={"collector.codec": 3})


def test_what_was_chosen_is_built(build, toys):
    job = build("task.seed=3", "collector.momentum=0.5", "transformer.even.clients=4")
    assert isinstance(job.task, Task)
    assert job.task.seed == 3
    assert isinstance(job.controller, LocalController)
    assert isinstance(job.parts.collector, toys.Mean)
    assert job.parts.collector.momentum == 0.5
    assert list(job.parts.transformers) == ["blobs", "even", "scale"]
    assert job.parts.transformers["even"].clients == 4
    assert job.parts.config["collector"] == {**named("collector", "mean"), "momentum": 0.5}
    assert job.parts.identity == digest(job.parts.decisive(job.parts.config))
    assert set(job.parts.versions) == {"python", "aeros-core", "toy"}


def test_a_job_runs(build):
    job = build("task.rounds=2")
    assert job.controller.run(job.task, job.parts).status is Status.FINISHED


def test_a_nested_choice_is_built_with_its_options_bound(build):
    plain, steep = build(), build("+trainer/model=steep", "trainer.model.slope=3")
    assert plain.parts.trainer.model is None
    assert steep.parts.trainer.model.slope == 3.0
    assert steep.parts.trainer.model.inputs == (2,)
    assert steep.parts.trainer.lr == 3 * plain.parts.trainer.lr


def test_a_model_within_a_model_is_bound_too(toy):
    inner = {"_target_": "toy_parts.Steep", "slope": 2.0}
    made = config_build.build_module(toy, {"_target_": "toy_parts.Steep", "slope": inner})
    held = made(inputs=(4,), outputs=2).slope
    assert held(inputs=(1,), outputs=1).slope == 2.0


def test_a_model_can_be_bound_on_its_own(toy, toys):
    node = {"_target_": "toy_parts.Steep", "slope": 2.0}
    made = config_build.build_module(toy, node)(inputs=(4,), outputs=2)
    assert (made.slope, made.inputs) == (2.0, (4,))
    assert config_build.build_module(toy, {}) is None


def test_pause_and_cancel_come_from_outside(build):
    control = Control()
    assert build(control=control).parts.control is control


# ---------------------------------------------------------------- foreign code


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A module that must never be imported."""
    (tmp_path / "trap.py").write_text("def bite(**options):\n    return None\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    assert "trap" not in sys.modules


@pytest.mark.usefixtures("trap")
@pytest.mark.parametrize(
    ("path", "told", "exists"),
    [
        ("collector", "collector: _target_=trap.bite is not registered for collector", "mean"),
        ("controller", "controller: _target_=trap.bite is not registered for", "local"),
        ("repository", "repository: _target_=trap.bite is not registered for", "files"),
        ("trainer", "trainer: _target_=trap.bite is not registered for trainer", "linear"),
        (
            "transformer.scale",
            "scale: _target_=trap.bite is not registered for transformer",
            "blob",
        ),
        ("transformer.new", "new: _target_=trap.bite is not registered for transformer", "blobs"),
        ("callback.new", "new: _target_=trap.bite is not registered for callback", "deaf, mishe"),
        ("trainer.model", "trainer/model: _target_=trap.bite is not registered for", "steep"),
        ("trainer.new", "trainer/new: _target_=trap.bite is not registered", "no trainer/new at"),
    ],
)
def test_a_target_that_no_plugin_registered_is_refused_wherever_it_is(build, path, told, exists):
    with pytest.raises(PluginError) as refused:
        build(changed={f"{path}._target_": "trap.bite"})
    lines = str(refused.value).splitlines()
    assert lines[0].startswith(told)
    assert lines[1].startswith("  exists: ")
    assert exists in lines[1]
    assert lines[-1].endswith("configuration never runs code")


@pytest.mark.usefixtures("trap")
def test_a_target_deep_inside_a_nested_choice_is_refused(build):
    nested = {"_target_": "toy_parts.Steep", "slope": {"_target_": "trap.bite"}}
    with pytest.raises(PluginError, match=r"trainer/model/slope: _target_=trap\.bite"):
        build(changed={"trainer.model": nested})


def test_a_target_of_another_role_is_refused(build):
    with pytest.raises(
        PluginError, match=r"_target_=toy_parts\.Mean is not registered for trainer"
    ):
        build(changed={"trainer._target_": "toy_parts.Mean"})


def test_a_stored_model_cannot_name_foreign_code(toy):
    with pytest.raises(PluginError, match=r"_target_=os\.system is not registered for trainer/mod"):
        config_build.build_module(toy, {"_target_": "os.system", "command": "true"})


# ---------------------------------------------------------------- options


def test_an_unknown_option_is_told_with_those_that_exist(build):
    with pytest.raises(ConfigError) as refused:
        build("+collector.beta=0.9")
    assert str(refused.value) == (
        "option 'beta' does not exist for collector=mean\n  exists: momentum\n"
        "  provider: toy 1.0\n  next: collector.<one of these>=<value>"
    )


def test_an_option_of_a_part_that_has_none_is_told(build):
    with pytest.raises(ConfigError, match="option 'by' does not exist for transformer=scale") as e:
        build("+transformer.scale.by=2")
    assert e.value.exists == "none"
    assert e.value.hint == "leave transformer.scale.by out"


def test_an_option_that_was_perhaps_meant_is_told(build):
    with pytest.raises(ConfigError, match="option 'momentun' does not exist") as refused:
        build("+collector.momentun=0.9")
    assert refused.value.hint == "collector.momentum=<value>"


@pytest.mark.parametrize("role", ["collector", "trainer", "repository", "controller"])
def test_a_role_that_nothing_was_chosen_for_is_told(build, role):
    with pytest.raises(ConfigError, match=f"no {role} is chosen") as refused:
        build(changed={role: None})
    assert refused.value.hint == f"{role}=<one of these>"
    assert refused.value.exists


def test_a_value_that_the_task_refuses_is_told_in_its_own_words(build):
    with pytest.raises(ConfigError) as refused:
        build("task.rounds=0")
    assert str(refused.value) == "task.rounds=0 is not possible\n  exists: at least 1"


def test_a_task_that_is_none_is_told(toy):
    with pytest.raises(ConfigError) as refused:
        config_build.build(OmegaConf.create({"task": {"rounds": 3}}), toy)
    assert str(refused.value) == "task is not a task\n  exists: task=federated"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["collector=absent"],
            "misfit_parts_that_are_not_there.Absent cannot be imported: ModuleNotFoundError: No"
            " module named 'misfit_parts_that_are_not_there'\n"
            "  next: aeros plugins shows what is installed",
        ),
        (
            ["collector=idle"],
            "collector=idle does not do what a collector must\n  exists: the Protocols of",
        ),
        (
            ["collector=other"],
            "misfit_parts.Other does not take the options of collector=other: missing a required"
            " argument: 'cut'\n  provider: misfit 1.0\n"
            "  next: its dataclass and its constructor must name the same options",
        ),
        (
            ["collector=strict", "collector.trim=-1"],
            "collector.trim=-1.0 is not possible\n  exists: 0 to 0.5",
        ),
        (
            ["callback=[deaf]"],
            "Deaf cannot hear events: unknown hook 'aeros_after_lunch'\n"
            "  exists: aeros_before_task, aeros_on_status, aeros_before_round",
        ),
        (
            ["callback=[mishears]"],
            "Mishears cannot hear events: aeros_after_round(rounds): Argument(s) {'rounds'} are"
            " declared in the hookimpl but can not be found in the hookspec\n",
        ),
    ],
)
def test_a_part_that_cannot_be_built_is_told(build, words, message):
    with pytest.raises(ConfigError) as refused:
        build(*words)
    told = str(refused.value).replace("required keyword-only argument", "required argument")
    assert told.startswith(message)  # Python 3.12 and later say keyword-only


# ---------------------------------------------------------------- events


def test_callbacks_hear_first_then_listeners_in_order(build, tmp_path):
    said = []

    class Says:
        def __init__(self, word):
            self.word = word

        @hookimpl
        def aeros_on_status(self, status):
            said.append(f"{self.word} {(tmp_path / 'tally.txt').read_text().split()[-1]} {status}")

    job = build("callback=[tally]", listeners=[Says("one"), Says("two")])
    job.parts.events.aeros_on_status(task=job.task, status=Status.RUNNING)
    assert said == ["one RUNNING RUNNING", "two RUNNING RUNNING"]


def test_without_callbacks_nobody_hears_and_nothing_breaks(build):
    job = build()
    assert job.parts.events.aeros_on_status(task=job.task, status=Status.RUNNING) == []


# ---------------------------------------------------------------- serving


def test_a_stored_model_answers_as_its_data_were_prepared(build, toy):
    job = build("task.rounds=2", "+trainer/model=steep", "trainer.model.slope=2")
    job.controller.run(job.task, job.parts)
    model = job.parts.repository.model("task")
    told = []

    class Hears:
        @hookimpl
        def aeros_after_predict(self, model, batch, output):
            told.append((model, batch, output))

    service = config_build.build_service(toy, model, {"_target_": "toy_parts.Scores"}, [Hears()])
    raw = job.parts.transformers["blobs"].load("test")
    output = service.predict({"point": raw.columns["point"]})
    hits = output["scores"].argmax(axis=1) == raw.columns["label"]
    stored = job.parts.repository.models("task")[0].metrics
    assert hits.mean() == pytest.approx(stored["accuracy"])
    assert service.inferencer.module(inputs=(2,), outputs=3).slope == 2.0
    assert [(m, o) for m, _, o in told] == [(model, output)]


def test_steps_that_answer_go_on_behind_the_model(toy, toys, flat, monkeypatch):
    steps = {name: {"_target_": "toy_parts.Scale"} for name in ("scale", "again")}
    model = Model("m", flat(1), toys.SCHEMA, transformers=steps)
    monkeypatch.setattr(toys.Scores, "load", lambda *_: None)
    assert config_build.build_service(toy, model, {"_target_": "toy_parts.Scores"}).after == []
    monkeypatch.setattr(toys.Scale, "inverse_transform", lambda self, output: output, raising=False)
    service = config_build.build_service(toy, model, {"_target_": "toy_parts.Scores"})
    assert service.after == service.steps[::-1]
    assert len(service.after) == 2
    last = replace(model, behind=tuple(model.transformers)[:1])
    stage = config_build.build_service(toy, last, {"_target_": "toy_parts.Scores"})
    assert (len(stage.steps), len(stage.after)) == (1, 2)  # one of them goes on behind alone


def test_a_stored_model_whose_step_is_not_installed_is_told(toy, toys, flat):
    model = Model("m", flat(1), toys.SCHEMA, transformers={"gone": {"_target_": "gone.Gone"}})
    with pytest.raises(PluginError, match=r"gone: _target_=gone\.Gone is not registered"):
        config_build.build_service(toy, model, {"_target_": "toy_parts.Scores"})


@pytest.mark.parametrize(
    "part",
    [{"transformers": {"gone": {"_target_": "gone.Gone"}}}, {"module": {"_target_": "gone.Gone"}}],
    ids=["step", "module"],
)
def test_a_stored_model_names_the_package_that_had_what_is_gone(toy, toys, flat, part):
    stored = {"python": "3.11.7", "toy": "1.0", "gone-parts": "2.5"}
    model = Model("m", flat(1), toys.SCHEMA, versions=stored, **part)
    with pytest.raises(PluginError) as caught:
        config_build.build_service(toy, model, {"_target_": "toy_parts.Scores"})
    told = str(caught.value)
    assert told.startswith("model 'm': ")
    assert "\n  provider: gone-parts 2.5 had it when the model was stored\n" in told
    assert "pip install" not in told  # it may have been delivered


def test_what_answers_must_be_an_inferencer(toy, toys, flat):
    model = Model("m", flat(1), toys.SCHEMA)
    with pytest.raises(PluginError, match=r"_target_=toy_parts\.Mean is not registered for infer"):
        config_build.build_service(toy, model, {"_target_": "toy_parts.Mean"})


class Asks:
    """An inferencer that asks two others, and keeps what each of them answers."""

    def __init__(self):
        self.members = {
            "own": {"model": "task:1", "inferencer": {"_target_": "toy_parts.Scores"}},
            "mine": {"inferencer": {"_target_": "toy_parts.Scores"}},
        }

    def take(self, members):
        self.taken = members

    def load(self, model, module=None):
        for member in self.taken.values():
            member.load(model)

    def predict(self, batch):
        answers = {name: member.predict(batch) for name, member in self.taken.items()}
        return {name: answer["scores"] for name, answer in answers.items()}


@pytest.fixture
def asking(build, toy, toys, monkeypatch):
    """A repository with two versions of a model, and a registry with `Asks`."""

    @dataclass
    class AsksConfig:
        _target_: str = "toy_parts.Asks"

    monkeypatch.setattr(toys, "Asks", Asks, raising=False)
    for seed in (0, 1):
        job = build("task.rounds=1", "+trainer/model=steep", f"task.seed={seed}")
        job.controller.run(job.task, job.parts)
    key = ("inferencer", "asks")
    option = replace(toy.options["inferencer", "scores"], name="asks", config=AsksConfig)
    return job.parts.repository, replace(toy, options={**toy.options, key: option})


def test_members_answer_raw_batches_with_models_of_their_own(asking, toys):
    repository, registry = asking
    raw = {"point": np.array([[0.25, -0.5], [1, 0]], np.float32)}
    models = [repository.model("task", version) for version in (1, 2)]
    expected = [
        config_build.build_service(registry, model, {"_target_": "toy_parts.Scores"}).predict(raw)
        for model in models
    ]
    service = config_build.build_service(
        registry, models[1], {"_target_": "toy_parts.Asks"}, repository=repository
    )
    answer = service.predict(raw)
    np.testing.assert_array_equal(answer["own"], expected[0]["scores"])
    np.testing.assert_array_equal(answer["mine"], expected[1]["scores"])


def test_a_member_is_told_with_what_it_takes_where_the_batch_is_something_else(asking):
    repository, registry = asking
    model = repository.model("task", 2)
    service = config_build.build_service(
        registry, model, {"_target_": "toy_parts.Asks"}, repository=repository
    )
    for batch, given in (
        ({"image": np.zeros((1, 8, 8), np.float32)}, r"image: float32 \(8, 8\)"),
        ({"point": np.zeros((1, 3), np.float32)}, r"point: float32 \(3\)"),
    ):
        told = rf"model 'task' takes point: float32 \(2\)[^;]*, and is given {given}\n"
        with pytest.raises(ConfigError, match=told) as caught:
            service.predict(batch)
        assert caught.value.hint == "choose a model that takes this; aeros models show task"
    with pytest.raises(TypeError):  # what it takes, and yet it fails
        service.predict({"point": np.full((1, 2), None)})


def test_members_that_name_models_need_a_repository(asking):
    repository, registry = asking
    with pytest.raises(ConfigError, match="member 'own' names the model task:1, and there is no"):
        config_build.build_service(
            registry, repository.model("task"), {"_target_": "toy_parts.Asks"}
        )


def test_members_without_an_inferencer_take_the_usual_one(asking, monkeypatch):
    repository, registry = asking
    monkeypatch.setattr(Asks, "__init__", lambda self: setattr(self, "members", {"a": {}}))
    with pytest.raises(PluginError, match="is usually answered with by inferencer=") as caught:
        config_build.build_service(
            registry, repository.model("task"), {"_target_": "toy_parts.Asks"}
        )
    assert caught.value.hint.startswith("pip install aeros-")


@pytest.mark.parametrize("key", ["_partial_", "_args_", "_recursive_", "_convert_", "_mode_"])
def test_a_forged_record_of_a_model_is_refused(toy, key):
    forged = {"_target_": "toy_parts.Steep", "slope": 2.0, key: True}
    with pytest.raises(ConfigError) as refused:
        config_build.build_module(toy, forged)
    assert refused.value.asked.startswith(f"option '{key}' does not exist")
    with pytest.raises(ConfigError) as refused:
        config_build.build_part(
            toy, "transformer", {"_target_": "toy_parts.Scale", key: True}, "scale"
        )
    assert refused.value.asked.startswith(f"option '{key}' does not exist")


@pytest.mark.parametrize("key", ["task.foo", "task.stop.foo", "task._target_"])
def test_an_option_that_was_added_to_the_task_is_named(aeros, toy_words, key):
    done = aeros("run", *toy_words, f"+{key}=os.system")
    assert done.returncode == 2
    assert done.stderr.startswith(f"aeros: {key} does not exist\n")
    assert "Traceback" not in done.stderr
