"""A dataset that is another one than when a run was made: in what it differs, and the commands to go on with."""

from __future__ import annotations

import shlex
from itertools import zip_longest
from pathlib import Path

from harness.data import prepare_again
from harness.errors import StoreError
from harness.evaluate import RANKS
from harness.protocols import Split
from harness.specs import DatasetSpec
from harness.store import Result, Store


def difference(result: Result, split: Split, hashes: tuple[str, str], store: Store) -> str:
    """Say in what the dataset of a run differs: its hashes and, of the split that was evaluated, the first other ids.

    Args:
        split: as it is now.
        hashes: of the dataset then and now, hex.
    """
    then, now = (each[:16] for each in hashes)
    return f"{then} then, {now} now; {_other_ids(result.fingerprint, split, store)}"


def go_on(result: Result, name: str, declared: DatasetSpec, data: Path) -> str:
    """Return the commands that bring the dataset of then back, or do the run with that of now.

    Args:
        name: of the dataset.
        data: root of the prepared datasets.
    """
    back = (
        "Install the plugin of then, which draws it"
        if declared.embedded
        else f"Prepare it from the files of then: {prepare_again(data, name)}"
    )
    command = command_of(result)
    return f"{back}. Or run it again{': ' if command else '.'}{command}"


def command_of(result: Result) -> str:
    """Return the command that made a run, without ``--force``; nothing where none of ours is kept.

    The file may be damaged, or somebody else's: nothing but a command of ours is told, word by word.
    """
    try:
        command = str(result.provenance.get("command", ""))
        words = [word for word in shlex.split(command) if word != "--force"]
    except (ValueError, TypeError, AttributeError):
        return ""
    return shlex.join(words) if words[:1] == ["harness"] else ""


def _other_ids(fingerprint: str, split: Split, store: Store) -> str:
    import pyarrow.parquet as pq

    try:
        path = store.checked(fingerprint, RANKS)
    except StoreError:
        return "its ids of then cannot be read"
    rows = pq.read_table(path, columns=["side", "query"]).to_pylist()
    told = []
    for what, side, ids in (("image", "i2t", split.image_ids), ("caption", "t2i", split.caption_ids)):
        kept = [row["query"] for row in rows if row["side"] == side]
        pair = next((pair for pair in zip_longest(kept, ids) if pair[0] != pair[1]), None)
        if pair is not None:
            was, now = ("none" if each is None else repr(each) for each in pair)
            told.append(f"first other {split.name} {what}: {was} then, {now} now")
    return "; ".join(told) or f"its {split.name} images and captions have the ids of then"
