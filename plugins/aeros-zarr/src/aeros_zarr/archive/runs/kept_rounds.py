"""The rounds of a run whose checkpoint is kept, as a commit finds and leaves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aeros_zarr.archive.records import Content, digests

__all__ = ["KeptRounds"]


@dataclass(frozen=True, slots=True)
class KeptRounds:
    """The rounds of a run whose checkpoint is kept, and the blobs that rounds name.

    Args:
        kept: Numbers of the rounds, in order.
        blobs: Digests that each round names, by its number.
        parameters: Those of ``blobs`` that the vectors of a round begin with, by dtype.
    """

    kept: Sequence[int]
    blobs: dict[int, set[str]]
    parameters: Mapping[int, Mapping[str, str]]

    @classmethod
    def of(cls, contents: Mapping[int, Content]) -> KeptRounds:
        """Return what the records of rounds say, of which the last says which are kept."""
        kept = contents[max(contents)]["kept"] if contents else []
        blobs = {n: digests(content) for n, content in contents.items()}
        return cls(kept, blobs, {n: c["parameters"] for n, c in contents.items()})

    def after(self, number: int, content: Content, kept: Sequence[int]) -> KeptRounds:
        """Return what is kept once a round was committed.

        Args:
            number: Of the round.
            content: Its record.
            kept: Rounds that are kept from then on.
        """
        blobs = {**self.blobs, number: digests(content)}
        parameters = {**self.parameters, number: content["parameters"]}
        return KeptRounds(kept, {n: blobs[n] for n in kept}, {n: parameters[n] for n in kept})

    @property
    def all(self) -> set[str]:
        """Digests of every blob that a round names."""
        return set().union(*self.blobs.values())

    def bases(self, number: int) -> Mapping[str, str]:
        """Return the vectors of the last round up to this one that is kept."""
        before = [n for n in self.kept if n <= number and n in self.parameters]
        return self.parameters[before[-1]] if before else {}
