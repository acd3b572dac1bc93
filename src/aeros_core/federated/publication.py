"""The model that a run stores when it ends."""

from __future__ import annotations

from aeros_core.federated.run_state import RunState
from aeros_core.parameters import Parameters
from aeros_core.preprocessing import samples
from aeros_core.preprocessing.pipeline import Prepared
from aeros_core.records import Model
from aeros_core.roles.components import Components
from aeros_core.roles.transformer import Transformer
from aeros_core.tasks.task import Task

__all__ = ["publish"]


def publish(
    task: Task,
    parts: Components,
    data: Prepared,
    here: RunState,
    parameters: Parameters,
    parents: tuple[str, ...],
) -> dict[str, str | int]:
    """Store the model of a run, unless its last round is stored already.

    Args:
        task: The task.
        parts: With what it was trained.
        data: On what.
        here: The run, after its last round.
        parameters: Those to use, which need not be those that training would go on from.
        parents: Digests of the models that it was made from.

    Returns:
        Name, version and digest of the stored model.

    Raises:
        RepositoryError: The repository refuses.
    """
    repository = parts.repository
    stored = [m for m in repository.models(task.name) if m.run == here.run.id]
    if not stored or stored[-1].round != here.number:
        stored = [repository.publish(_model(task, parts, data, here, parameters, parents))]
    last = stored[-1]
    return {"name": last.name, "version": last.version, "digest": last.digest}


def _model(
    task: Task,
    parts: Components,
    data: Prepared,
    here: RunState,
    parameters: Parameters,
    parents: tuple[str, ...],
) -> Model:
    steps = parts.config.get("transformer") or {}
    return Model(
        name=task.name,
        parameters=parameters,
        schema=data.schema,
        inputs=data.source,
        module=(parts.config.get("trainer") or {}).get("model") or {},
        transformers={
            name: steps.get(name, {})
            for name, step in parts.transformers.items()
            if isinstance(step, Transformer)
        },
        fitted=data.fitted,
        run=here.run.id,
        round=here.number,
        metrics=here.measured,
        versions=parts.versions,
        parents=parents,
        samples=samples.stored_rows(task.samples, parts.transformers, data.test),
    )
