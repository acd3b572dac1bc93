"""The engine that trains clients in several processes.

Begin with `engine` and `pool`. A worker process runs `worker`; `channel` carries messages,
`parameter_slots` parameters in shared memory, `trainer_spec` the trainer as plain data.

Training itself does not belong here: a worker trains with `aeros_torch.engines.sequential`.
"""
