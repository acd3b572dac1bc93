"""Flower's records as JSON and blocks of bytes, by public API alone, and back.

What passes between two processes of this machine; nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

__all__ = ["pack", "unpack"]

_KINDS = {"config": ConfigRecord, "metrics": MetricRecord}


def pack(content: RecordDict) -> tuple[dict[str, Any], list[bytes]]:
    """Return records as plain data, and the blocks that it names by number."""
    blocks: list[bytes] = []

    def block(data: bytes) -> dict[str, int]:
        blocks.append(data)
        return {"block": len(blocks) - 1}

    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return block(value)
        return [plain(one) for one in value] if isinstance(value, list) else value

    head: dict[str, Any] = {}
    for name, record in content.items():
        if isinstance(record, ArrayRecord):
            rows = [[k, a.dtype, list(a.shape), a.stype, block(a.data)] for k, a in record.items()]
            head[name] = ["arrays", rows]
        else:
            kind = "config" if isinstance(record, ConfigRecord) else "metrics"
            head[name] = [kind, [[k, plain(value)] for k, value in record.items()]]
    return head, blocks


def unpack(head: Mapping[str, Any], blocks: Sequence[bytes]) -> RecordDict:
    """Return the records that `pack` took apart."""

    def whole(value: Any) -> Any:
        if isinstance(value, dict):
            return blocks[value["block"]]
        return [whole(one) for one in value] if isinstance(value, list) else value

    content = RecordDict()
    for name, (kind, rows) in head.items():
        if kind == "arrays":
            content[name] = ArrayRecord(
                {key: Array(d, tuple(shape), s, whole(data)) for key, d, shape, s, data in rows}
            )
        else:
            content[name] = _KINDS[kind]({key: whole(value) for key, value in rows})
    return content
