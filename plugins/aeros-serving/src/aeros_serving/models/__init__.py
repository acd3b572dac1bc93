"""Loaded models: versions, queues, batches, canaries and statistics.

Begin with `repository`, which loads, swaps and unloads, then `queue`, which makes batches of
requests. A `deployment` is a model by its name; a `version` is one that is loaded and warm.

Nothing about HTTP or gRPC belongs here, see `aeros_serving.rest` and `aeros_serving.grpc`.
"""
