import http.server
import threading

import pytest

from aeros_core.config import build
from aeros_core.errors import ConfigError
from aeros_core.tasks.subtask import Kind, Subtask
from aeros_serving import lifecycle, subtask
from aeros_serving.config import Where

CONFIG = {"repository": {"_target_": "here"}, "inferencer": {"_target_": "there"}}


class Tagged:
    """A repository that remembers which tags were moved."""

    def __init__(self):
        self.moved = []

    def tag(self, name, tag, version="latest"):
        self.moved.append((name, tag, version))


@pytest.fixture
def repository(monkeypatch):
    made = Tagged()
    monkeypatch.setattr(build, "build_part", lambda *_: made)
    return made


@pytest.fixture
def served(monkeypatch):
    """What was served, where nothing answers yet."""
    started = []
    monkeypatch.setattr(lifecycle, "run", lambda server, models: started.append((server, models)))
    return started


def follow(**options):
    return subtask.follow(Subtask(kind=Kind.serve, options=options), CONFIG)


def test_the_tag_moves_and_what_it_points_to_is_served(repository, served):
    follow(http_port=0, grpc_port=-1, where="thread", delay=0.5)({"name": "digits", "version": 3})
    assert repository.moved == [("digits", "production", 3)]
    [(server, models)] = served
    assert models == ["digits:production"]
    assert (server.options.where, server.options.delay) == (Where.thread, 0.5)
    assert server.options.grpc_port == -1


def test_a_tag_of_ones_own_is_followed(repository, served):
    follow(tag="edge", http_port=0)({"name": "digits", "version": 3})
    assert repository.moved == [("digits", "edge", 3)]
    assert served[0][1] == ["digits:edge"]


@pytest.mark.parametrize("status", [200, 404])
def test_where_a_server_has_the_model_already_the_tag_is_enough(repository, served, status, capsys):
    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/v2/models/digits" else 500)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as other:
        threading.Thread(target=other.handle_request).start()
        follow(http_port=other.server_port)({"name": "digits", "version": 3})
    assert repository.moved == [("digits", "production", 3)]
    assert bool(served) is (status != 200)
    assert ("answers for digits" in capsys.readouterr().out) is (status == 200)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"http_prt": 1}, "the sub-task serve has no option 'http_prt'"),
        ({"http_port": "fast"}, "the sub-task serve: Value 'fast' of type 'str' could not be"),
        ({"where": "moon"}, "the sub-task serve: Invalid value 'moon', expected one of"),
        ({"tag": "latest"}, "options.tag=latest cannot be moved"),
        ({"tag": "7"}, "options.tag=7 cannot be moved"),
        ({"_target_": "os.system"}, "the sub-task serve has no option '_target_'"),
    ],
)
def test_what_cannot_be_is_told_before_the_task(repository, options, told):
    with pytest.raises(ConfigError) as refused:
        follow(**options)
    assert str(refused.value).startswith(told)


def test_a_repository_without_tags_is_told(monkeypatch):
    monkeypatch.setattr(build, "build_part", lambda *_: object())
    with pytest.raises(ConfigError, match="this repository has none"):
        follow()
