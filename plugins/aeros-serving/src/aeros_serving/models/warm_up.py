"""The first predictions of a loaded version, of rows that have no meaning."""

from __future__ import annotations

from aeros_core.data import Batch
from aeros_core.errors import AerosError, ConfigError, RemoteError, RepositoryError
from aeros_core.inference.outputs import named
from aeros_core.inference.service import Service
from aeros_serving.protocol.input_schema import InputSchema

__all__ = ["WarmUp"]

_FREE = (1, 16, 64)
"""Lengths that a dimension without one is tried with."""

_STRETCHES = (64, 1024)
"""Numbers of rows that are tried with a model that one row is not enough for."""


class WarmUp:
    """Predicts rows of no meaning, to see what comes.

    Args:
        service: The model.
        contract: What its rows are.
        name: Its name.
        version: Its version.

    Attributes:
        free: The length of free dimensions with which `first` succeeded.
    """

    def __init__(self, service: Service, contract: InputSchema, name: str, version: int) -> None:
        self._service, self._contract = service, contract
        self._name, self._version = name, version
        self.free = 1

    def first(self) -> tuple[Batch, Batch]:
        """Return rows that can be predicted, and the prediction: one row, if the model takes that.

        Raises:
            ConfigError: No rows can be predicted.
            RemoteError: A server that the model asks does not answer.
        """
        tries = [(1, free) for free in (_FREE if self._contract.free else (1,))]
        why: BaseException | None = None
        samples = [(*each, self._contract.sample) for each in tries]
        samples += [(*each, self._contract.ones) for each in tries]
        samples += [(rows, 1, self._contract.sample) for rows in _STRETCHES]
        for rows, free, make in samples:
            sample = make(rows, free)
            try:
                output = self._service.predict(sample)
            except (RemoteError, KeyboardInterrupt):
                raise
            except BaseException as error:
                why = error if why is None or rows == 1 else why
            else:
                self.free = free
                return sample, output
        raise self._failure(why) from why

    def again(self, sample: Batch) -> None:
        """Predict rows that could be predicted once more.

        Raises:
            ConfigError: They cannot.
            RemoteError: A server that the model asks does not answer.
        """
        try:
            self._service.predict(sample)
        except (RemoteError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise self._failure(error) from error

    def longer(self) -> Batch | None:
        """Return the prediction of a row whose free dimensions are longer; None: there is none.

        Raises:
            RemoteError: A server that the model asks does not answer.
        """
        if not self._contract.free:
            return None
        try:
            return self._service.predict(self._contract.sample(1, 2 * self.free + 1))
        except (RemoteError, KeyboardInterrupt):
            raise
        except BaseException:
            return None  # the model takes some lengths alone

    def _failure(self, why: BaseException | None) -> ConfigError:
        """Return the error of a model that does not predict, and what to do about it."""
        told = f"model '{self._name}' version {self._version} cannot answer a row:"
        if isinstance(why, AerosError):
            verify = f"aeros models verify {self._name}:{self._version}"
            hint = why.hint or (verify if isinstance(why, RepositoryError) else "")
            asked = f"{told} {' '.join(why.asked.split())}"
            return ConfigError(asked, exists=why.exists, provider=why.provider, hint=hint)
        said = " ".join(f"{type(why).__name__}: {why}".split()).rstrip(": ")
        return ConfigError(
            f"{told} {said}",
            provider=f"inferencer {named(self._service.inferencer)}",
            hint="mend it there, or choose another: inferencer=NAME; aeros plugins lists them",
        )
