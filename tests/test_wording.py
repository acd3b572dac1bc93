"""Docstrings, comments and messages are written in plain professional English.

`python tests/test_wording.py PATH ...` lists what is found below these paths.
"""

import ast
import io
import re
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

RIDDLE = re.compile(r"(what|who|how|whether|where|which|why|that|nobody|somebody)\b", re.I)
"""A docstring that begins so asks a question; it has to begin with a verb or a noun."""

INSTEAD = {
    r"\b(tells?|telling|told|says?|saying|said)\b": "report, log, return, raise, state, document",
    r"\b(who|whoever|whom|nobody|somebody|someone|anybody)\b": "the node, client, user, process",
    r"(?<!there )\b(is|are|was|were) no (?!longer|more|less)": "'is not a', 'must be ..., got ...'",
    r"\b(is|are) not possible\b": "'X must be ..., got ...'",
    r"\bbeside\b": "besides, next to, in addition to, alongside",
    r"\bthe same bits\b": "bitwise identical",
    r"\bone behind (the other|another)\b": "concatenated",
    r"\b(mends?|mended|mending|heals?|healed)\b": "fix, repair, correct",
    r"\b(hears?|heard)\b": "receive",
    r"\bgoes with\b|\bgo with\b": "matches, is compatible with",
    r"\b(so many|stands? aside|stood aside|in the way|the way of)\b": "a literal description",
    r"\b(shelf|slot of|lane|roster|parcel|crate|leash|desk|crew|doorbell|breathes?)\b": "a term",
}
"""Words of riddles, and what to write for each."""

MESSAGES = {r"\bcannot be\b(?! [a-z]+(ed|en|t|d|ad|un|ung|own)\b)": "'X must be ..., got ...'"}
"""What an error must not consist of; 'cannot be read: REASON' states a fact."""

FIELDS_OWN = re.compile(r"Who's who|--who\b|--heal\b|\.heal\b")
"""Where such a word is a name of another program or its own term."""

UNREAD = {
    "src/aeros_core", "plugins/aeros-aggregators", "plugins/aeros-algorithms",
    "plugins/aeros-flower", "plugins/aeros-graphs", "plugins/aeros-onnx",
    "plugins/aeros-serving", "plugins/aeros-torch", "plugins/aeros-transforms",
}  # fmt: skip
"""Packages that are still being rewritten."""

PACKAGES = ["src/aeros_core", *(f"plugins/{p.name}" for p in sorted((ROOT / "plugins").iterdir()))]


def texts(source):
    """Yield line, kind and text of all docstrings, comments and strings of several words."""
    docs = set()
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            found = [each.value for each in body if isinstance(each, ast.Expr)]
            docs |= {v.lineno for v in found if isinstance(getattr(v, "value", None), str)}
            if ast.get_docstring(node) if isinstance(node, DOCUMENTED) else None:
                yield body[0].lineno, "opening", ast.get_docstring(node)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], "comment", token.string
        elif token.type == tokenize.STRING and " " in token.string:
            kind = "doc" if token.start[0] in docs else "message"
            yield token.start[0], kind, token.string


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def findings(path):
    """Return what is wrong in one module, a line each."""
    found = []
    for line, kind, text in texts(path.read_text(encoding="utf-8")):
        if kind == "opening":
            if RIDDLE.match(text):
                found.append(f"{path}:{line}: begins with '{text.split()[0]}': verb and object")
            continue
        for pattern, instead in (INSTEAD | (MESSAGES if kind == "message" else {})).items():
            for match in re.finditer(pattern, FIELDS_OWN.sub("", text), re.I):
                at = line + text.count("\n", 0, match.start())
                found.append(f"{path}:{at}: {kind} with '{match.group()}': write {instead}")
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_plain_english(package):
    if package in UNREAD:
        pytest.skip("this package is being rewritten")
    folder = ROOT / package if package.startswith("src") else ROOT / package / "src"
    found = [each for path in sorted(folder.rglob("*.py")) for each in findings(path)]
    assert found == []


def test_a_riddle_is_found(tmp_path):
    module = tmp_path / "module.py"
    lines = (
        '"""What a module does."""',
        "def of(x):",
        '    """Return x; nobody is told."""',
        "    # it says nothing",
        '    raise ValueError("x is no number", "x cannot be 3", "no: it cannot be read")',
    )
    module.write_text("\n".join(lines))
    assert [found.split(":")[1] for found in findings(module)] == ["1", "3", "3", "4", "5", "5"]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        below = Path(name)
        for module in sorted(below.rglob("*.py")) if below.is_dir() else [below]:
            print("\n".join(findings(module)), end="\n" if findings(module) else "")
