"""`harness explain`: what each word of a caption does for its score with an image."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.completion import complete_run
from harness.cli.console import emit, out, plain, say, table
from harness.cli.lookup import find_run
from harness.cli.options import Home, Json, RegistryFile, Strict, load_catalog, place, registry_path

if TYPE_CHECKING:
    from rich.text import Text

    from harness.data import OpenDataset
    from harness.execute.importance import Importance
    from harness.protocols import Record
    from harness.protocols.datasets import Pixels

WIDTH = 16
"""Characters of the longest bar."""


def explain(
    run: Annotated[
        str, typer.Argument(help="A run's fingerprint, or its first characters.", autocompletion=complete_run)
    ],
    image: Annotated[
        Path | None, typer.Option("--image", help="An image file of any size.", show_default=False)
    ] = None,
    caption: Annotated[
        str | None,
        typer.Option(
            "--caption", help="The sentence (with --id: else its first caption).", show_default=False
        ),
    ] = None,
    image_id: Annotated[
        str | None,
        typer.Option("--id", help="In place of --image: an image of the run's dataset.", show_default=False),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw it into this .svg or .png file.", show_default=False)
    ] = None,
    as_json: Json = False,
    strict: Strict = False,
    registry_file: RegistryFile = None,
    home: Home = None,
) -> None:
    """Score a caption with an image by a stored run, and again without each word: negative, the word mattered."""
    from harness.errors import InputError
    from harness.store import Store

    where = place(home)
    if (image is None) == (image_id is None):
        raise InputError("explain takes one image", hint="Give --image FILE or --id ID.")
    if caption is None and image is not None:
        raise InputError("explain needs a sentence", hint='Give --caption "a dog runs".')
    _check_plot(plot)
    # Before torch is loaded: a slip shows at once.
    pixels = None if image is None else _decoded(image)
    store = Store(where.home)
    fingerprint = find_run(store, run)

    from harness.execute import Workspace
    from harness.execute.importance import importance
    from harness.execute.provenance import default_threads
    from harness.execute.restore import restore

    workspace = Workspace(
        home=where.home,
        data=where.data,
        catalog=load_catalog(strict),
        device="cpu",
        threads=default_threads(),
    )
    # What a component prints is no output of ours: `--json` is read by programs.
    with contextlib.redirect_stdout(sys.stderr):
        restored = restore(fingerprint, workspace, store, registry_path(registry_file).parent)
        if pixels is None:
            record = _record(restored.dataset, image_id or "")
            pixels = restored.dataset.pixels(record)
            caption = record.captions[0] if caption is None else caption
        found = importance(restored, pixels, caption or "")
    if plot is not None:
        _write(plot, found, pixels)
    if as_json:
        emit(_json(found, fingerprint, str(image) if image else image_id))
        return
    _print(found, fingerprint)
    if plot is not None:
        say(f"drawn: {plot}")


def _decoded(path: Path) -> Pixels:
    from harness.data.images import ImageError, decode, read
    from harness.errors import InputError

    try:
        return decode(read(path))
    except ImageError as fault:
        raise InputError(f"--image {path}: {fault}") from fault


def _record(dataset: OpenDataset, image_id: str) -> Record:
    from harness.errors import InputError

    records = {record.image: record for record in dataset.records}
    if image_id not in records:
        one = next(iter(records))
        raise InputError(f"dataset {dataset.name!r} has no image {image_id!r}; one of it is {one!r}")
    return records[image_id]


def _check_plot(path: Path | None) -> None:
    from harness.errors import InputError

    if path is None:
        return
    if path.suffix.lower() not in (".svg", ".png"):
        raise InputError(f"--plot {path}: the name must end in .svg or .png")
    if not path.parent.is_dir():
        raise InputError(f"--plot {path}: there is no folder {path.parent}")


def _write(path: Path, found: Importance, pixels: Pixels) -> None:
    from harness.cli.drawing import draw
    from harness.errors import HarnessError

    content = draw(found, pixels, path.suffix.lower().removeprefix("."))
    try:
        path.write_bytes(content)
    except OSError as error:
        raise HarnessError(f"cannot write {path}: {error.strerror or error}") from error


def _json(found: Importance, fingerprint: str, image: str | None) -> dict[str, Any]:
    return {
        "run": fingerprint,
        "image": image,
        "caption": found.caption,
        "score": found.score,
        "words": [{"word": w.word, "change": w.change, "state": w.state} for w in found.words],
    }


def _print(found: Importance, fingerprint: str) -> None:
    from harness.cli.drawing import REMARKS

    longest = max(abs(word.change) for word in found.words) or 1.0
    rows: list[list[object]] = [
        [
            word.word,
            f"{word.change:+.4f}" if word.state == "read" else "–",
            _bar(word.change / longest) if word.state == "read" else REMARKS[word.state],
        ]
        for word in found.words
    ]
    table(f"Run {fingerprint}", ["word", "change", ""], rows)
    out.print(
        plain(
            f"score of the whole: {found.score:.4f} (cosine); change: the score without the word, minus that. "
            "Negative: the word mattered."
        ),
        markup=False,
        soft_wrap=True,
    )


def _bar(share: float) -> Text:
    """Return a bar of -1..1 from the middle: to the left where the word mattered."""
    from rich.text import Text

    length = round(WIDTH * abs(share))
    if share < 0:
        return Text(" " * (WIDTH - length)).append("█" * length, style="red").append("│")
    return Text(" " * WIDTH).append("│").append("█" * length, style="blue")


__all__ = ["explain"]
