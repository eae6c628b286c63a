"""Seventy texts that mean harm, in every renderer: terminal, markdown as HTML, SVG, JSON; and as captions.

Tables in HTML, csv and LaTeX: test_hostile_tables.py.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from harness.cli import console
from harness.cli.drawing import draw
from harness.errors import DataError
from harness.execute.importance import Importance, Word
from harness.leaderboard.markdown import escape, fence, pipe_table, plain
from tests.faults.texts import MEANT, TEXTS, Page, steering


def test_there_are_enough() -> None:
    assert len(set(TEXTS)) == len(TEXTS) >= 70


@pytest.mark.fault(11)
def test_a_terminal_shows_and_does_nothing_else(monkeypatch: pytest.MonkeyPatch, faults: Any) -> None:
    for text in MEANT:
        shown = io.StringIO()
        terminal = Console(file=shown, force_terminal=True, color_system=None, width=20_000, highlight=False)
        monkeypatch.setattr(console, "out", terminal)
        monkeypatch.setattr(console, "log", terminal)
        console.table(text, ["a", text], [[text, 1], ["b", text]])
        console.say(text, style="red")
        console.complain(DataError(text, problems=[text], hint=text))
        assert not steering(shown.getvalue()), repr(text)
        # What it says is there, markup and all.
        assert shown.getvalue().count(console.plain(text).split("\n")[0].strip()[:40]) >= 6, repr(text)
        faults.one()


TABLE = {"table", "thead", "tbody", "tr", "th", "td", "p", "h1", "pre", "code"}


@pytest.mark.fault(11)
def test_markdown_becomes_a_page_of_the_same_words_and_no_other_tag(faults: Any) -> None:
    """Through a reader of markdown that lets HTML through, finds links in plain text, and knows tables."""
    reader = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable(["table", "strikethrough"])
    for text in MEANT:
        cell = escape(text)
        page = Page(
            reader.render(
                f"# {cell}\n\n{pipe_table([cell, 'b'], [[cell, '1'], ['c', cell]], (1,))}\n\nx {cell}\n"
            )
        )
        assert {tag for tag, _ in page.tags} <= TABLE, repr(text)
        assert all(name == "style" for _, attributes in page.tags for name, _ in attributes)
        assert [tag for tag, _ in page.tags].count("td") == 4
        assert not steering("".join(page.texts)), repr(text)
        told = re.sub(r"\s+", " ", "".join(page.texts))
        assert told.count(re.sub(r"\s+", " ", plain(text)).strip()) >= 4, (text, told)
        assert "://" not in cell
        assert "www." not in cell
        faults.one()
        code = Page(reader.render(f"{fence(text)}\n\nafter"))
        assert [tag for tag, _ in code.tags] == ["pre", "code", "p"], repr(text)
        assert not steering("".join(code.texts))
        faults.one()


@pytest.mark.fault(11)
def test_a_drawing_holds_no_script_and_no_link(faults: Any) -> None:
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    for start in range(0, len(MEANT), 12):
        # Names may be long; a word is what stands between spaces.
        words = [text.replace(" ", "\u00a0")[:60] for text in MEANT[start : start + 12]]
        found = Importance(
            caption=" ".join(words),
            score=0.5,
            words=tuple(Word(word=word, change=-0.1, state="read") for word in words),
        )
        root = ElementTree.fromstring(draw(found, pixels, "svg"))
        for element in root.iter():
            assert element.tag.rpartition("}")[2] not in ("script", "foreignObject", "a", "text")
            for name, value in element.attrib.items():
                assert not name.lower().startswith("on")
                assert not name.endswith("href") or value.startswith(("#", "data:image/png;base64,"))
        faults.injected += len(words)
        faults.survived += len(words)


@pytest.mark.fault(11)
def test_json_gives_the_text_back_and_is_plain(capsys: pytest.CaptureFixture[str], faults: Any) -> None:
    for text in TEXTS:
        console.emit({"caption": text, text: [text]})
        printed = capsys.readouterr().out
        assert printed.isascii()
        assert not steering(printed)
        assert json.loads(printed) == {"caption": text, text: [text]}
        faults.one()


@pytest.mark.fault(11)
def test_captions_that_mean_harm_are_rejected_by_id_or_trained_on(
    victims: Any, place: Callable[..., Any], faults: Any
) -> None:
    """All the way: prepared, trained, evaluated, explained and put on a page."""
    from PIL import Image

    here = place(extra="  hostile: {summary: captions, experiment: toy, axes: {seed: [0]}}\n")
    folder = here.folder / "photographs"
    folder.mkdir()
    texts = [*TEXTS, "half \ud800 pair"]
    splits = ["train"] * (len(texts) - 20) + ["val"] * 10 + ["test"] * 10
    splits[-1] = "train"
    rows = []
    for number, (text, split) in enumerate(zip(texts, splits, strict=True)):
        pixels = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        rows.append(
            {
                "filename": f"{number}.png",
                "split": split,
                "sentences": [{"raw": text}, {"raw": f"thing {number}"}],
            }
        )
    path = folder / "dataset.json"
    path.write_text(json.dumps({"images": rows}))
    house = ("--home", str(here.home))
    plugins = {"HARNESS_PLUGINS": "toy,datasets"}

    def run(*arguments: str) -> Any:
        victim = victims.start(*arguments, *house, folder=here.folder, **plugins)
        victim.code = victim.wait()
        assert not steering(victim.said), victim.said
        assert "Traceback" not in victim.said, victim.said
        return victim

    prepare = ("data", "prepare", "folder", "--from", str(folder), "--as", "harm")
    # One list of what the component finds and what every dataset is held to.
    bad = {texts.index(" "): "is empty", len(texts) - 1: "holds half a surrogate pair"}
    refused = run(*prepare)
    assert refused.code == 2, refused.said
    assert "has 2 problems" in refused.said
    for number, problem in bad.items():
        assert f"'{number}.png#0'" in refused.said
        assert problem in refused.said
        rows = [row for row in rows if row["filename"] != f"{number}.png"]
    path.write_text(json.dumps({"images": rows}))
    assert run(*prepare).code == 0
    trained = run("run", "--matrix", "hostile", "--dataset", "harm", "--threads", "1", "--device", "cpu")
    assert trained.code == 0, trained.said
    (fingerprint,) = [path.name for path in (here.home / "runs").iterdir()]
    for caption in (texts[0], texts[21], "[/red] <script>"):
        explained = run("explain", fingerprint, "--image", str(folder / "3.png"), "--caption", caption)
        assert explained.code == 0, explained.said
    page = (here.folder / "leaderboards" / "dataset-harm.md").read_text(encoding="utf-8")
    assert not steering(page)
    faults.injected += len(texts)
    faults.survived += len(texts)
