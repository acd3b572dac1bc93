"""Hydra's loader of configurations with every file and word looked at before it is used.

Each file is held to plain YAML (`aeros_core.config.loading.yaml_files`) and to the resolvers that
are allowed (`aeros_core.config.loading.interpolations`) when it is read, and what it sets below
``hydra`` to the allow-list (`aeros_core.config.loading.allowlist`) before it is merged; words
likewise, before anything is read for them.
"""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ResultDefault
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf._utils import split_key
from omegaconf.errors import OmegaConfBaseException

from aeros_core.config import sweepers
from aeros_core.config.loading import allowlist, former_options, interpolations, yaml_files
from aeros_core.config.loading.diagnostics import REFUSALS, first_line
from aeros_core.config.loading.former_options import FormerOptions
from aeros_core.errors import AerosError, ConfigError
from aeros_core.plugins.registry import Plugin

__all__ = ["CheckedLoader", "CheckedRepository"]

OURS = "pkg://aeros_core.conf"
HYDRAS = ("pkg://hydra.conf", "pkg://hydra_plugins.", "structured://")
"""Where Hydra and its installed plugins keep what they offer for ``hydra/…``."""

_MAY_BE_EMPTY = ("experiment", "inferencer", "collector/codec")
"""Groups of one option for which ``GROUP=null`` is typed to choose none."""


