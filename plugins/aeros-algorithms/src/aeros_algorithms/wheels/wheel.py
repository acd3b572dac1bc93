"""Wheels as strangers may have made them: read with suspicion, never run.

Specification: https://packaging.python.org/specifications/binary-distribution-format/
Everything that is not plainly a pure-Python wheel is refused, before a byte is unpacked.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import PurePosixPath

from packaging.tags import parse_tag, sys_tags
from packaging.utils import canonicalize_name
from packaging.version import Version

from aeros_algorithms.wheels.signed_statement import Refused

__all__ = ["Limits", "Wheel", "check_tags", "opened"]

_DAMAGED = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError,
)  # fmt: skip
_NATIVE = (".so", ".pyd", ".dll", ".dylib", ".a", ".o", ".exe")
_COMPILED = (".pyc", ".pyo")
_AT_START = {"sitecustomize", "usercustomize", "hydra_plugins"}
"""What Python or Hydra import by themselves where they find it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large an algorithm may be.

    Args:
        packed: Bytes of the wheel.
        unpacked: Bytes of all its files.
        files: Their number.
    """

    packed: int = 32 * 2**20
    unpacked: int = 128 * 2**20
    files: int = 4096


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel whose every file was checked.

    Args:
        name: Name of the distribution, normalised.
        version: Its version, normalised.
        files: Its files in memory, by path.
        metadata: Its METADATA.
        entry_points: ``{name: module}`` of the group ``aeros``.
    """

    name: str
    version: str
    files: Mapping[str, bytes]
    metadata: Message
    entry_points: Mapping[str, str]

    @property
    def tops(self) -> list[str]:
        """Names of the modules and packages that importing could begin with."""
        heads = {path.partition("/")[0] for path in self.files}
        return sorted({h.removesuffix(".py") for h in heads if not h.endswith(".dist-info")})


