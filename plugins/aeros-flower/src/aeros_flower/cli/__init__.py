"""The commands ``aeros executor``, ``up``, ``down`` and ``certs``.

Begin with `executor`. `site` prints what a site decides, `site_arguments` has the options by which
it does.

Logic does not belong here: a command parses words, calls the packages below and prints.
"""
