"""The six roles that plugins implement, and the optional capabilities of each.

Every role is a Protocol in a module of its name, and what only some of its implementations can do
is a Protocol named ``SupportsX`` beside it; what any role may have is in `stateful` and
`disclosure`. The core asks with ``isinstance`` and does without where the answer is no; a method
that raises NotImplementedError is never needed. Begin with `collector`. `codec` and `nodes` are
what a collector and a controller bring along, `components` is what a task is given, and `events`
is the typed view of the hooks that callbacks implement.

Roles never import or call one another: `aeros_core.federated.rounds` and the controllers bring them
together. Implementations do not belong here: they live in plugins, and the contract tests for
them in `aeros_core.testing`.
"""
