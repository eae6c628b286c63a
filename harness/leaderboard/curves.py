"""Learning curves: their data as committed json, so that a figure depends on committed files alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.durable import durable
from harness.errors import InputError, StoreError
from harness.leaderboard.figures import curve_figure
from harness.specs import valid_name

SCHEMA = 1
Histories = Mapping[str, Sequence[Mapping[str, float]]]
_KEPT = ("epoch", "loss", "val.rsum")


def write_curves(folder: Path, dataset: str, histories: Histories) -> tuple[Path, ...]:
    """Store the learning curves of a dataset as ``curves/<dataset>.json`` and draw them beside it.

    Args:
        folder: the leaderboards.
        dataset: its name in registry.yaml.
        histories: title of a method -> its rows by epoch, with ``epoch``, ``val.rsum`` (0..600), ``loss``,
            and the cross-entropies of both paths under keys that end in ``image_ce`` and ``text_ce``; others
            are left out, as are values that are not finite.

    Raises:
        InputError: if the dataset's name is no file name, or a row has no epoch.
        StoreError: if a file cannot be written.
    """
    if not valid_name(dataset):
        raise InputError(f"{dataset!r} is not the name of a dataset")
    kept = {title: [_kept(row, title) for row in rows] for title, rows in sorted(histories.items())}
    data, drawing = (folder / "curves" / f"{dataset}.{ending}" for ending in ("json", "svg"))
    content = json.dumps({"schema": SCHEMA, "dataset": dataset, "histories": kept}, sort_keys=True, indent=1)
    with durable(data) as file:
        file.write(f"{content}\n".encode("ascii"))
    with durable(drawing) as file:
        file.write(curve_figure(kept).encode("utf-8"))
    return data, drawing


def _kept(row: Mapping[str, float], title: str) -> dict[str, float]:
    if "epoch" not in row:
        raise InputError(f"a row of the history of {title!r} has no epoch")
    return {
        key: float(f"{value:.6g}")
        for key, value in sorted(row.items())
        if (key in _KEPT or key.endswith(("image_ce", "text_ce"))) and math.isfinite(value)
    }


def read_curves(folder: Path) -> dict[str, Histories]:
    """Read the stored curves, dataset -> histories.

    Raises:
        StoreError: names a file that is damaged or of a newer version.
    """
    found: dict[str, Histories] = {}
    for path in sorted((folder / "curves").glob("*.json")):
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            if raw["schema"] > SCHEMA:
                schemas = f"schema {raw['schema']}, known: {SCHEMA}"
                raise StoreError(f"{path} was written by a newer version ({schemas})")
            found[path.stem] = {
                str(title): [{str(key): float(value) for key, value in row.items()} for row in rows]
                for title, rows in sorted(raw["histories"].items())
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{path} is damaged: {error}", hint="Restore it from git.") from error
    return found
