"""README.md and docs/: commands, links, tree and generated texts are those of this repository."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "plugins").glob("*/README.md")),
    *sorted((ROOT / "leaderboards").glob("**/*.md")),
]


@pytest.fixture(scope="module")
def texts() -> ModuleType:
    spec = importlib.util.spec_from_file_location("texts", ROOT / ".ci" / "texts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(text: str, language: str = "sh") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def test_the_first_two_blocks_run_the_main_job_and_the_tests() -> None:
    first, second = blocks(README)[:2]
    assert first == "pip install uv && uv run harness run --matrix ablations\n"
    assert second == "pip install uv && uv run pytest\n"
    assert README.index(second) < README.index("| Method |") < README.index("\n## ")


def test_the_command_table_is_that_of_the_help(texts: ModuleType) -> None:
    # That the excerpt is fresh is checked by .ci/texts.py alone: whoever runs a matrix changes the tables.
    assert texts.block(README, "commands").group(2).strip() == texts.command_table()


def test_the_tree_is_that_of_git(texts: ModuleType) -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    assert sorted(texts.tree_names(README)) == texts.git_names()


def test_a_changed_text_is_found(texts: ModuleType) -> None:
    fresh = texts.refreshed(README)
    assert texts.refreshed(fresh) == fresh
    stale = fresh.replace("`harness show RUN`", "`harness show`")
    assert any("'commands' is stale" in line for line in texts.stale(stale))
    assert texts.refreshed(stale) == fresh
    assert any(
        "the tree lacks harness/api.py" in line
        for line in texts.stale(README.replace("  api.py ", "  ipa.py "))
    )
    with pytest.raises(ValueError, match="'excerpt'"):
        texts.stale(README.replace("<!-- end of excerpt -->", ""))


def test_the_layers_of_the_page_for_contributors_are_those_that_hold(
    texts: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    assert texts.relayered(page) == page
    assert texts.unplaced() == []
    monkeypatch.setattr(texts, "PAGES", {})
    assert texts.stale_pages() == []
    monkeypatch.setattr(texts, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "contributing.md").write_text(page, encoding="utf-8")
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "cli.py").touch()
    (tmp_path / "harness" / "astray.py").touch()
    settings = "[[tool.importlinter.contracts]]\ntype = 'layers'\nlayers = ['harness.cli', 'harness.a | harness.b']\n"
    (tmp_path / "pyproject.toml").write_text(settings, encoding="utf-8")
    lacking, stale = texts.stale_pages()
    assert lacking.endswith("names harness.astray")
    assert "'layers' is stale" in stale
    assert "-->\n\n    cli\n    a | b\n\n<!--" in texts.relayered(page)


def test_the_excerpt_prefers_measured_rows(
    texts: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards = tmp_path / "leaderboards"
    boards.mkdir()
    columns = ["i2t R@1", "R@5", "R@10", "MedR", "t2i R@1", "R@5", "R@10", "MedR", "rSum", "seeds", "source"]
    header = f"| Method | Visual | Textual | {' | '.join(columns)} |"
    lines = [header, re.sub(r"[^|]+", "--", header)]
    rows = [f"| **m{k}** | v | t | {k}.0 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 3 | measured |" for k in range(10)]
    published = "| Ours, Stage I | v | t | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | – | published: x |"
    (boards / "flickr30k.md").write_text("\n".join([*lines, published]), encoding="utf-8")
    monkeypatch.setattr(texts, "ROOT", tmp_path)
    (boards / "flickr8k.md").write_text("\n".join(lines), encoding="utf-8")
    assert "| Ours, Stage I | t | 1 | 2 | 3 | 5 | 6 | 7 | 9 | – |" in texts.excerpt()
    (boards / "flickr8k.md").write_text("\n".join([*lines, published, *rows, "", "later"]), encoding="utf-8")
    shown = texts.excerpt()
    assert "best 8 of 10 measured" in shown
    assert "| **m0** | t | 0.0 | 2 | 3 | 5 | 6 | 7 | 9 | 3 |" in shown
    assert "m7" in shown
    assert "m8" not in shown
    assert "Ours" not in shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        found = page if not path else (page.parent / path)
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.M)
            assert anchor in [re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings], target


def commands_of(page: Path) -> Iterator[list[str]]:
    """Yield every harness command of a page: lines of sh blocks, and what stands in backticks."""
    text = page.read_text(encoding="utf-8")
    lines = [line for block in blocks(text) for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(
        r"`((?:uv run )?harness [^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    )
    for line in lines:
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            words = words[2:] if words[:2] == ["uv", "run"] else words
            if words[:1] == ["harness"] and len(words) > 1:
                yield words[1:]


def test_commands_of_the_texts_exist() -> None:
    import typer

    from harness.cli import app

    root: Any = typer.main.get_command(app)
    seen = 0
    for page in PAGES:
        for words in commands_of(page):
            command, rest = root, list(words)
            while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
                assert rest[0] in command.commands, f"{page.name}: harness {' '.join(words)}"
                command = command.commands[rest.pop(0)]
            known = {name for given in command.params for name in (*given.opts, *given.secondary_opts)}
            for word in rest:
                if word.startswith("-"):
                    assert word.partition("=")[0] in known | {"--help"}, (
                        f"{page.name}: harness {' '.join(words)}"
                    )
            seen += 1
    assert seen > 30


def test_ci_runs_the_same_tests_as_the_readme_says() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "README.md" in script
    lines = [line for line in re.sub(r"#.*", "", script).splitlines() if "pytest" in line]
    # But for what README's command skips.
    assert all("uv run --extra ray pytest" in line for line in lines), (
        "the test command is taken from README.md, not copied"
    )
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert "run: bash .ci/run" in workflow


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {project['version']}\n" in citation
    assert f"## [{project['version']}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
