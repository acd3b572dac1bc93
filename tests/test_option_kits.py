"""The contract kits notice an option that names a file or an address and does not say so."""

import dataclasses
import socket
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from aeros_core.data import Dataset
from aeros_core.files.data_files import open_file
from aeros_core.options.metadata import address_option, file_option, folder_option, kinds
from aeros_core.plugins import discovery
from aeros_core.schema import Field, Schema
from aeros_core.testing import SourceTests
from aeros_core.testing.options import undeclared

REGISTRY = discovery.discover()
DATA = Dataset(Schema((Field("x", "float32"),), None), {"x": np.ones(4, np.float32)})


class Reader:
    """A source that looks at whatever its options say, by some means."""

    def __init__(self, *, start, extra, means="open"):
        self._start, self._extra, self._means = start, extra, means

    def load(self, split):
        for word in (self._start, self._extra):
            if word:
                MEANS[self._means](word)
        return DATA


def connect(word):
    host, _, port = word.removeprefix("http://").partition(":")
    socket.create_connection((host, int(port or 9)), timeout=1).close()


MEANS = {
    "open": lambda word: Path(word).read_bytes(),
    "core": lambda word: open_file(word).close(),
    "numpy": lambda word: np.genfromtxt(word, delimiter=","),
    "socket": connect,
    "http": lambda word: urllib.request.urlopen(word, timeout=1),
    "nothing": lambda word: None,
}


def kit(means, **fields):
    """A kit for a reader whose package declares these fields."""
    made = [
        ("_target_", str, f"{Reader.__module__}.Reader"),
        *((n, "str", f) for n, f in fields.items()),
    ]
    globals()["Options"] = dataclasses.make_dataclass("Options", made)

    class Kit(SourceTests):
        def make(self):
            return Reader(start="", extra=None, means=means)

    return Kit()


PLAIN = dataclasses.field(default="")


@pytest.mark.parametrize("means", [m for m in MEANS if m != "nothing"])
@pytest.mark.parametrize("name", ["start", "extra"])
def test_an_option_that_leads_somewhere_must_be_declared(means, name):
    fields = {"start": file_option(""), "extra": address_option()}
    kit(means, **fields).test_opens_and_connects_to_declared_options_alone()
    with pytest.raises(AssertionError, match=f"option '{name}' of Reader names a file") as caught:
        kit(means, **fields | {name: PLAIN}).test_opens_and_connects_to_declared_options_alone()
    assert f"in Options write '{name}: str = file_option(\"\")'" in str(caught.value)


def test_a_part_whose_options_are_registered_nowhere_must_open_nothing(monkeypatch):
    monkeypatch.delitem(globals(), "Options", raising=False)

    class Kit(SourceTests):
        def make(self):
            return Reader(start="", extra="", means="open")

    with pytest.raises(AssertionError, match="the dataclass whose _target_ is Reader"):
        Kit().test_opens_and_connects_to_declared_options_alone()


def test_options_that_lead_nowhere_need_no_declaration():
    made = kit("nothing", start=PLAIN, extra=PLAIN)
    made.test_opens_and_connects_to_declared_options_alone()
    made.test_options_that_name_files_or_addresses_say_so()


@pytest.mark.parametrize(
    ("name", "kind", "word"),
    [
        ("path", "str", "file"), ("test_path", "str | None", "file"),
        ("files", "list[str]", "file"),
        ("folder", "str", "folder"), ("data_dir", "str", "folder"), ("url", "str", "address"),
        ("host", "Any", "address"), ("server_url", "str | None", "address"),
        ("endpoint", "str", "address"), ("certificate", "str", "file"),
        ("x", "pathlib.Path", "file"),
    ],
)  # fmt: skip
def test_an_option_that_is_called_like_a_path_must_be_declared(name, kind, word):
    plain = dataclasses.make_dataclass("C", [("_target_", str, "m.C"), (name, kind, PLAIN)])
    assert undeclared(plain) == [name]
    makes = {"file": file_option, "folder": folder_option, "address": address_option}
    told = dataclasses.make_dataclass(
        "C", [("_target_", str, "m.C"), (name, kind, makes[word](""))]
    )
    assert undeclared(told) == []
    assert kinds(told)[name] == word


@pytest.mark.parametrize(
    ("name", "kind"),
    [("path_style", "bool"), ("cache_gb", "float"), ("label", "str"), ("ports", "int"),
     ("profile", "str"), ("hosted", "str")],
)  # fmt: skip
def test_other_options_need_none(name, kind):
    assert undeclared(dataclasses.make_dataclass("C", [(name, kind, PLAIN)])) == []


@pytest.mark.parametrize("option", REGISTRY.options.values(), ids=lambda o: f"{o.group}={o.name}")
def test_every_option_that_is_installed_says_what_it_names(option):
    assert undeclared(option.config) == []
