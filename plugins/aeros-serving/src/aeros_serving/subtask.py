"""The sub-task ``serve``: what a task has trained is what answers, from then on."""

from __future__ import annotations

import logging
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from aeros_core.config import build, graph_members
from aeros_core.errors import ConfigError
from aeros_core.plugins import discovery
from aeros_core.plugins.subtask_runners import FollowUp
from aeros_core.roles.repository import Repository, SupportsTags
from aeros_core.tasks.subtask import Subtask
from aeros_serving.config import Serving, options_of
from aeros_serving.promotion import movable

__all__ = ["follow"]

TAG = "tag"


def follow(subtask: Subtask, config: Mapping[str, Any]) -> FollowUp:
    """Return what serves the model of a task; see `subtask_runners.due`.

    Args:
        subtask: Its ``options`` are those of the group ``serving``, and ``tag``, the name
            that is moved to the new version and followed; ``production`` by default.
        config: The task's, for its repository and inferencer.

    Raises:
        ConfigError: An option does not exist, or the repository has no tags.
    """
    given = dict(subtask.options)
    tag = movable("options.tag", str(given.pop(TAG, "production")))
    options = _options(given)
    repository = build.build_part(discovery.discover(), "repository", config["repository"])
    if not isinstance(repository, SupportsTags):
        raise ConfigError("kind: serve moves a tag, and this repository has none")
    return _Follow(tag, options, config)


def _options(given: Mapping[str, Any]) -> Serving:
    known = {each.name: each.type for each in fields(Serving) if each.name != "_target_"}
    if unknown := sorted(given.keys() - known.keys()):
        raise ConfigError(
            f"the sub-task serve has no option '{unknown[0]}'",
            exists=", ".join([TAG, *known]),
        )
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        merged = OmegaConf.merge(OmegaConf.structured(Serving), dict(given))
        values = OmegaConf.to_container(merged, enum_to_str=True)
    except OmegaConfBaseException as error:
        told = str(error).partition("\n")[0]
        raise ConfigError(f"the sub-task serve: {told}") from error
    assert isinstance(values, dict)  # noqa: S101 - of a dataclass
    return options_of({str(key): value for key, value in values.items()})


@dataclass(frozen=True, slots=True)
class _Follow:
    """Moves the tag, and serves what it points to unless a server here does already."""

    tag: str
    options: Serving
    config: Mapping[str, Any]

    def __call__(self, model: Mapping[str, str | int]) -> None:
        name, version = str(model["name"]), int(model["version"])
        registry = discovery.discover()
        repository: Repository = build.build_part(registry, "repository", self.config["repository"])
        assert isinstance(repository, SupportsTags)  # noqa: S101 - looked at before
        repository.tag(name, self.tag, version)
        print(f"{name}:{version} is tagged {self.tag}", flush=True)  # noqa: T201 - a person waits
        if self._answers(name):
            print(f"the server on port {self.options.http_port} answers for {name}", flush=True)  # noqa: T201
            return
        from aeros_serving.launch import server_of
        from aeros_serving.lifecycle import run
        from aeros_serving.workers.configuration import Configuration

        node = self.config.get("inferencer") or graph_members.default_inferencer(
            registry, repository.model(name, version)
        )
        logging.getLogger("aeros_serving").setLevel(logging.INFO)
        configuration = Configuration(self.config["repository"], node, self.options)
        run(server_of(configuration), [f"{name}:{self.tag}"])

    def _answers(self, name: str) -> bool:
        """Tell whether a server at the address has the model already: it follows the tag."""
        if self.options.certificate or self.options.http_port < 1:
            return False
        url = f"http://{self.options.host}:{self.options.http_port}/v2/models/{name}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
