import pytest
from omegaconf import OmegaConf

from aeros_core.config import store
from aeros_core.config.naming import name_parts
from aeros_core.errors import ConfigError, PluginError
from aeros_core.plugins.registry import nearest
from aeros_core.tasks.identity import decisive
from aeros_core.tasks.task import Goal, Task

TOY = [
    "experiment=null",
    "repository=files",
    "transformer=[blobs,even,scale]",
    "trainer=linear",
    "collector=mean",
]

pytestmark = pytest.mark.usefixtures("hydra")


@pytest.fixture
def load(toy):
    """A function that composes the toy task with these overrides."""
    return lambda *words: store.load([*TOY, *words], toy)


def test_what_is_typed_is_what_is_composed(load):
    cfg = load("task.seed=7", "transformer.even.clients=3", "trainer.fail=[client-1]")
    data = store.plain(cfg)
    assert list(data["transformer"]) == ["blobs", "even", "scale"]
    assert data["transformer"]["even"] == {"_target_": "toy_parts.Even", "clients": 3}
    assert data["trainer"]["fail"] == ["client-1"]
    assert data["task"]["seed"] == 7
    assert data["task"]["stop"] == {"metric": "accuracy", "target": None, "goal": "auto"}
    assert data["task"]["subtasks"]["train"]["kind"] == "train"


def test_the_order_that_is_typed_is_kept(load):
    typed = load("transformer=[blobs,scale,thin,even]")
    assert list(store.plain(typed)["transformer"]) == ["blobs", "scale", "thin", "even"]


def test_a_nested_choice_is_composed(load):
    data = store.plain(load("+trainer/model=steep", "trainer.model.slope=2"))
    assert data["trainer"]["model"] == {"_target_": "toy_parts.Steep", "slope": 2.0}


