"""The inferencer that asks a server: tries, hedges, and knows when to leave it alone."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any
from urllib.parse import quote

from aeros_core.data import Batch
from aeros_core.errors import AerosError, ConfigError, RemoteError
from aeros_core.records import Model, Module
from aeros_core.roles.inferencer import Count, Inferencer
from aeros_graphs.remote.circuit_breaker import CircuitBreaker
from aeros_graphs.remote.connection import Answer
from aeros_graphs.remote.http_client import HttpClient, Unreachable
from aeros_graphs.remote.tensors import HEADER, read, written

__all__ = ["RemoteInferencer"]

_AGAIN = (429, 502, 503, 504)
"""Statuses of a server that could answer later."""

_GUILTY = (400, 413, 422)
"""Statuses that say that the request is wrong; others are no fault of whoever asked."""


class RemoteInferencer:
    """Asks a model on a server of the Open Inference Protocol v2; options as `config.Remote`.

    Raises:
        ConfigError: An option is out of its range, or the address or the token cannot be.
    """

    def __init__(
        self,
        *,
        url: str,
        model: str | None,
        version: str,
        timeout: float,
        retries: int,
        backoff: float,
        hedge: float,
        failures: int,
        pause: float,
        token: str,
        ca: str | None,
        binary: bool,
        concurrency: int,
    ):
        _check(timeout=timeout, failures=failures, pause=pause)
        for name, value in (("retries", retries), ("backoff", backoff), ("hedge", hedge)):
            if value < 0:
                raise ConfigError(f"inferencer.{name}={value} is not possible", exists="0 or more")
        if concurrency < 1:
            raise ConfigError(f"inferencer.concurrency must be 1 or more, got {concurrency}")
        self._url, self._version, self._binary = url, version, binary
        self._endpoint = HttpClient(url, token, ca)
        self._model, self._name, self._token = model, model, token
        self._timeout, self._tries, self._backoff = timeout, retries + 1, backoff
        self._breaker = CircuitBreaker(failures, pause)
        self._hedge = hedge
        self._pool = ThreadPoolExecutor(2 * concurrency) if hedge else None
        self.concurrency = concurrency
        self._retried = self._hedged = 0
        self._counting = threading.Lock()
        self._jitter = random.Random(0)  # noqa: S311 - when to try again is no secret

    members: Mapping[str, Mapping[str, Any]] = {}

    def take(self, members: Mapping[str, Inferencer]) -> None:
        """Take none; who asks others is given raw batches, and the server prepares them."""

    def load(self, model: Model, module: Module | None = None) -> None:  # noqa: ARG002
        """Take the model's name, unless another is configured; the server has the model."""
        self._name = self._model or model.name

    def predict(self, batch: Batch) -> Batch:
        """Return what the server answers.

        Raises:
            ConfigError: Nothing was loaded, or the server finds the request wrong.
            RemoteError: The server did not answer in time.
            AerosError: It does not answer as the protocol says, or refuses for another
                reason: it has no such model, or knows no such token.
        """
        if self._name is None:
            raise ConfigError("no model is loaded", hint="call load first")
        version = f"/versions/{quote(self._version, safe='')}" if self._version else ""
        path = f"/v2/models/{quote(self._name, safe='')}{version}/infer"
        body, headers = written(batch, binary=self._binary)
        answer = self._answered(path, body, headers)
        if answer.status != 200:
            raise _refused(self._url, answer, self._binary, self._token)
        if (packed := answer.headers.get("content-encoding", "identity")) != "identity":
            raise AerosError(
                f"{self._url} answers in the encoding {packed[:40]!r}, which was not asked for",
                hint="have the server, or a proxy before it, heed Accept-Encoding: identity",
            )
        try:
            return read(answer.body, answer.headers.get(HEADER.lower()))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise AerosError(
                f"{self._url} does not answer as the Open Inference Protocol says: {error}",
                hint="inferencer.binary=false for servers without binary tensors",
            ) from error

    def counts(self) -> Iterator[Count]:
        """Yield how often it took more than one request, and whether the server is left alone."""
        yield Count("aeros_remote_retries_total", "Further tries at a server", self._retried)
        yield Count("aeros_remote_hedges_total", "Requests sent a second time", self._hedged)
        what = "1 while a server is left alone after failures"
        yield Count("aeros_remote_open", what, int(self._breaker.open))

    def _answered(self, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Return the first answer that is worth having, within the time there is."""
        deadline = time.monotonic() + self._timeout
        reason, pause = "", self._backoff
        for attempt in range(self._tries):
            if left := self._breaker.closed_in():
                reason = reason or "it failed again and again"
                raise self._failed(f"{reason}; it is tried again in {left:.1f} s")
            if attempt:
                with self._counting:
                    self._retried += 1
            try:
                answer = self._once(path, body, headers, deadline)
            except Unreachable as error:
                self._breaker.tell(success=False)
                reason = str(error)
            else:
                busy = answer.status in _AGAIN
                self._breaker.tell(success=not busy)
                if not busy:
                    return answer
                reason = f"status {answer.status}"
            rest = pause * self._jitter.uniform(0.5, 1)
            pause *= 2
            if attempt + 1 == self._tries or time.monotonic() + rest >= deadline:
                break
            time.sleep(rest)
        raise self._failed(reason)

    def _once(self, path: str, body: bytes, headers: dict[str, str], deadline: float) -> Answer:
        def post() -> Answer:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Unreachable(f"no answer within {self._timeout:g} s")
            return self._endpoint.post(path, body, headers, left)

        if self._pool is None:
            return post()
        futures: set[Future[Answer]] = {self._pool.submit(post)}
        wait(futures, self._hedge)
        if not next(iter(futures)).done():
            with self._counting:
                self._hedged += 1
            futures.add(self._pool.submit(post))
        return self._first(futures)

    def _first(self, futures: set[Future[Answer]]) -> Answer:
        """Return the first answer; the failure of one of two is passed over."""
        waiting = futures
        while True:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            good = [f for f in done if f.exception() is None]
            if good or not waiting:
                return (good or list(done))[0].result()

    def _failed(self, reason: str) -> RemoteError:
        return RemoteError(
            f"{self._url} did not answer: {reason}",
            hint="is the server there? inferencer.timeout and inferencer.retries give it longer",
        )


def _check(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ConfigError(f"inferencer.{name}={value} is not possible", exists="above 0")


def _refused(url: str, answer: Answer, binary: bool, token: str) -> AerosError:
    kind, hint = ConfigError if answer.status in _GUILTY else AerosError, ""
    if 300 <= answer.status < 400 and (there := answer.headers.get("location", "")):
        hint = f"it points to {there[:200]!r}: inferencer.url=…, as redirects are not followed"
    elif answer.status in (401, 403):
        why = "what it holds is not taken" if os.environ.get(token) else "it is not set"
        hint = f"export {token}=…; {why}"
    elif kind is ConfigError and binary:
        hint = "inferencer.binary=false for servers without binary tensors"
    return kind(f"{url} refuses, status {answer.status}: {_reason(answer.body)}", hint=hint)


def _reason(body: bytes) -> str:
    """Return what a server says, in the protocol's form or in its own."""
    try:
        said = str(json.loads(body)["error"])
    except (ValueError, LookupError, TypeError):
        said = " ".join(body.decode(errors="replace").split())
    return said[:500] or "without a reason"