class CheckedRepository(ConfigRepository):
    """Hydra's reader of configuration files, which refuses what is not plain.

    Attributes:
        offered: Which plugins offer a launcher or sweeper, by its path.
    """

    offered: ClassVar[Mapping[str, Sequence[Plugin]]] = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Return one file or registered option.

        Raises:
            ConfigError: It is not plain YAML, or calls a resolver that is not allowed.
            PluginError: It is a launcher or sweeper that several packages offer.
        """
        name = config_path.removesuffix(".yaml")
        if name in self.offered:
            sweepers.check_unambiguous(name, self.offered[name], self.sources)
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        where = config_path
        if source is not None and source.scheme() == "file":
            where = str(Path(source.path) / source._normalize_file_name(config_path))
            yaml_files.check_file(Path(where), _parsed)
        try:
            found: ConfigResult | None = super().load_config(config_path)
        except REFUSALS as error:
            raise ConfigError(
                f"{where}: {first_line(error)}",
                hint="a defaults list holds lines like - override /trainer: torch",
            ) from error
        if found is not None:
            _check_resolvers(found, where)
        elif name == "experiment/none":
            former_options.report("experiment=none", "experiment=null")
            return ConfigResult("", config_path, OmegaConf.create(), {"package": "_global_"}, [])
        return found


def _parsed(text: str) -> Any:
    return OmegaConf.load(io.StringIO(text))


def _check_resolvers(found: ConfigResult, where: str) -> None:
    interpolations.check_node(found.config, where)
    interpolations.check_node(list((found.header or {}).values()), where)
    for default in found.defaults_list or ():
        interpolations.check_node(list(vars(default).values()), where)


class CheckedLoader(ConfigLoaderImpl):
    """Hydra's loader, which refuses what may not be set before it acts on it.

    Args:
        config_search_path: Where configurations are looked for.
        typed: The words that a person typed; others come from files.

    Attributes:
        former: Options that had another name, of the task and of installed parts.
        settings: Each option below ``hydra`` that files and words set, and whether the last
            to do so was typed.
    """

    former: ClassVar[FormerOptions] = {}

    def __init__(self, config_search_path: ConfigSearchPath, typed: Collection[str]) -> None:
        super().__init__(config_search_path)
        self.repository = CheckedRepository(config_search_path)
        self.typed_words = frozenset(typed)
        self.settings: dict[str, bool] = {}

    def load_configuration(self, *args: Any, **options: Any) -> DictConfig:
        """Return the composed configuration.

        Raises:
            ConfigError: A file or a word is refused, or makes Hydra fail.
        """
        try:
            composed: DictConfig = super().load_configuration(*args, **options)
        except (AerosError, HydraException, OmegaConfBaseException):
            raise
        except REFUSALS as error:
            raise ConfigError(first_line(error), hint="aeros run --help") from error
        return composed

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], CachingConfigRepository]:
        self.settings = {}
        overrides = former_options.rewrite_words(overrides, self.former)
        for word in overrides:
            interpolations.check_text(word.replace("\\", ""), word.partition("=")[0])
        for override in OverridesParser.create().parse_overrides(overrides):
            self._check_word(override)
        parsed, repository = super()._parse_overrides_and_create_caching_repo(
            config_name, overrides
        )
        for override in parsed:
            self._check_null(override)
        return _with_deletions(parsed), repository

    def _check_null(self, override: Override) -> None:
        group = override.key_or_group
        allowed = override.is_delete() or (group in _MAY_BE_EMPTY and not override.is_add())
        if not allowed and _is_null(override) and self.repository.group_exists(group):
            raise ConfigError(
                f"{override.input_line} chooses no option, which this group does not allow",
                exists=f"groups that may be null: {', '.join(_MAY_BE_EMPTY)}",
                hint=f"{group}=<option>; aeros options {group} lists them",
            )

    def _check_word(self, override: Override) -> None:
        word = override.input_line or ""
        first, *rest = split_key(override.key_or_group) or [""]
        if first != "hydra":
            return
        path, typed = ".".join([first, *rest]), word in self.typed_words
        if path == "hydra.searchpath":
            _check_search_path(override.value(), typed=typed)
            return
        if override.is_delete() or override.is_sweep_override():
            raise ConfigError(
                f"{word}: options of Hydra are set, not swept over or deleted",
                exists=", ".join(allowlist.SETTABLE),
                hint=f"{path}=<value>",
            )
        for name, value in allowlist.leaves(override.value(), path):
            allowlist.check_setting(name, value, word)
            self.settings[name] = typed

    def _process_config_searchpath(
        self,
        config_name: str | None,
        parsed_overrides: list[Override],
        repo: CachingConfigRepository,
    ) -> None:
        primary = repo.load_config(config_name) if config_name else None
        if primary is not None and isinstance(primary.config, DictConfig):
            listed = OmegaConf.select(primary.config, "hydra.searchpath")
            _check_search_path(listed, typed=False)
        super()._process_config_searchpath(config_name, parsed_overrides, repo)

    def _load_single_config(self, default: ResultDefault, repo: Any) -> ConfigResult:
        loaded: ConfigResult = super()._load_single_config(default, repo)
        where = f"{default.config_path} of {loaded.provider}"
        former_options.rewrite_node(loaded.config, self.former, where)
        if not _trusted(default, loaded):
            for name, value in _below_hydra(loaded.config):
                allowlist.check_setting(name, value, where)
                self.settings.setdefault(name, False)
        return loaded


def _with_deletions(overrides: Sequence[Override]) -> list[Override]:
    """Return overrides with ``GROUP=null`` as a deletion, which is how Hydra empties a group.

    Of several choices in such a group the last is kept, because in Hydra a deletion takes
    precedence over a choice wherever it stands. What is swept over is composed job by job.
    """
    choices = [each for each in overrides if _may_be_null(each)]
    last = {each.key_or_group: each for each in choices}
    kept = [each for each in overrides if each not in choices or last[each.key_or_group] is each]
    for override in last.values():
        if _is_null(override):
            override.type = OverrideType.DEL
    return kept


def _may_be_null(override: Override) -> bool:
    """Return whether an override chooses an option of a group that may be empty.

    ``+inferencer@inferencer.members.a=torch`` has the same group and another package.
    """
    return (
        override.key_or_group in _MAY_BE_EMPTY
        and override.package is None
        and override.type is OverrideType.CHANGE
        and not override.is_sweep_override()
    )


def _is_null(override: Override) -> bool:
    return not override.is_sweep_override() and override.value() is None


def _trusted(default: ResultDefault, loaded: ConfigResult) -> bool:
    """Tell whether a file is Hydra's own in its own place, or the configuration of aeros."""
    group, _, _ = (default.config_path or "").rpartition("/")
    if group.partition("/")[0] != "hydra":
        return bool(loaded.path == OURS and default.primary)
    own = "hydra" if group == "hydra/output" else group.replace("/", ".")
    return bool(loaded.path.startswith(HYDRAS) and default.package == own)


def _below_hydra(config: Any) -> list[tuple[str, Any]]:
    if not isinstance(config, DictConfig) or "hydra" not in config:
        return []
    return list(allowlist.leaves(config._get_node("hydra"), "hydra"))


def _check_search_path(listed: Any, *, typed: bool) -> None:
    """Refuse a search path that imports a package, or leads out of the working directory.

    Raises:
        ConfigError: It does.
    """
    paths = (
        list(listed) if isinstance(listed, list | ListConfig) else [listed] * (listed is not None)
    )
    for path in map(str, paths):
        scheme, sign, rest = path.partition("://")
        folder = rest if sign else path
        if sign and scheme != "file":
            raise ConfigError(
                f"hydra.searchpath={path} would import a package",
                exists="folders of configuration files",
                hint="--config-dir DIR",
            )
        root = os.path.realpath(Path.cwd())
        inside = os.path.commonpath([os.path.realpath(folder), root]) == root
        if not typed and not inside:
            raise ConfigError(
                f"hydra.searchpath={path}, set in a file, leads outside the working directory",
                exists=f"folders below {root}",
                hint=f"--config-dir {folder}, if this is meant",
            )
