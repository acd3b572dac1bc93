"""The process on each machine that trains and predicts for tasks.

Begin with `executor`: it finds its controller with `controller_search`, connects with
`fleet_client` and answers with `responder`. `preparation` and `task_job` build the task's trainer
and data and carry out instructions.

What the site permits does not belong here, see `aeros_flower.site`.
"""
