"""Nodes without a model, a thread each: ADDRESS NAME…"""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import asdict

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from flwr.app import Array, ArrayRecord, RecordDict

from aeros_core.messages import Instruction, Update
from aeros_core.parameters import Parameters
from aeros_core.tasks.infrastructure import Description, this_machine
from aeros_flower.executor.fleet_client import FleetClient
from aeros_flower.protocol import message_content, messages

__all__ = ["records"]


def be_nodes(address: str, names: list[str]) -> None:
    """Run nodes of these names, a thread each, until this process is killed."""
    threads = [threading.Thread(target=node, args=(address, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def node(address: str, name: str) -> None:
    fleet = FleetClient(address, insecure=True)
    element = asdict(this_machine(Description()))
    told = {"name": name, "own": False, "versions": {}, "element": element, "error": ""}
    while True:
        message = fleet.pull(10)
        if message is None:
            continue
        content = message.content
        if "aeros" not in content:  # the same bytes with nothing done
            answer = moved(content, fleet.number)
        elif message_content.kind_of(content) == "prepare":
            answer = messages.pack_note("prepared", told)
        else:
            answer = messages.pack_replies(updates(messages.unpack_instructions(content)))
        fleet.push(answer, message, 0.0)


def updates(instructions: list[Instruction]) -> list[Update]:
    """Return what each client answers: what it was sent, and its number added."""
    made = []
    for told in instructions:
        new = told.parameters.vector + np.float32(1 + int(told.node.rpartition("-")[2]))
        parameters = Parameters(told.parameters.layout, {"float32": new})
        made.append(Update(told.node, told.round, parameters, 1, {"loss": 0.0}))
    return made


def moved(content: RecordDict, number: int) -> RecordDict:
    """Return an array of Flower's with a number added."""
    values = np.frombuffer(content["r"]["packed"].data, "float32") + np.float32(number % 97)
    return records(values)


def records(values: np.ndarray) -> RecordDict:
    packed = Array("uint8", (values.nbytes,), "raw", values.tobytes())
    return RecordDict({"r": ArrayRecord({"packed": packed})})


if __name__ == "__main__":
    be_nodes(sys.argv[1], sys.argv[2:])
