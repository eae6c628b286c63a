"""`harness explain`: a table, JSON and a drawing of word importance, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Invoke = Callable[..., tuple[int, str, str]]
CAPTION = "red and dark $1 <b>"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "secret place" / "a picture.png"
    path.parent.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def runs(invoke: Invoke) -> dict[str, str]:
    """Fingerprints of the toy runs, by their label."""
    code, out, err = invoke("run", "--threads", "1", "--device", "cpu", "--matrix", "whole", "--json")
    assert code == 0, err
    return {cell["labels"]["variant"]: cell["fingerprint"] for cell in json.loads(out)["cells"]}


def test_every_kind_of_run_is_explained(invoke: Invoke, runs: dict[str, str], picture: Path) -> None:
    scores = set()
    for fingerprint in runs.values():
        code, out, err = invoke(
            "explain", fingerprint[:9], "--image", str(picture), "--caption", CAPTION, "--json"
        )
        assert (code, err) == (0, ""), err
        told = json.loads(out)
        assert (told["run"], told["caption"], told["image"]) == (fingerprint, CAPTION, str(picture))
        assert [entry["word"] for entry in told["words"]] == CAPTION.split()
        assert {entry["state"] for entry in told["words"]} == {"read"}
        assert any(abs(entry["change"]) > 1e-4 for entry in told["words"])
        assert -1 <= told["score"] <= 1
        scores.add(told["score"])
    assert len(scores) == 4


def test_the_table_names_words_changes_and_what_is_not_read(
    invoke: Invoke, runs: dict[str, str], picture: Path
) -> None:
    long = " ".join(["red", "green", "blue", "dark", "round", "square", "tall", "flat", "plain", "[/bold]"])
    arguments = ("explain", runs["plain"], "--image", str(picture), "--caption", long)
    told = json.loads(invoke(*arguments, "--json")[1])
    code, out, err = invoke(*arguments)
    assert (code, err) == (0, "")
    rows = {line.split("│")[1].strip(): line for line in out.splitlines() if line.startswith("│")}
    for entry in told["words"][:8]:
        assert f"{entry['change']:+.4f}" in rows[entry["word"]]
        assert ("█" in rows[entry["word"]]) == (round(16 * abs(entry["change"]) / strongest(told)) > 0)
    # The toy text path reads eight words.
    for word in ("plain", "[/bold]"):
        assert "not read" in rows[word]
        assert "–" in rows[word]
    assert f"score of the whole: {told['score']:.4f}" in out


def strongest(told: dict[str, Any]) -> float:
    return max(abs(entry["change"]) for entry in told["words"])


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_a_drawing_is_the_same_each_time_and_names_no_place(
    invoke: Invoke, runs: dict[str, str], picture: Path, tmp_path: Path, kind: str
) -> None:
    drawn = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}.{kind}"
        code, _, err = invoke(
            "explain", runs["closed"], "--image", str(picture), "--caption", CAPTION, "--plot", str(path)
        )
        assert code == 0, err
        assert f"drawn: {path}" in err
        drawn.append(path.read_bytes())
    assert drawn[0] == drawn[1]
    for trace in (str(tmp_path), "secret place", "a picture", str(Path.home())):
        assert trace.encode() not in drawn[0]
    assert drawn[0].startswith(b"<?xml" if kind == "svg" else b"\x89PNG")
    if kind == "png":
        with Image.open(tmp_path / "one.png") as image:
            assert image.width > image.height > 300


def test_a_script_without_a_glyph_is_drawn_all_the_same(
    invoke: Invoke, runs: dict[str, str], picture: Path, tmp_path: Path
) -> None:
    path = tmp_path / "drawn.svg"
    code, _, err = invoke(
        "explain", runs["plain"], "--image", str(picture), "--caption", "ein 狗 läuft", "--plot", str(path)
    )
    assert code == 0
    assert "Warning" not in err
    assert path.stat().st_size > 1000


def test_an_image_of_the_dataset_is_named_by_its_id(invoke: Invoke, runs: dict[str, str]) -> None:
    code, out, err = invoke("explain", runs["after"], "--id", "test3", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["image"] == "test3"
    assert told["caption"].split()[-1] == "3"
    code, out, _ = invoke("explain", runs["after"], "--id", "test3", "--caption", "red", "--json")
    assert (code, json.loads(out)["caption"]) == (0, "red")
    code, out, err = invoke("explain", runs["after"], "--id", "tset3")
    assert (code, out) == (2, "")
    assert "dataset 'toys' has no image 'tset3'; one of it is 'train0'" in err


def test_what_is_no_image_is_refused_with_the_reason(
    invoke: Invoke, runs: dict[str, str], tmp_path: Path, picture: Path
) -> None:
    run = runs["plain"]
    text = tmp_path / "text.png"
    text.write_text("no picture", encoding="utf-8")
    cut = tmp_path / "cut.png"
    cut.write_bytes(picture.read_bytes()[:-20])
    for path, reason in (
        (tmp_path / "none.png", "no such file"),
        (tmp_path, "not a regular file"),
        (text, "not an image of a known format"),
        (cut, "cut.png: "),
    ):
        code, out, err = invoke("explain", run, "--image", str(path), "--caption", "red")
        assert (code, out) == (2, ""), path
        assert reason in err
        assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "takes one image"),
        (("--image", "{}", "--id", "test0"), "takes one image"),
        (("--image", "{}"), "needs a sentence"),
        (("--image", "{}", "--caption", "  "), "holds no word"),
        (("--image", "{}", "--caption", "red", "--plot", "a.pdf"), "must end in .svg or .png"),
        (("--image", "{}", "--caption", "red", "--plot", "gone/a.svg"), "there is no folder gone"),
    ],
)
def test_wrong_input_is_exit_code_2(
    invoke: Invoke, runs: dict[str, str], picture: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = invoke("explain", runs["plain"], *(part.format(picture) for part in arguments))
    assert (code, out) == (2, "")
    assert message in err


def test_a_run_that_is_not_there_is_named(invoke: Invoke, picture: Path) -> None:
    code, _, err = invoke("explain", "abc", "--image", str(picture), "--caption", "red")
    assert code == 2
    assert "no run 'abc'" in err
    assert "harness run" in err


def test_an_encoder_that_fails_is_named(
    invoke: Invoke, runs: dict[str, str], picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import harness_toy.models

    prepare = harness_toy.models.Words.prepare

    def broken(self: Any, raw: str, *, training: bool) -> Any:
        if raw == "":
            raise ZeroDivisionError("no word")
        return prepare(self, raw, training=training)

    monkeypatch.setattr(harness_toy.models.Words, "prepare", broken)
    code, _, err = invoke("explain", runs["plain"], "--image", str(picture), "--caption", "red dark")
    assert code == 1
    assert "text encoder 'words' failed: ZeroDivisionError: no word" in err
    assert "Traceback" not in err
