"""A configuration passes to workers as JSON, whole."""

import json

import pytest

from aeros_core.errors import ConfigError, PluginError
from aeros_core.plugins.single_files import plugin_files
from aeros_serving.config import Mode, NonFinite, Serving, Where
from aeros_serving.workers.configuration import Configuration
from aeros_serving.workers.worker_process import environment


def test_a_configuration_passes_as_json_without_loss():
    options = Serving(
        workers=3, where=Where.thread, batching=Mode.never, non_finite=NonFinite.refuse,
        preferred=[4, 8], models={"toy": {"delay": 0.5}},
    )  # fmt: skip
    sent = Configuration({"_target_": "here", "path": "x"}, {"_target_": "there"}, options)
    assert Configuration.from_json(json.loads(json.dumps(sent.to_json()))) == sent


def test_an_inferencer_that_is_not_chosen_stays_so():
    sent = Configuration({"_target_": "here"}, None, Serving())
    assert Configuration.from_json(sent.to_json()) == sent


def test_workers_load_the_plugin_files_of_the_server_or_none(tmp_path, monkeypatch):
    path = tmp_path / "own_inferencer.py"
    path.write_text(
        "from aeros_core import hookimpl\n@hookimpl\ndef aeros_formats():\n"
        "    from aeros_core import Format\n    return [Format('own', 'own_inferencer')]\n"
    )
    with plugin_files.requesting([str(path)]):
        sent = Configuration({"_target_": "here"}, None, Serving()).to_json()
    assert Configuration({"_target_": "here"}, None, Serving()).plugin_files == {}
    with plugin_files.requesting([]):
        with pytest.raises(PluginError, match="here is not registered"):
            Configuration.from_json(sent).loader()
        assert [plugin.name for plugin, _ in plugin_files.loaded()] == ["own_inferencer"]
    path.write_text(path.read_text() + "# changed\n")
    with pytest.raises(ConfigError, match="has changed since this command started"):
        Configuration.from_json(sent).loader()


def test_numeric_libraries_take_their_share_of_the_processors(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    found = environment(3)
    assert (found["OMP_NUM_THREADS"], found["MKL_NUM_THREADS"]) == ("2", "7")
    assert environment(64)["OMP_NUM_THREADS"] == "1"