def test_an_experiment_may_preset_what_the_command_line_replaces(load):
    cfg = load()
    OmegaConf.set_struct(cfg, False)
    cfg.transformer.gone = {"alpha": 1.0}
    assert list(store.plain(cfg)["transformer"]) == ["blobs", "even", "scale"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "collector=meam",
            "collector=meam does not exist\n  exists: mean\n  provider: toy 1.0\n"
            "  next: collector=mean",
        ),
        (
            "transformer=[blobs,evn]",
            "transformer=evn does not exist\n  exists: blobs, even, scale, thin\n"
            "  provider: toy 1.0\n  next: transformer=even",
        ),
        (
            "inferencer=onnx",
            "inferencer=onnx does not exist\n  exists: scores\n  provider: toy 1.0\n"
            "  next: aeros options inferencer lists them",
        ),
        (
            "nosuch=3",
            "option 'nosuch' does not exist\n  exists: task, infrastructure, controller,"
            " repository, transformer, trainer, collector\n"
            "  next: aeros run --cfg job shows every option",
        ),
        ("trainer=3", "Config group override must be a string or a list. Got int"),
        (
            "+trainer/model=flat",
            "trainer/model=flat does not exist\n  exists: steep\n  provider: toy 1.0\n"
            "  next: aeros options trainer/model lists them",
        ),
        (
            "collector.momentun=0.9",
            "option 'collector.momentun' does not exist\n  exists: momentum, codec\n"
            "  next: collector.momentum=<value>",
        ),
        (
            "task.evaluation.evry=2",
            "option 'task.evaluation.evry' does not exist\n"
            "  exists: central, federated, holdout, every\n  next: task.evaluation.every=<value>",
        ),
        (
            "trainer.lr=fast",
            "option 'trainer.lr': Value 'fast' of type 'str' could not be converted to Float\n"
            "  next: trainer.lr=<value of that type>",
        ),
        (
            "task.rounds=2.5",
            "option 'task.rounds': Value '2.5' of type 'float' could not be converted to Integer\n"
            "  next: task.rounds=<value of that type>",
        ),
        (
            "task.stop.goal=up",
            "option 'task.stop.goal': Invalid value 'up', expected one of"
            " [auto, maximize, minimize]\n  next: task.stop.goal=auto, or maximize, or minimize",
        ),
        (
            "task.evaluation.zzz=2",
            "option 'task.evaluation.zzz' does not exist\n"
            "  exists: central, federated, holdout, every\n"
            "  next: task.evaluation.<one of these>=<value>",
        ),
        (
            "task.subtasks.train.options.port=1",
            "option 'task.subtasks.train.options.port' does not exist\n  exists: none yet\n"
            "  next: +task.subtasks.train.options.port=<value>",
        ),
        (
            "task.subtasks.tran.kind=train",
            "option 'task.subtasks.tran' does not exist\n  exists: train\n  next:"
            " task.subtasks.train.kind=<value>, or +task.subtasks.tran.kind=<value>",
        ),
        (
            "trainr.lr=1",
            "option 'trainr' does not exist\n  exists: task, infrastructure, controller,"
            " repository, transformer, trainer, collector\n  next: trainer.lr=<value>",
        ),
        ("+controller=local", "controller is chosen already\n  next: controller=<option>, without"),
        ("+inferencer=scores", "inferencer is chosen already\n  next: inferencer=<option>, with"),
        (
            "infrastructure=zzz",
            "infrastructure=zzz does not exist\n  exists: this_machine\n"
            "  next: aeros options infrastructure lists them",
        ),
        (
            "trainer.fail=client-1",
            "option 'trainer.fail': Invalid value assigned: str is not a ListConfig, list or"
            " tuple.\n  next: trainer.fail=<value of that type>",
        ),
    ],
)
def test_what_cannot_be_is_told(install, load, monkeypatch, word, message):
    registry = install("toy")
    only = [p for p in registry.plugins if p.name in ("toy", "core")]
    registry = type(registry)(tuple(only), registry.options)
    with pytest.raises(ConfigError) as refused:
        store.load([*TOY, word], registry)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("htp_port", ["http_port"]),
        ("prot", ["http_port", "grpc_port"]),
        ("typ", []),  # no word of three letters like it
        ("zzz", []),
    ],
)
def test_what_was_perhaps_meant(name, meant):
    assert nearest(name, ["http_port", "grpc_port", "max_queue", "host"]) == meant


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("repositry.path=x", "repository.path=<value>"),
        ("task.rounds=3", "<one of these>.<option>=<value>"),
    ],
)
def test_a_hint_does_not_lead_to_another_command(toy, word, hint):
    with pytest.raises(ConfigError) as refused:
        store.load(["repository=files", word], toy, root="models")
    assert refused.value.hint == hint


def test_an_experiment_that_does_not_exist_is_told_with_those_that_do(load):
    with pytest.raises(ConfigError) as refused:
        load("experiment=digit")
    lines = str(refused.value).splitlines()
    assert lines[0] == "experiment=digit does not exist"
    assert lines[1].startswith("  exists: ")
    assert "digits" in lines[1]
    assert lines[2] == "  next: experiment=digits"


def test_a_configuration_that_leads_nowhere_is_told():
    cfg = OmegaConf.create({"a": {"b": "${nowhere}"}, "c": 1})
    with pytest.raises(ConfigError) as refused:
        store.plain(cfg)
    assert str(refused.value) == (
        "the configuration cannot be resolved: Interpolation key 'nowhere' not found\n"
        "  next: a.b=<value>"
    )


def test_a_value_that_is_missing_is_told():
    with pytest.raises(ConfigError, match=r"cannot be resolved: Missing mandatory value: b"):
        store.plain(OmegaConf.create({"a": {"b": "???"}}))


def test_a_frozen_dataclass_can_be_overridden():
    node = store.structured(Task)
    node.evaluation.every = 3
    node.stop.goal = "minimize"
    task = OmegaConf.to_object(node)
    assert isinstance(task, Task)
    assert (task.evaluation.every, task.stop.goal) == (3, Goal.minimize)


