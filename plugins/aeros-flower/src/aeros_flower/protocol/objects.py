"""Flower's objects: what a message is taken apart into on its way, and put together from.

A message travels without its content; that follows as objects under their digests, each of
which is sent once. Like `aeros_flower.superlink.embedded` this goes with ``flwr==1.41.0`` alone.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, TypeAlias

from aeros_flower.system import memory

__all__ = ["Ask", "Broken", "apart", "fetch", "send", "whole"]

Ask: TypeAlias = Callable[[str, Any], Any]
"""Asks a SuperLink: called with the name of a method and a request, returns the response."""

_FEW = 6
"""Objects up to which one request after the other is quicker than threads."""


class Broken(ConnectionError):
    """An object could not be sent or fetched."""


@contextlib.contextmanager
def apart(message: Any) -> Iterator[tuple[Any, dict[str, Any], Any]]:
    """Yield a message without its content, all its objects by id, and the tree they form.

    The message gets its id; objects are to be deflated within the context.
    """
    from aeros_flower.system.flower_internals import (
        get_all_nested_objects,
        get_object_tree,
        no_object_id_recompute,
        remove_content_from_message,
    )

    with no_object_id_recompute(), _written_once(message.content.values()):
        message.metadata.__dict__["_message_id"] = message.object_id
        objects, tree = get_all_nested_objects(message), get_object_tree(message)
        yield remove_content_from_message(message), objects, tree


@contextlib.contextmanager
def _written_once(records: Iterable[Any]) -> Iterator[None]:
    """Have records made into bytes once: Flower does it for the digest, and again to send them."""
    from flwr.app import ConfigRecord

    configs = [record for record in records if isinstance(record, ConfigRecord)]
    for config in configs:
        config.__dict__["deflate"] = cache(config.deflate)
    try:
        yield
    finally:
        for config in configs:
            config.__dict__.pop("deflate", None)


def send(
    ask: Ask, node: Any, run: int, session: str, objects: dict[str, Any], wanted: set[str]
) -> None:
    """Send those objects that a SuperLink wants; they are let go of one by one.

    Raises:
        Broken: It did not take one.
    """
    from aeros_flower.system.flower_internals import (
        ObjectPushError,
        make_push_object_fn_protobuf,
        push_objects,
    )

    give = make_push_object_fn_protobuf(
        lambda request: ask("PushObject", request), node, run, session
    )
    few = 1 if len(wanted) <= _FEW else 4

    def counted(name: str, data: bytes) -> None:
        give(name, data)
        memory.passed(len(data))

    try:
        push_objects(objects, counted, object_ids_to_push=wanted, max_concurrent_pushes=few)
    except ObjectPushError as error:
        raise Broken(str(error)) from error


def fetch(ask: Ask, node: Any, run: int, tree: Any, most: float = math.inf) -> Any:
    """Fetch the objects of a tree, and return the message that they are.

    Args:
        ask: Asks the SuperLink.
        node: Who fetches.
        run: Flower's run.
        tree: Of the message's objects.
        most: Bytes that they may have.

    Raises:
        Broken: One is missing, did not come in time, or they are too large.
        ValueError: They are no message.
    """
    from aeros_flower.system.flower_internals import (
        ObjectPullError,
        iterate_object_tree,
        make_pull_object_fn_protobuf,
        pull_objects,
    )

    ids = [found.object_id for found in iterate_object_tree(tree)]
    take = make_pull_object_fn_protobuf(lambda request: ask("PullObject", request), node, run)

    size = 0

    def counted(name: str) -> bytes:
        nonlocal size
        data = take(name)
        size += len(data)
        if size > most:
            raise ObjectPullError(name, f"the message has more than {most} bytes")
        memory.passed(len(data))
        return data

    try:
        contents = pull_objects(ids, counted, max_concurrent_pulls=1 if len(ids) <= _FEW else 4)
    except ObjectPullError as error:
        raise Broken(str(error)) from error
    return whole(tree.object_id, contents)


def whole(name: str, contents: dict[str, bytes]) -> Any:
    """Return the object of this id, put together from the contents of all that it is of.

    Arrays are joined from their chunks here, once; Flower would copy them three times.

    Args:
        name: Its id.
        contents: By id; it is emptied on the way.

    Raises:
        ValueError: They are no object.
    """
    from aeros_flower.system.flower_internals import (
        get_object_head_values_from_object_content as head_of,
    )
    from aeros_flower.system.flower_internals import inflate_object_from_contents

    try:
        heads = {found: head_of(content) for found, content in contents.items()}
        arrays = {found: head[1] for found, head in heads.items() if head[0] == "Array"}
        uses = Counter(chunk for chunks in arrays.values() for chunk in chunks)
        made = {found: _array(contents, found, chunks, uses) for found, chunks in arrays.items()}
        return inflate_object_from_contents(name, contents, objects=made)
    except (KeyError, IndexError, TypeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _array(contents: dict[str, bytes], name: str, chunks: list[str], uses: Counter[str]) -> Any:
    """Return an array joined from its chunks; those that no other array has are let go of."""
    from flwr.app import Array

    told = json.loads(bytes(_body(contents.pop(name))))
    data = b"".join(_body(contents[chunks[place]]) for place in told["arraychunk_ids"])
    uses.subtract(chunks)
    for chunk in chunks:
        if not uses[chunk]:
            contents.pop(chunk, None)
    return Array(told["dtype"], tuple(told["shape"]), told["stype"], data)


def _body(content: bytes) -> memoryview:
    return memoryview(content)[content.index(b"\0") + 1 :]
