"""The queries that one method answers better than another, as people and programs read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.cli.console import out, plain, table

if TYPE_CHECKING:
    from harness.execute.compared import Asked
    from harness.statistics import Decided, Win


def print_wins(wins: Decided, asked: Asked, count: int) -> None:
    """Print how many queries each side wins, and the first `count` of them."""
    note = "A side wins a query that is a hit with it and not with the other, or at more K. Ranks are means over seeds."
    out.print(plain(note), markup=False, soft_wrap=True)
    for names, found in (("AB", wins.a), ("BA", wins.b)):
        title = f"{names[0]} wins and {names[1]} loses {len(found):,} of {wins.queries:,} queries"
        rows = [_row(win, asked) for win in found[:count]]
        if rows:
            columns = ["query", "image", "caption", f"rank {names[0]}", f"rank {names[1]}"]
            table(title, columns, rows, numeric=3, whole=("image",))
        else:
            out.print(plain(f"{title}."), markup=False, soft_wrap=True)


def query(win: Win, asked: Asked) -> dict[str, Any]:
    """Return a query for programs; ids are null where they are not at hand, and `position` counts from 0."""
    image, caption = _ids(win, asked)
    return {
        "side": win.side,
        "position": win.query,
        "image": image,
        "caption_id": caption,
        "caption": asked.texts.get(caption) if caption else None,
        "rank": win.rank,
        "other": win.other,
    }


def _row(win: Win, asked: Asked) -> list[str]:
    image, caption = _ids(win, asked)
    number = f"number {win.query + 1:,}"
    ranks = [_rank(win.rank), _rank(win.other)]
    if win.side == "t2i":
        text = asked.texts.get(caption, caption) if caption else number
        return ["caption", image or "–", text, *ranks]
    # An image as a query has no caption of its own: its first one says what it shows.
    return ["image", image or number, asked.texts.get(f"{image}#0", "–"), *ranks]


def _rank(rank: float) -> str:
    return f"{rank:,.0f}" if rank.is_integer() else f"{rank:,.1f}"


def _ids(win: Win, asked: Asked) -> tuple[str | None, str | None]:
    """Return the ids of the image and, where it is the query, of the caption, as far as they are known."""
    if win.side == "i2t":
        return (asked.image_ids[win.query] if asked.image_ids else None), None
    if not asked.caption_ids:
        return None, None
    caption = asked.caption_ids[win.query]
    return caption.rpartition("#")[0], caption
