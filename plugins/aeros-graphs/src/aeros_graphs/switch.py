"""Rows that choose who answers them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.errors import ConfigError, DataError, RemoteError
from aeros_core.reporting.text import counted
from aeros_graphs.config import Onward
from aeros_graphs.graph import Graph, deal, ordered

__all__ = ["SwitchInferencer"]

_QUIET = 60.0
"""Seconds in which what is answered without being sure is not told of again."""

_log = logging.getLogger(__name__)


class SwitchInferencer(Graph):
    """Asks the member that a row's field names, or one after the other until one is sure.

    Options as `config.Switch`.

    Raises:
        ConfigError: There are fewer than two members, the threshold is no share, a case names
            no member, the order does not name each once, or there is nobody to fall back to.
    """

    def __init__(
        self,
        *,
        members: Mapping[str, Any],
        order: Sequence[str],
        threshold: float,
        onward: Onward | str,
        field: str | None,
        cases: Mapping[str, str],
        otherwise: str | None,
        fallback: bool,
    ):
        super().__init__(members, least=2)
        if not 0 <= threshold <= 1:
            raise ConfigError(f"inferencer.threshold={threshold} is not possible", exists="0 to 1")
        if (cases or otherwise) and field is None:
            raise ConfigError(
                "inferencer.cases says what values mean, but not of which field",
                hint="inferencer.field=<name of a field>",
            )
        if field is not None and not (cases or otherwise):
            raise ConfigError(
                f"inferencer.field={field} chooses among no cases",
                hint="+inferencer.cases.<value>=<member>",
            )
        if field is not None and fallback:
            raise ConfigError(
                f"inferencer.fallback=true does not go with inferencer.field={field}",
                exists="inferencer.order, whose members answer one after the other",
                hint="leave inferencer.fallback out",
            )
        for member in [*cases.values(), *([otherwise] if otherwise else [])]:
            if member not in members:
                raise ConfigError(
                    f"inferencer.cases names '{member}', which is no member",
                    exists=", ".join(members),
                )
        self._order = ordered(members, order) if field is None else []
        self._threshold, self._field = threshold, field
        self._onward, self._fallback = Onward(onward), fallback
        self._quiet, self._unsure, self._telling = 0.0, 0, threading.Lock()
        self._cases, self._otherwise = cases, otherwise

    def predict(self, batch: Batch) -> Batch:
        """Return each row's answer, of whichever member.

        Raises:
            ConfigError: The field that decides is not in the batch, or a member that has to
                be sure answers without ``scores`` for classes, or with nothing else to go on.
            DataError: A value is no case, and there is no ``otherwise``.
            RemoteError: The server of a member did not answer, and there is no ``fallback``.
        """
        if self._field is None:
            return self._surest(batch, self._order)
        names = list(self.members)
        places = self._places(self._field, batch)
        return deal(batch, places, lambda place, part: self.asked(names[place], part))

    def _places(self, field: str, batch: Batch) -> NDArray[np.int64]:
        if field not in batch:
            raise ConfigError(
                f"the batch has no field '{field}', which decides who answers",
                exists=", ".join(batch) or "no field at all",
            )
        numbers = {name: number for number, name in enumerate(self.members)}
        values = [_text(value) for value in np.asarray(batch[field]).tolist()]
        chosen = {text: self._cases.get(text, self._otherwise) for text in set(values)}
        for text, member in chosen.items():
            if member is None:
                raise DataError(
                    f"field '{field}' holds {text!r}, for which there is no case",
                    hint="inferencer.otherwise=<member>",
                )
        return np.array([numbers[str(chosen[text])] for text in values], np.int64)

    def _surest(self, batch: Batch, names: list[str]) -> Batch:
        answer = self.asked(names[0], batch)
        if len(names) == 1:
            return answer
        unsure = _highest(names[0], answer) < self._threshold
        unsure |= self._threshold == 1  # a score of 1 was rounded to it
        if self._onward is Onward.answer:
            batch, answer = _parted(names[0], answer)
        if not unsure.any():
            return answer
        try:
            further = self._surest({n: column[unsure] for n, column in batch.items()}, names[1:])
        except RemoteError as error:
            if not self._fallback:
                raise
            self._tell(names[0], int(unsure.sum()), error)
            return answer
        kept = {n: column[~unsure] for n, column in answer.items()}
        places = unsure.astype(np.int64)
        return deal(batch, places, lambda place, _: further if place else kept)

    def _tell(self, name: str, rows: int, error: RemoteError) -> None:
        """Say that rows were answered without being sure: at once, then all of a minute."""
        with self._telling:
            self._unsure += rows
            if (now := time.monotonic()) < self._quiet:
                return
            rows, self._unsure, self._quiet = self._unsure, 0, now + _QUIET
        told = "answered by member '%s' instead, which is not sure:"
        _log.warning(f"%s; {told} %s", error.asked, name, counted(rows, "row"))


def _parted(name: str, answer: Batch) -> tuple[Batch, Batch]:
    """Return what the next stage takes, and what is answered."""
    onward = {n: column for n, column in answer.items() if n not in ("scores", "label")}
    if not onward:
        raise ConfigError(
            f"member '{name}' answers scores and label alone, so nothing can go on from there",
            hint="aeros models split NAME --at LAYER --exit makes stages that do;"
            " inferencer.onward=request sends the request",
        )
    return onward, {n: column for n, column in answer.items() if n not in onward}


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _highest(name: str, answer: Batch) -> Array:
    scores = answer.get("scores")
    if scores is None or scores.ndim != 2:
        raise ConfigError(
            f"member '{name}' answers without scores for classes, so it is never sure",
            hint="inferencer.field=<name of a field>",
        )
    return np.asarray(scores.max(1))
