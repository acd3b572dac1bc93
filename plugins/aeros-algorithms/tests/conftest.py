"""A toy algorithm, built into wheels as they should be and as nobody should make them."""

import base64
import hashlib
import io
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from aeros_algorithms.keys import ed25519
from aeros_algorithms.policy import AlgorithmPolicy
from aeros_core.records import Algorithm
from aeros_core.tasks.algorithm_pin import AlgorithmPin

CODE = """
from dataclasses import dataclass
from aeros_core import hookimpl

@dataclass
class Half:
    _target_: str = "toy_half.Rule"
    by: float = 0.5

class Rule:
    def __init__(self, *, by):
        self.by = by

    def aggregate(self, parameters, updates):
        from aeros_core.parameters import Parameters

        vectors = [update.parameters.vectors["float32"] for update in updates]
        base = parameters.vectors["float32"]
        moved = base + self.by * (sum(vectors) / len(vectors) - base)
        return Parameters(parameters.layout, {"float32": moved.astype("float32")})

@hookimpl
def aeros_collectors():
    return {"half": Half}
"""
ENTRY_POINTS = "[aeros]\nhalf = toy_half\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def recorded(files, record):
    """Return RECORD's text: path, SHA-256 in URL-safe base64 without padding, size."""
    rows = []
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(data)}")
    return "\n".join([*rows, f"{record},,"]) + "\n"


class Built:
    """The files of a wheel; what a test changes before `data` packs them."""

    def __init__(self, name="toy-half", version="1.0", code=CODE, metadata=""):
        self.info = f"{name.replace('-', '_')}-{version}.dist-info"
        self.files = {
            "toy_half.py": code.encode(),
            f"{self.info}/METADATA": (
                f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}"
            ).encode(),
            f"{self.info}/WHEEL": WHEEL.encode(),
            f"{self.info}/entry_points.txt": ENTRY_POINTS.encode(),
        }
        self.more = []
        self.record = None

    def put(self, path, data, *, info=False):
        self.files[f"{self.info}/{path}" if info else path] = data
        return self

    def entry(self, path, data=b"", **attributes):
        """Add an entry as it is, not in RECORD."""
        entry = zipfile.ZipInfo("x")
        for name, value in {"filename": path, **attributes}.items():
            setattr(entry, name, value)
        self.more.append((entry, data))
        return self

    @property
    def data(self):
        packed = io.BytesIO()
        record = f"{self.info}/RECORD"
        text = recorded(self.files, record) if self.record is None else self.record
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, data in (self.files | {record: text.encode()}).items():
                archive.writestr(path, data)
            for entry, data in self.more:
                archive.writestr(entry, data)
        return packed.getvalue()


@pytest.fixture(scope="session")
def built():
    """The class of wheels."""
    return Built


class Owner:
    """Somebody with a key."""

    def __init__(self, folder: Path, name: str):
        self.file = folder / name
        self.id = ed25519.generate(self.file)
        self.key = ed25519.private(self.file)

    def sign(self, data, **told):
        """Return a signed statement; what is told takes the place of what is true."""
        true = Algorithm("toy-half", "1.0", hashlib.sha256(data).hexdigest(), len(data), "", "")
        return ed25519.sign(replace(true, **told), self.key)


@pytest.fixture
def owner(tmp_path):
    """Somebody whom the node trusts."""
    owner = Owner(tmp_path, "owner")
    (tmp_path / "keys").mkdir()
    (tmp_path / "owner.pub").rename(tmp_path / "keys/owner.pub")
    return owner


@pytest.fixture
def stranger(tmp_path):
    """Somebody whom nobody knows."""
    return Owner(tmp_path, "stranger")


@pytest.fixture
def site(owner, tmp_path):
    """A node's rules."""
    return AlgorithmPolicy(keys=tmp_path / "keys", root=tmp_path / "algorithms")


@pytest.fixture
def lock():
    """A function that returns the lock of a task that wants these algorithms."""
    return lambda *wanted: {a.name: AlgorithmPin(a.version, a.sha256) for a in wanted}


@pytest.fixture(autouse=True)
def _nothing_is_imported():
    """No test leaves the toy, or its path, behind; none runs its code unasked."""
    before = list(sys.path)
    yield
    assert sys.path == before
    assert "toy_half" not in sys.modules
