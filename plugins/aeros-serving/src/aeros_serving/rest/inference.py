"""Answer a request for an inference: read it, wait for the model, write the response."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from aeros_serving.config import NonFinite
from aeros_serving.models.queue import RequestQueue
from aeros_serving.prediction import checked, predicted
from aeros_serving.protocol.tensors import Buffer
from aeros_serving.requests import answer_cost, outputs_of, run_by_cost
from aeros_serving.rest import codec, compression
from aeros_serving.rest.http_message import HttpRequest, HttpResponse

__all__ = ["infer"]

_PACK = 1024
"""Bytes below which a response is not worth compressing."""

COMPRESSED = 2
"""Cost of a byte of an answer that is compressed, see `requests.LARGE`."""


async def infer(
    request: HttpRequest, queue: RequestQueue, non_finite: NonFinite | None
) -> HttpResponse:
    """Return a model's answer to a request.

    Args:
        request: With the rows in its body.
        queue: Of the version that is asked.
        non_finite: What becomes of NaN and infinity in JSON, see `codec.encode`.

    Raises:
        Refused: The request is malformed, or there is no answer.
    """
    served = queue.served
    body, length = request.body, request.headers.get(codec.LENGTH)
    asked, batch = await checked(
        served, codec.cost(body, length), lambda: codec.request_of(body, length)
    )
    answer = await predicted(queue, asked, batch, time.monotonic() + asked.timeout)
    accepted = request.headers.get("accept-encoding", "")

    def written() -> HttpResponse:
        outputs = outputs_of(asked, served, answer)
        return _response(*codec.encode(asked, served, outputs, non_finite), accepted)

    cost = answer_cost(asked, answer)
    if "gzip" in accepted or "deflate" in accepted:
        cost += COMPRESSED * sum(column.nbytes for column in answer.values())
    return await run_by_cost(cost, written)


def _response(
    pieces: Sequence[Buffer], extra: Mapping[str, str | int], accepted: str
) -> HttpResponse:
    """Return the response with a body, compressed where the client accepts that."""
    headers = [(name, str(value)) for name, value in extra.items()]
    if "content-type" not in extra:
        headers.append(("content-type", "application/json"))
    body = b"".join(pieces)
    if accepted and len(body) > _PACK:
        body, encoding = compression.packed(accepted, body)
        if encoding:
            headers.append(("content-encoding", encoding))
    return HttpResponse(200, headers, body)
