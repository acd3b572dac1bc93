"""How results look: tables, curves, progress, lineage and the run's directory.

Begin with `run_directory`, which writes what a run leaves behind. `compare` sets the runs of a
sweep side by side, `queries` and `lineage` serve ``aeros results``.

Nothing here changes a result; computing metrics does not belong here, see
`aeros_core.federated.evaluation`.
"""