def opened(data: bytes, limits: Limits) -> Wheel:
    """Read a wheel.

    Raises:
        Refused: It is anything else than a well-formed, pure-Python wheel within the limits.
    """
    if len(data) > limits.packed:
        raise Refused(
            f"a wheel of {len(data):,} bytes is too large", exists=f"at most {limits.packed:,}"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = _files(archive, limits)
    except _DAMAGED as error:
        raise Refused(f"the wheel is damaged: {error}") from error
    info = _info(files)
    _recorded(files, info)
    _pure(files, info)
    metadata = BytesParser().parsebytes(_needed(files, f"{info}/METADATA"))
    name, version = _named(metadata, info)
    wheel = Wheel(name, version, files, metadata, _entry_points(files, info))
    _own(wheel)
    return wheel


# ---------------------------------------------------------------- the archive


def _files(archive: zipfile.ZipFile, limits: Limits) -> dict[str, bytes]:
    entries = archive.infolist()
    declared = sum(entry.file_size for entry in entries)
    if len(entries) > limits.files or declared > limits.unpacked:
        raise Refused(
            f"the wheel unpacks to {declared:,} bytes in {len(entries):,} files: too large",
            exists=f"at most {limits.unpacked:,} bytes in {limits.files:,} files",
        )
    files: dict[str, bytes] = {}
    known: set[str] = set()
    for entry in entries:
        _harmless(entry)
        if _folded(entry.filename) in known:
            raise Refused(f"the wheel holds {entry.filename!r} twice")
        known.add(_folded(entry.filename))
    _distinct([entry.filename for entry in entries])
    for entry in entries:
        if not entry.is_dir():
            files[entry.filename] = archive.read(entry)
    return files


def _folded(path: str) -> str:
    """Return a path as file systems see it that tell neither case nor composed signs apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _distinct(paths: Sequence[str]) -> None:
    """Refuse a file and a folder of one name, and a folder that is spelled in two ways."""
    spelled: dict[str, str] = {}
    for path in paths:
        parts = path.removesuffix("/").split("/")
        for depth in range(1, len(parts) + path.endswith("/")):
            folder = "/".join(parts[:depth])
            if spelled.setdefault(_folded(folder), folder) != folder:
                raise Refused(f"the wheel holds {folder!r} in two spellings")
    for path in paths:
        if _folded(path) in spelled and not path.endswith("/"):
            raise Refused(f"the wheel holds {path!r} as a file and as a folder")


def _harmless(entry: zipfile.ZipInfo) -> None:
    """Refuse an entry that would be written elsewhere, or as something else than a file."""
    name = entry.orig_filename
    parts = name.removesuffix("/").split("/")
    outside = name.startswith("/") or ".." in parts
    if outside or any(mark in name for mark in "\\:") or any(ord(c) < 32 for c in name):
        raise Refused(f"the wheel holds {name!r}, which leads out of its folder")
    if name != entry.filename or len(name) > 240 or {"", "."} & {*parts}:
        raise Refused(f"the wheel holds {name!r}, which is no path of a file")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG):
        raise Refused(f"the wheel holds {name!r}, a link or something else that is no file")
    if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused(f"the wheel holds {name!r}, packed in a way that wheels are not")


# ---------------------------------------------------------------- what a wheel must say


def _info(files: Mapping[str, bytes]) -> str:
    found = {head for path in files if (head := path.partition("/")[0]).endswith(".dist-info")}
    if len(found) != 1:
        raise Refused(f"the wheel has {len(found)} folders *.dist-info, not one")
    return found.pop()


def _needed(files: Mapping[str, bytes], path: str) -> bytes:
    if path not in files:
        raise Refused(f"the wheel has no {path}")
    return files[path]


def _recorded(files: Mapping[str, bytes], info: str) -> None:
    """Hold every file against the SHA-256 and the size that RECORD names."""
    record = f"{info}/RECORD"
    try:
        text = _needed(files, record).decode("utf-8")
        rows = [row for row in csv.reader(io.StringIO(text), strict=True) if row]
        listed = {path: (digest, size) for path, digest, size in rows}
    except (ValueError, csv.Error) as error:
        raise Refused(f"{record} cannot be read: {error}") from error
    if len(listed) != len(rows) or listed.keys() != files.keys():
        differing = sorted(listed.keys() ^ files.keys()) or ["a file twice"]
        raise Refused(f"the wheel and its RECORD differ in {', '.join(differing[:5])}")
    for path, data in files.items():
        if path != record and listed[path] != (_digest(data), str(len(data))):
            raise Refused(f"{path} in the wheel is not the file that its RECORD names")


def _digest(data: bytes) -> str:
    raw = base64.urlsafe_b64encode(hashlib.sha256(data).digest())
    return f"sha256={raw.rstrip(b'=').decode()}"


def _pure(files: Mapping[str, bytes], info: str) -> None:
    said = BytesParser().parsebytes(_needed(files, f"{info}/WHEEL"))
    _once(said, ("Root-Is-Purelib", "Wheel-Version"), f"{info}/WHEEL")
    tags = said.get_all("Tag") or []
    whole = said.get("Root-Is-Purelib") == "true" and said.get("Wheel-Version", "")[:2] == "1."
    if not (whole and tags and all(str(tag).endswith("-none-any") for tag in tags)):
        raise Refused("the wheel is not one of Python code alone", exists="py3-none-any")
    check_tags([str(tag) for tag in tags])
    for path in files:
        kind, head = PurePosixPath(path.casefold()).suffix, path.partition("/")[0]
        if kind in (*_NATIVE, *_COMPILED):
            raise Refused(f"the wheel holds {path}, machine code or byte code")
        if head.endswith(".data") or kind == ".pth":
            raise Refused(f"the wheel holds {path}, which would be installed elsewhere or run")


def check_tags(tags: Sequence[str]) -> None:
    """Refuse a wheel whose tags all are those of another Python or platform.

    Raises:
        Refused: They are, or are no tags.
    """
    try:
        meant = {tag for text in tags for tag in parse_tag(text)}
    except ValueError as error:
        raise Refused(f"the tags of the wheel cannot be read: {str(error)[:200]}") from error
    if meant.isdisjoint(sys_tags()):
        raise Refused(
            f"the wheel is for another Python or platform: {', '.join(sorted(tags))[:200]}",
            exists="py3-none-any",
        )


def _once(said: Message, names: Sequence[str], file: str) -> None:
    for name in names:
        if len(said.get_all(name) or []) > 1:
            raise Refused(f"{file} says {name} twice")


def _named(metadata: Message, info: str) -> tuple[str, str]:
    _once(metadata, ("Name", "Version", "Requires-Python"), f"{info}/METADATA")
    name, version = str(metadata.get("Name", "")), str(metadata.get("Version", ""))
    try:
        normal = str(canonicalize_name(name)), str(Version(version))
        head, _, tail = info.removesuffix(".dist-info").rpartition("-")
        folder = str(canonicalize_name(head)), str(Version(tail))
    except ValueError as error:  # no version, or one of numbers without end
        raise Refused(f"the wheel has no version: {str(error)[:200]}") from error
    if normal != folder:
        raise Refused(f"the wheel says {name} {version} in METADATA, and {info}")
    return normal


def _entry_points(files: Mapping[str, bytes], info: str) -> dict[str, str]:
    parser = ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]  # keep upper case
    try:
        parser.read_string(files.get(f"{info}/entry_points.txt", b"").decode("utf-8"))
    except (ConfigParserError, ValueError) as error:
        raise Refused(f"the entry points of the wheel cannot be read: {error}") from error
    if parser.sections() != ["aeros"]:
        raise Refused(
            "the wheel is no plugin of aeros alone",
            exists=f"its entry points: {', '.join(parser.sections()) or 'none'}",
            hint='[project.entry-points.aeros] NAME = "MODULE" in its pyproject.toml',
        )
    if len(parser["aeros"]) != 1:
        raise Refused(
            f"the wheel brings {len(parser['aeros'])} plugins, not one",
            exists=", ".join(parser["aeros"]) or "no line NAME = MODULE",
            hint="a wheel of its own for each: one line below [project.entry-points.aeros]",
        )
    return dict(parser["aeros"])


def _own(wheel: Wheel) -> None:
    """Refuse entry points that lead out of the wheel, and modules that run unasked."""
    for name, value in wheel.entry_points.items():
        if value.partition(":")[0].strip().partition(".")[0] not in wheel.tops:
            raise Refused(f"the entry point {name} = {value} leads out of the wheel")
    folders = {_folded(path.partition("/")[0]) for path in wheel.files if "/" in path}
    for path in wheel.files:
        if path.endswith(".py") and _folded(path.removesuffix(".py")) in folders:
            raise Refused(f"the wheel holds {path!r} as a file and as a folder")
    for top in wheel.tops:
        if top.casefold() in _AT_START or not top.isidentifier():
            raise Refused(f"the wheel holds {top!r}, which is no module of an algorithm")
