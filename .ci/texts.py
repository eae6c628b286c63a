"""Texts that follow from other files: regenerate them with --write, or fail where one is stale.

README.md, between its markers:
  commands   from the command line itself
  excerpt    from leaderboards/flickr8k.md: its best measured rows; until there are any, the paper's published
             ones from leaderboards/flickr30k.md
and its tree, whose names must be those that git knows; its descriptions are written by hand.

docs/hooks.md, as a whole, from the docstrings of what plugins meet.

docs/contributing.md, between its markers: layers, from pyproject.toml, where every module of the harness must be.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ROWS = 8
"""Rows of the excerpt."""
OPENED = ("harness", "plugins", "docs", ".ci")
"""Folders whose entries the tree lists as well."""
COLUMNS = {
    "Method": "Method",
    "Textual": "Textual",
    "i2t R@1": "i2t R@1",
    "R@5": "i2t R@5",
    "R@10": "i2t R@10",
    "t2i R@1": "t2i R@1",
    "R@5 (2)": "t2i R@5",
    "R@10 (2)": "t2i R@10",
    "rSum": "rSum",
    "seeds": "seeds",
}
"""Column of a leaderboard, as `table_rows` names it -> column of the excerpt."""
Row = dict[str, str]
LETTER = r" \\\[[A-Z]\\\]"
"""What marks rows of one protocol in a table that holds several."""


def block(text: str, name: str, page: str = "README.md") -> re.Match[str]:
    """Return what stands between ``<!-- name: ... -->`` and ``<!-- end of name -->``, as group 2.

    Raises:
        ValueError: if the markers do not stand there exactly once.
    """
    marks = rf"(<!-- {name}:[^\n]*-->\n)(.*?)(\n<!-- end of {name} -->)"
    found = list(re.finditer(marks, text, re.DOTALL))
    if len(found) != 1:
        raise ValueError(f"the markers of {name!r} stand in {page} {len(found)} times, not once")
    return found[0]


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command with its full name, in the order of the help."""
    import typer

    from harness.cli import app

    def below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        if not hasattr(command, "commands"):
            yield name, command
            return
        if command.invoke_without_command and command.params:
            yield name, command
        for key, inner in command.commands.items():
            yield from below(f"{name} {key}", inner)

    yield from below("harness", typer.main.get_command(app))


def command_table() -> str:
    """Render the commands with their help's first line and their options."""
    lines = ["| command | what it does | options |", "|---|---|---|"]
    for name, command in commands():
        arguments = [(p.metavar or p.name).upper() for p in command.params if p.param_type_name == "argument"]
        options = [p.opts[0] for p in command.params if p.param_type_name == "option" and not p.hidden]
        summary = command.help.strip().split("\n")[0].replace("|", "\\|")
        listed = " ".join(f"`{option}`" for option in options)
        lines.append(f"| `{' '.join([name, *arguments])}` | {summary} | {listed} |")
    return "\n".join(lines)


def table_rows(page: str) -> list[Row]:
    """Read the first table of a leaderboard; of columns with one name, ``R@5`` is i2t's and ``R@5 (2)`` t2i's."""
    lines = page.split("\n")
    start = next((k for k, line in enumerate(lines) if line.startswith("| Method ")), None)
    if start is None:
        return []
    header: list[str] = []
    for name in _cells(lines[start]):
        header.append(f"{name} (2)" if name in header else name)
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(dict(zip(header, _cells(line), strict=True)))
    return rows


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def excerpt() -> str:
    """Render the best rows of a real table."""
    boards = ROOT / "leaderboards"
    flickr8k = table_rows((boards / "flickr8k.md").read_text(encoding="utf-8"))
    measured = [row for row in flickr8k if row["source"] == "measured"]
    if measured:
        note = (
            f"Flickr8k, 1,000 test images; best {min(ROWS, len(measured))} of {len(measured)} measured "
            "methods, from [leaderboards/flickr8k.md](leaderboards/flickr8k.md), where costs, versions and "
            "commands stand, too."
        )
        return f"{note}\n\n{_table(measured[:ROWS])}"
    published = table_rows((boards / "flickr30k.md").read_text(encoding="utf-8"))
    own = [row for row in published if row["Method"].startswith("Ours")]
    note = (
        "Published rows of the dual-path paper on Flickr30k, from "
        "[leaderboards/flickr30k.md](leaderboards/flickr30k.md), where their marks are explained."
    )
    return f"{note}\n\n{_table(own[:ROWS])}"


