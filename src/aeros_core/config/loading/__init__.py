"""Configuration files, checked before Hydra composes them.

Begin with `loader`, Hydra's loader with the checks of `checked_loader`. `allowlist` limits what
files may set below ``hydra``, `interpolations` limits resolvers, `yaml_files` reads plain YAML
within limits, and `diagnostics` turns Hydra's errors into `ConfigError`.

What becomes of a composed configuration does not belong here, see `aeros_core.config`.
"""
