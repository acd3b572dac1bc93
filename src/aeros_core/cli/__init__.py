"""The command line ``aeros``.

Begin with `main`: it parses the words, calls a command and prints errors. `commands` finds the
core's and the plugins'. Each other module holds one of them; `arguments` has what several commands
share.

Logic does not belong here: a command parses words, calls the layers below and prints.
"""
