"""Where records lie, and what each says of its place.

    models/<name>/<version>.json      name, version
    models/<name>/tags/<tag>.json     name, tag
    models/<name>/index/<n>.json      name
    algorithms/<name>/<version>.json  name, version
    runs/<id>/run.json                id
    runs/<id>/rounds/<n>.json         run, number
    runs/<id>/result.json             run

So a record that has got to where another belongs is not taken for it.
"""

from __future__ import annotations

__all__ = ["HIDDEN", "belonging", "hidden", "numbers", "shown"]

HIDDEN = "hidden-"
"""What folders under ``tmp/`` begin with that are to go, unless somebody names them."""


def belonging(key: str) -> dict[str, str | int]:
    """Return what the record at a key says of its place."""
    match key.removesuffix(".json").split("/"):
        case ["models", name, "tags", tag]:
            return {"name": name, "tag": tag}
        case ["models", name, "index", _]:
            return {"name": name}
        case ["models", name, version]:
            return {"name": name, "version": int(version)}
        case ["algorithms", name, version]:
            return {"name": name, "version": version}
        case ["runs", run, "rounds", number]:
            return {"run": run, "number": int(number)}
        case ["runs", run, "run"]:
            return {"id": run}
        case ["runs", run, "result"]:
            return {"run": run}
    return {}


def numbers(names: list[str]) -> list[int]:
    """Return the numbers of the files ``<number>.json`` among these names, in order."""
    stems = (name.removesuffix(".json") for name in names if name.endswith(".json"))
    return sorted(int(stem) for stem in stems if stem.isdecimal() and stem == str(int(stem)))


def hidden(key: str) -> str:
    """Return where a folder lies while it is hidden."""
    return f"tmp/{HIDDEN}{key.replace('/', ':')}"


def shown(name: str) -> str:
    """Return the key of the folder that is hidden under this name."""
    return name.removeprefix(HIDDEN).replace(":", "/")
