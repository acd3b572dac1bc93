"""Runs in a store: rounds, checkpoints, locks and late uploads.

Begin with `stored_runs`. `run_locks` are the runs that this process holds, `upload_spool` keeps
rounds until a bucket takes them.

What a round is does not belong here, see `aeros_core.records`.
"""
