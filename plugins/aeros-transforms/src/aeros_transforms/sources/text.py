"""Windows of characters from a play, speaker by speaker.

The split of Shakespeare by speaker follows H. B. McMahan et al.: Communication-Efficient
Learning of Deep Networks from Decentralized Data, AISTATS 2017, section 3.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from enum import Enum

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError, DataError
from aeros_core.fields.alignment import Differences, SourceSchema, align
from aeros_core.fields.categories import with_other
from aeros_core.files import data_files
from aeros_core.numerics import proportions
from aeros_core.roles.transformer import Split
from aeros_core.schema import Field, Schema, Unknown
from aeros_transforms.options import at_least, fraction
from aeros_transforms.sources.declared_fields import rule_of
from aeros_transforms.sources.formats import compressed
from aeros_transforms.sources.formats.speeches import speeches

__all__ = ["Text"]

Codes = NDArray[np.int64]


class Text:
    """`config.sources.Text`: ``text`` (window,), ``speaker``, and the target ``next``.

    ``text`` and ``next`` are codes of the characters of the whole file, ``speaker`` the
    code of who speaks. No window reaches from the training into the test split.

    Raises:
        ConfigError: An option is out of its range.
    """

    linked = (("text", "next"),)
    """Fields that have one alphabet."""

    def __init__(
        self,
        *,
        path: str | None,
        window: int,
        stride: int,
        min_characters: int,
        test_fraction: float,
        alphabet: str,
        unknown: Enum | str,
    ) -> None:
        at_least("transformer.text.window", window, 1)
        at_least("transformer.text.stride", stride, 1)
        at_least("transformer.text.min_characters", min_characters, 0)
        fraction("transformer.text.test_fraction", test_fraction)
        self._path = path or data_files.dataset("tinyshakespeare/input.txt.gz")
        self._fraction = test_fraction
        self._window, self._stride, self._least = window, stride, min_characters
        self._alphabet = tuple(dict.fromkeys(alphabet))
        self._rule = rule_of("transformer.text.unknown", unknown)
        self.declared = frozenset(("text", "next") if alphabet else ())
        self.differences = Differences()

    def adopt(self, agreed: SourceSchema) -> None:
        """Load from now on as an agreed schema says; see `transformer.SupportsSchema`."""

    def declaration(self, categories: Mapping[str, Sequence[str]]) -> str:
        """Return what to type so that the task declares the characters."""
        known = next(iter(categories.values()), ())
        return _to_type("".join(known) + "…")

    def load(self, split: Split) -> Dataset | None:
        """Return a split; see `transformer.Source`."""
        if split == "test" and not self._fraction:
            return None
        text = self._read()
        found = np.unique(_codepoints(text))
        said = self._speakers(text)
        cuts = [self._cut(np.searchsorted(found, _codepoints(s)), split) for s in said.values()]
        windows = np.concatenate(cuts)
        if not len(windows):
            raise ConfigError(
                f"transformer.text.window={self._window} is longer than what anybody says in"
                f" the {split} split"
            )
        speaker = np.repeat(np.arange(len(cuts)), [len(cut) for cut in cuts])
        characters = tuple(chr(c) for c in found)
        schema = _schema(self._window, characters, tuple(said))
        columns = {"text": np.ascontiguousarray(windows[:, :-1]), "speaker": speaker}
        data = Dataset(schema, columns | {"next": windows[:, -1].copy()})
        alphabet = with_other(self._alphabet or characters, self._rule)
        wanted = _schema(self._window, alphabet, tuple(said), self._rule)
        return align(data, SourceSchema(wanted), self._hint)[0]

    def _hint(self, differences: Differences) -> str:
        """Return what to type where the file has characters that were not declared."""
        found = [character for names in differences.found.values() for character in names]
        return _to_type("".join(dict.fromkeys([*self._alphabet, *found])))

    def _read(self) -> str:
        data = compressed.read(self._path, "transformer.text.path")
        try:
            return data.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            raise DataError(f"{self._path} is not UTF-8 text: {error}") from error

    def _speakers(self, text: str) -> dict[str, str]:
        """Return who says enough, by name."""
        said = speeches(text)
        if not said:
            raise DataError(
                f"{self._path} holds no speech", exists="a line NAME:, lines, and a blank line"
            )
        kept = {name: said[name] for name in sorted(said) if len(said[name]) >= self._least}
        if not kept:
            most = max(map(len, said.values()))
            raise ConfigError(
                f"transformer.text.min_characters={self._least} leaves no speaker",
                exists=f"{len(said)} speakers of at most {most} characters",
                hint=f"transformer.text.min_characters={most}",
            )
        return kept

    def _cut(self, codes: Codes, split: Split) -> Codes:
        """Return the windows of one speaker's split, each with the character after it."""
        end = len(codes) - proportions.at_most(self._fraction, len(codes))
        part = codes[:end] if split == "train" else codes[end:]
        if len(part) <= self._window:
            return np.empty((0, self._window + 1), dtype=np.int64)
        return sliding_window_view(part, self._window + 1)[:: self._stride]


def _codepoints(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def _schema(
    window: int,
    alphabet: tuple[str, ...],
    speakers: tuple[str, ...],
    unknown: Unknown = Unknown.refuse,
) -> Schema:
    """Return the schema; a speaker may be any, as speakers are only told apart."""
    return Schema(
        (
            Field("text", "int64", (window,), categories=alphabet, unknown=unknown),
            Field("speaker", "int64", categories=speakers, unknown=Unknown.zeros),
            Field("next", "int64", categories=alphabet),
        ),
        "next",
    )


def _to_type(alphabet: str) -> str:
    text = alphabet.replace("\\", "\\\\").replace('"', '\\"')
    return shlex.quote(f'transformer.text.alphabet="{text}"')
