"""What a site decides: the tasks it takes part in, and what leaves it.

Begin with `site`, which holds a controller's messages against the policy and keeps the log.
`rules` are the checks one by one, `release` and `redaction` limit what leaves, `usage` and
`work_limits` limit the work.

Carrying out an instruction does not belong here, see `aeros_flower.executor`.
"""
