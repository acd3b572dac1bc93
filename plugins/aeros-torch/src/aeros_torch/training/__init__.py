"""Local training of one client, whichever engine carries it out.

Begin with `local_training`, the options of one local round, and `context`, what is made once for a
schema. `batches` feeds rows, `optimizers` and `flat_optimizers` step, `evaluation` measures,
`update_scalars` reports.

The choice of an engine does not belong here, see `aeros_torch.engines`.
"""