def _table(rows: Sequence[Row]) -> str:
    letters = {found.group() for row in rows if (found := re.search(LETTER, row["Method"]))}
    if len(letters) == 1:  # all of one protocol: the letter tells them from rows that are not shown
        rows = [{**row, "Method": re.sub(LETTER, "", row["Method"])} for row in rows]
    align = ["---" if column in ("Method", "Textual") else "---:" for column in COLUMNS]
    lines = [COLUMNS.values(), align, *([row[column] for column in COLUMNS] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def hooks_page() -> str:
    """Render docs/hooks.md."""
    spec = importlib.util.spec_from_file_location("hooks_page", Path(__file__).with_name("hooks_page.py"))
    if spec is None or spec.loader is None:
        raise ImportError("hooks_page.py does not stand beside texts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page: str = module.render()
    return page


def layers() -> str:
    """Render what may import what, as import-linter is told; a line for each layer, the highest first."""
    return "\n".join(f"    {' | '.join(names)}" for names in _layers())


def unplaced() -> list[str]:
    """Return the modules of the harness that no layer names: nothing holds what they import."""
    found = {path.stem for path in (ROOT / "harness").glob("*.py")} | {
        path.parent.name for path in (ROOT / "harness").glob("*/__init__.py")
    }
    placed = {name for names in _layers() for name in names}
    return sorted(name for name in found - placed if not name.startswith("__"))


def _layers() -> list[list[str]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (each for each in settings["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    return [
        [name.strip().removeprefix("harness.") for name in layer.split("|")] for layer in contract["layers"]
    ]


PAGES = {"docs/hooks.md": hooks_page}
"""Pages that are generated as a whole."""
GENERATED = {"commands": command_table, "excerpt": excerpt}
LAYERED = "docs/contributing.md"


def tree_names(text: str) -> list[str]:
    """Return the paths that the tree of README.md lists: a folder ends in ``/``."""
    names, folder = [], ""
    for line in block(text, "tree").group(2).split("\n"):
        entry = re.fullmatch(r"( *)(\S+)(?: +(\S.*))?", line)
        if entry is None or line.startswith("```"):
            continue
        indent, name, about = entry.groups()
        if not about:
            raise ValueError(f"README.md's tree says nothing of {name}")
        folder = "" if not indent else folder
        names.append(folder + name)
        folder = folder if indent else name
    return names


def git_names() -> list[str]:
    """Return what the tree must list: top-level entries, and those of the opened folders."""
    listed = subprocess.run(  # noqa: S603 - a fixed command
        ["git", "-C", str(ROOT), "ls-files", "-z"],  # noqa: S607 - git is looked up as everywhere
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return sorted(set(_entries(listed.strip("\0").split("\0"))))


def _entries(files: Iterable[str]) -> Iterator[str]:
    for file in files:
        top, slash, rest = file.partition("/")
        yield top + slash
        if slash and top in OPENED:
            inner, deeper, _ = rest.partition("/")
            yield f"{top}/{inner}{deeper}"


def stale(text: str) -> list[str]:
    """Return a line for every text of README.md that does not follow from its source."""
    problems = [
        f"README.md: {name!r} is stale: refresh it with `uv run python .ci/texts.py --write`"
        for name, render in GENERATED.items()
        if block(text, name).group(2).strip("\n") != render()
    ]
    listed, known = tree_names(text), git_names()
    problems += [f"README.md: the tree lists {name} twice" for name in set(listed) if listed.count(name) > 1]
    problems += [f"README.md: the tree lacks {name}" for name in known if name not in listed]
    problems += [
        f"README.md: the tree lists {name}, which git does not know" for name in set(listed) - set(known)
    ]
    return problems


def relayered(text: str) -> str:
    """Return docs/contributing.md with the layers as they are."""
    found = block(text, "layers", LAYERED)
    return f"{text[: found.start(2)]}\n{layers()}\n{text[found.end(2) :]}"


def stale_pages() -> list[str]:
    """Return a line for every page that does not follow from its source, as a whole or in part."""
    problems = [
        f"pyproject.toml: no layer of [tool.importlinter] names harness.{name}" for name in unplaced()
    ]
    text = (ROOT / LAYERED).read_text(encoding="utf-8")
    if relayered(text) != text:
        problems.append(f"{LAYERED}: 'layers' is stale: refresh it with `uv run python .ci/texts.py --write`")
    return problems + [
        f"{name} is stale: refresh it with `uv run python .ci/texts.py --write`"
        for name, render in PAGES.items()
        if not (ROOT / name).is_file() or (ROOT / name).read_text(encoding="utf-8") != render()
    ]


def refreshed(text: str) -> str:
    """Return README.md with every generated text as it must be."""
    for name, render in GENERATED.items():
        found = block(text, name)
        text = f"{text[: found.start(2)]}\n{render()}\n{text[found.end(2) :]}"
    return text


def main() -> int:
    """Check, or write; return the exit code."""
    parser = argparse.ArgumentParser(
        description="Check or refresh the generated texts of README.md and docs/."
    )
    parser.add_argument("--write", action="store_true", help="refresh them")
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    if parser.parse_args().write:
        text = refreshed(text)
        readme.write_text(text, encoding="utf-8")
        for name, render in PAGES.items():
            (ROOT / name).write_text(render(), encoding="utf-8")
        page = (ROOT / LAYERED).read_text(encoding="utf-8")
        (ROOT / LAYERED).write_text(relayered(page), encoding="utf-8")
    problems = stale(text) + stale_pages()
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    if not problems:
        sys.stdout.write("every generated text is fresh\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
