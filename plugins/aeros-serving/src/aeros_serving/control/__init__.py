"""Which models a server has, as its clients and the tags of the repository ask for.

Begin with `controller`, which resolves tags and carries out one change at a time. What it changes
are the processes of the server: this one alone, see `process_group`, or several, see
`aeros_serving.workers`. `report` sums up what they have done.

Loading and predicting do not belong here, see `aeros_serving.models`.
"""
