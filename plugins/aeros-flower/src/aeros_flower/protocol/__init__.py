"""What controller and executors say to one another, as Flower's messages.

Begin with `messages`, which packs instructions and replies, and `message_content`, the form of
every message: JSON and blocks of arrays. `preparation` is what nodes receive before a task;
`request_limits` and `layouts` bound what is read.

Connections do not belong here, see `aeros_flower.superlink` and
`aeros_flower.executor.fleet_client`.
"""
