"""A server in several processes: a supervisor, and workers that share its ports.

Begin with `supervisor`. It starts the workers (`worker_process`), each of which is a program of
its own (`worker`), and talks to them in JSON over a pair of sockets (`channel`). A change of
models is carried out in all of them or in none (`pool`). It reads the models that the workers map
(`shared_models`).

The supervisor builds no model and answers no request. How a worker does that does not belong here:
it is an `aeros_serving.server` like that of a single process.
"""
