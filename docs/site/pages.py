"""Generate pages of the site from the code, and check the site that was built.

Generated are the API reference (a page for each module that provides names of `aeros_core`), the
README of each plugin, the list of decisions, and a page for each source file that a page links.
"""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
TITLE = re.compile(r"^(```\w+ title=)([^\s\"]+)$", re.M)
REMOTE = re.compile(r"<(?:script|img|iframe|link)\b[^>]*(?:src|href)=\"(https?:)?//[^\"]+\"")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the navigation's generated sections."""
    api = [{module.removeprefix("aeros_core."): f"api/{module}.md"} for module in _exports()]
    packages = [{path.name: f"plugins/{path.name}.md"} for path in _plugins()]
    decisions = ["adr/index.md", *(f"adr/{path.name}" for path in _decisions())]
    generated = {"Packages": packages, "API": ["api/index.md", *api], "Decisions": decisions}
    config.nav = _filled(config.nav, generated)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {f"plugins/{path.name}.md": _readme(path) for path in _plugins()}
    pages["adr/index.md"] = _decision_list()
    exports = _exports()
    pages["api/index.md"] = _api_list(exports)
    pages |= {f"api/{module}.md": _reference(module, names) for module, names in exports.items()}
    for name in sorted(_linked(files, pages)):
        pages[f"source/{name}.md"] = _source(ROOT / name)
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Quote the titles of blocks; point links that leave docs/ at the generated pages."""
    markdown = TITLE.sub(r'\1"\2"', markdown)
    here = _place(page.file.src_uri)
    if here is None:
        return markdown

    def replaced(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), match[1]))
        start = posixpath.dirname(page.file.src_uri) or "."
        return posixpath.relpath(_page_of(target), start) + (match[2] or "")

    return LINK.sub(replaced, markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Check that pages load nothing from other hosts, and that each public name has an entry."""
    site = Path(config.site_dir)
    for path in site.rglob("*.html"):
        if found := REMOTE.search(path.read_text(encoding="utf-8")):
            raise PluginError(f"{path.name} loads {found[0]}")
    for module, names in _exports().items():
        text = (site / "api" / f"{module}.html").read_text(encoding="utf-8")
        if missing := [name for name in names if f'id="aeros_core.{name}"' not in text]:
            raise PluginError(f"api/{module}.html has no entry of {', '.join(missing)}")


def _exports() -> dict[str, list[str]]:
    """Return the public names of `aeros_core` by the module that provides them."""
    tree = ast.parse((ROOT / "src/aeros_core/__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_PROVIDERS":
            found: dict[str, str] = ast.literal_eval(node.value)
            return {module: names.split() for module, names in sorted(found.items())}
    raise PluginError("src/aeros_core/__init__.py has no _PROVIDERS")


def _reference(module: str, names: list[str]) -> str:
    """Return the page of one module."""
    entries = [f"::: aeros_core.{name}\n" for name in names]
    return "\n".join([f"# {module}\n", "Import these names from `aeros_core`.\n", *entries])


def _api_list(exports: dict[str, list[str]]) -> str:
    """Return the page that lists all public names."""
    rows = [
        f"| [{module}]({module}.md) | "
        + ", ".join(f"[`{name}`]({module}.md#aeros_core.{name})" for name in names)
        + " |"
        for module, names in exports.items()
    ]
    head = ["# API", "", "All of these are imported from `aeros_core`.", "", "| module | names |"]
    return "\n".join([*head, "|---|---|", *rows, ""])


def _plugins() -> list[Path]:
    return sorted(path.parent for path in (ROOT / "plugins").glob("*/README.md"))


def _readme(plugin: Path) -> str:
    return (plugin / "README.md").read_text(encoding="utf-8")


def _decisions() -> list[Path]:
    return sorted((ROOT / "docs/adr").glob("[0-9]*.md"))


def _decision_list() -> str:
    """Return the page that lists the decisions by their titles."""
    titles = {path: path.read_text(encoding="utf-8").splitlines()[0] for path in _decisions()}
    rows = [f"- [{title.lstrip('# ')}]({path.name})" for path, title in titles.items()]
    return "\n".join(["# Decisions", "", "Architecture decision records, oldest first.", "", *rows])


def _linked(files: Files, pages: dict[str, str]) -> set[str]:
    """Return the source files that pages link."""
    texts = {name: text for name, text in pages.items() if name.startswith("plugins/")}
    texts |= {file.src_uri: file.content_string for file in files.documentation_pages()}
    found = set()
    for name, text in texts.items():
        for match in LINK.finditer(text):
            place = posixpath.dirname(_place(name) or name)
            target = _file(posixpath.normpath(posixpath.join(place, match[1])))
            if target.endswith(".py"):
                found.add(target)
    return found


def _source(path: Path) -> str:
    """Return a page with the text of a source file."""
    name = path.relative_to(ROOT).as_posix()
    return f"# {name}\n\n````python\n{path.read_text(encoding='utf-8')}````\n"


def _place(page: str) -> str | None:
    """Return where in the repository the text of a page lies; None for generated text."""
    if page.startswith("plugins/"):
        return f"plugins/{Path(page).stem}/README.md"
    if page.startswith(("api/", "source/")) or page == "adr/index.md":
        return None
    return f"docs/{page}"


def _file(target: str) -> str:
    """Return the file that a link to a folder of code means."""
    return f"{target}/__init__.py" if (ROOT / target / "__init__.py").exists() else target


def _page_of(target: str) -> str:
    """Return the page of the site for a path of the repository."""
    target = _file(target)
    if target == "README.md":
        return "index.md"
    if target == "docs/adr":
        return "adr/index.md"
    if match := re.fullmatch(r"plugins/([^/]+)/README\.md", target):
        return f"plugins/{match[1]}.md"
    if target.endswith(".py"):
        return f"source/{target}.md"
    return target.removeprefix("docs/")


def _filled(nav: object, generated: dict[str, list[object]]) -> object:
    """Return the navigation with its empty sections filled."""
    if isinstance(nav, list):
        return [_filled(item, generated) for item in nav]
    if isinstance(nav, dict):
        return {
            title: generated.get(title, _filled(items, generated)) for title, items in nav.items()
        }
    return nav
