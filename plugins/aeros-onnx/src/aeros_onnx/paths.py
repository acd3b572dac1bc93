"""Which nodes of a graph values are computed by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from onnx import NodeProto

__all__ = ["sources", "takes"]


def sources(nodes: Sequence[NodeProto], values: Iterable[str]) -> frozenset[int]:
    """Return the numbers of the nodes from which values are computed."""
    maker = {name: i for i, node in enumerate(nodes) for name in node.output if name}
    found: set[int] = set()
    waiting = [maker[name] for name in values if name in maker]
    while waiting:
        if (i := waiting.pop()) not in found:
            found.add(i)
            waiting += [maker[name] for name in takes(nodes[i]) if name in maker]
    return frozenset(found)


def takes(node: NodeProto) -> set[str]:
    """Return the values that a node takes, those of graphs within it too."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            names |= {name for held in inner.node for name in takes(held)}
    return names
