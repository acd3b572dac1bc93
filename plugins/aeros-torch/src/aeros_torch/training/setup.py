"""A trainer's options, checked once; for each schema they make what an engine needs.

Worker processes make the same from the options as plain data, without a trainer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aeros_core.records import Module
from aeros_core.schema import Schema
from aeros_torch.config import Precision
from aeros_torch.modules.builder import build, outputs, target_of
from aeros_torch.modules.device import device_of
from aeros_torch.modules.early_exit import EarlyExit
from aeros_torch.modules.losses import Loss
from aeros_torch.modules.output_checks import check_batches, check_outputs
from aeros_torch.training.batches import Batches, DeviceColumns
from aeros_torch.training.context import TrainingContext
from aeros_torch.training.label_check import Labels
from aeros_torch.training.local_training import LocalTraining
from aeros_torch.training.optimizers import Optimizer

__all__ = ["TrainingSetup"]


class TrainingSetup:
    """The model, loss, optimizer and device of a trainer.

    Args:
        model: Builds the network.
        options: Those of `aeros_torch.config.TorchTrainer`, without the model.

    Attributes:
        loss: The loss by name.

    Raises:
        ConfigError: An option does not exist, or does not go with another.
    """

    def __init__(self, model: Module, options: Mapping[str, Any]) -> None:
        self._model, self._options = model, options
        self.loss = Loss(options["loss"], options["loss_options"])
        self._device = device_of("trainer.device", options["device"])
        self._recipe = _local_training(options)
        self._resident = DeviceColumns(self._device, keep=self._device.type == "cuda")

    def context(self, schema: Schema, seed: int = 0) -> TrainingContext:
        """Return a module for these data, and all that an engine needs to train it.

        Raises:
            ConfigError: The model cannot be built for these data.
        """
        network = build(schema, self._model, self._device, seed)
        target, feature = target_of(schema), schema.features[0]
        criterion = self.loss.of(target)
        logarithms = bool(self.loss.options.get("log_input", True))
        check_outputs(network.module, feature, self.loss.name(target), logarithms)
        if network.needs_pairs:
            check_batches(network.module, feature, self._recipe.batch_size)
        if isinstance(network.module, EarlyExit):
            criterion = network.module.criterion(criterion, target)
        feed = Batches(
            feature=feature.name,
            target=target.name,
            outputs=None if target.categories is not None else outputs(target),
            resident=self._resident,
            smallest=2 if network.needs_pairs else 1,
            labels=Labels(target.name, None if target.categories is None else outputs(target)),
        )
        return TrainingContext(
            model=self._model,
            options=self._options,
            schema=schema,
            network=network,
            feed=feed,
            target=target,
            loss=self.loss,
            criterion=criterion,
            recipe=self._recipe,
            workers=self._options["workers"],
            eval_batch_size=self._options["eval_batch_size"],
            eval_threads=self._options["eval_threads"],
        )


def _local_training(options: Mapping[str, Any]) -> LocalTraining:
    def of(*names: str) -> list[Any]:
        return [options[name] for name in names]

    how = Optimizer(*of("optimizer", "lr", "momentum", "weight_decay", "optimizer_options"))
    names = ("epochs", "steps", "batch_size", "proximal_mu", "clip_norm", "threads")
    told = {name: options[name] for name in names}
    return LocalTraining(optimizer=how, precision=Precision(options["precision"]), **told)