# ---------------------------------------------------------------- identity


@pytest.fixture
def identity(toy):
    """A function that returns what decides the result of a composed configuration."""
    return lambda cfg: decisive(name_parts(toy, store.plain(cfg)), toy.defaults)


def test_what_does_not_decide_the_result_keeps_the_identity(load, identity):
    words = [
        "task.name=other", "task.rounds=99", "task.resume=true", "task.stop.target=0.5",
        "task.subtasks.train.requires.memory_mb=1", "repository.path=elsewhere",
        "infrastructure.tier=Edge", "callback=[tally]",
    ]  # fmt: skip
    assert identity(load(*words)) == identity(load())


@pytest.mark.parametrize(
    "word",
    ["task.seed=1", "trainer.lr=0.4", "transformer=[blobs,scale,even]", "+trainer/model=steep"],
)
def test_what_decides_the_result_changes_the_identity(load, identity, word):
    assert identity(load(word)) != identity(load())


# ---------------------------------------------------------------- what was typed


def test_an_option_of_what_is_not_chosen_is_refused(load):
    data = store.plain(load())
    with pytest.raises(ConfigError) as refused:
        store.check_typed(["transformer.thin.every=2"], data)
    assert str(refused.value) == (
        "transformer.thin.every=2 sets an option of 'thin', which is not chosen\n"
        "  exists: transformer=[blobs,even,scale]\n"
        "  next: transformer=[blobs,even,scale,thin], or leave it out"
    )


@pytest.mark.parametrize(
    "word", ["transformer.even.clients=3", "transformer=[blobs]", "trainer.lr=1", "+x.y=1"]
)
def test_other_words_pass(load, word):
    store.check_typed([word], store.plain(load()))


def test_a_key_of_the_users_own_may_be_added_for_interpolation(load):
    typed = ["+steps=3", "task.rounds=${steps}"]
    store.check_typed(typed, {"steps": 3, **store.plain(load())})


# ---------------------------------------------------------------- files of plugins


def test_a_plugin_may_ship_an_experiment(install):
    registry = install("toy", "ships_conf")
    cfg = store.load([*TOY[1:], "experiment=shipped"], registry)
    store.check_choices({"experiment": "shipped", "transformer": ["blobs", "even"]}, registry)
    assert (cfg.task.name, cfg.task.rounds) == ("shipped", 2)


def test_an_experiment_of_two_plugins_is_taken_from_neither(install):
    registry = install("toy", "ships_conf", "ships_conf_too")
    with pytest.raises(ConfigError) as refused:
        store.check_choices({"experiment": "shipped"}, registry)
    assert str(refused.value) == (
        "experiment=shipped is a file of several packages, so none is taken\n"
        "  provider: ships-conf 1.0 and ships-conf-too 1.0\n"
        "  next: pip uninstall one of them, or AEROS_PLUGINS=ships_conf"
    )


def test_a_plugin_that_is_gone_takes_its_files_with_it(install, monkeypatch):
    registry = install("toy", "ships_conf")
    store.load([*TOY[1:], "experiment=shipped"], registry)
    with pytest.raises(ConfigError, match="experiment=shipped does not exist"):
        store.load([*TOY[1:], "experiment=shipped"], install("toy"))


def test_a_choice_of_a_broken_plugin_tells_what_is_wrong_with_it(install, monkeypatch):
    registry = install("toy", "broken_import")
    broken = [p for p in registry.plugins if p.name in ("broken_import", "core", "toy")]
    registry = type(registry)(tuple(broken), registry.options)
    with pytest.raises(PluginError) as refused:
        store.load([*TOY, "collector=median"], registry)
    assert str(refused.value) == (
        "collector=median does not exist\n  exists: mean\n  provider: broken-import 1.0 is failed:"
        " ImportError: libcuda.so.1: cannot open shared object file\n"
        "  next: pip install --upgrade broken-import"
    )
