"""Runs in a store: rounds, checkpoints, locks and late uploads.

Begin with `stored_runs`. `run_locks` locks runs for this process, `upload_spool` stores rounds
until they can be uploaded.

The definition of a round does not belong here, see `aeros_core.records`.
"""
