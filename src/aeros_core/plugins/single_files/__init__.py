"""Plugins that are single files, named by ``--plugin FILE.py`` for one command.

The command line alone names them: no configuration, record, message or environment variable does.
Begin with `plugin_files`, which holds the files of this command and what they register; `source`
reads one and imports it.

What a file may register does not belong here, see `aeros_core.plugins.registration`.
"""
