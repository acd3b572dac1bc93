"""The executors that a controller knows: who is there, and who serves whom.

Begin with `executors`, which holds the connected ones, each a `connected_executor`. `assignment`
says which executor serves which client, `backoff` leaves silent ones alone, `presence` waits for
those that are missing.

Sending instructions does not belong here, see `aeros_flower.controller.nodes`.
"""
