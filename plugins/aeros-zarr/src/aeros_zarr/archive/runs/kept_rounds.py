"""The rounds of a run whose checkpoints are kept, before and after a commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aeros_zarr.archive.records import Content, digests

__all__ = ["KeptRounds"]


@dataclass(frozen=True, slots=True)
class KeptRounds:
    """The rounds of a run whose checkpoints are kept, and the blobs that rounds name.

    Args:
        kept: Numbers of the rounds, in order.
        blobs: Digests of the blobs that each round names, by its number.
        parameters: Digests of the blobs of each round's vectors, by number and dtype.
    """

    kept: Sequence[int]
    blobs: dict[int, set[str]]
    parameters: Mapping[int, Mapping[str, str]]

    @classmethod
    def of(cls, contents: Mapping[int, Content]) -> KeptRounds:
        """Return the kept rounds from the records of rounds; the last record lists them."""
        kept = contents[max(contents)]["kept"] if contents else []
        blobs = {n: digests(content) for n, content in contents.items()}
        return cls(kept, blobs, {n: c["parameters"] for n, c in contents.items()})

    def after(self, number: int, content: Content, kept: Sequence[int]) -> KeptRounds:
        """Return the kept rounds after the commit of a round.

        Args:
            number: Number of the round.
            content: Record of the round.
            kept: Numbers of the rounds kept after the commit.
        """
        blobs = {**self.blobs, number: digests(content)}
        parameters = {**self.parameters, number: content["parameters"]}
        return KeptRounds(kept, {n: blobs[n] for n in kept}, {n: parameters[n] for n in kept})

    @property
    def all(self) -> set[str]:
        """Digests of all blobs that rounds name."""
        return set().union(*self.blobs.values())

    def bases(self, number: int) -> Mapping[str, str]:
        """Return the blobs of the vectors of the last kept round up to this one, by dtype."""
        before = [n for n in self.kept if n <= number and n in self.parameters]
        return self.parameters[before[-1]] if before else {}
