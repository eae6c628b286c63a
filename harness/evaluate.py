"""Embeds a gallery once, ranks it, calls the evaluators."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, RunError, ScoreError
from harness.inputs import ImageInputs
from harness.protocols import Evaluator, PerImage, PerQuery, Ranks, Split
from harness.ranking import Ranked, normalize, rank
from harness.specs import Scale
from harness.statistics import ratio_bootstrap

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor, nn

    Floats = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int64]

BATCH = 256
EMBEDDINGS, RANKS = "embeddings.safetensors", "ranks.parquet"
"""Names of the files of a stored run that hold its ranking."""
WITHIN = 1e-6
"""How far a figure may lie from what its images add up to."""
SIDES = ("i2t", "t2i")
COUNTS = ("above", "tied", "matched")
TILE = "tile_"
"""Before the names of columns that count within a tile, see `harness.ranking.Ranked`."""


def embed(
    split: Split,
    image: nn.Module,
    text: nn.Module,
    images: ImageInputs,
    texts: Tensor,
    beat: Callable[[], None] = lambda: None,
) -> tuple[Floats, Floats]:
    """Embed a split in evaluation mode.

    Args:
        beat: is called after each batch.

    Returns:
        (n, dim) images and (m, dim) captions, float32, L2-normalised.

    Raises:
        ScoreError: names images or captions whose embedding is NaN or infinite, or of another size.
    """
    import torch

    with evaluating(image, text), torch.inference_mode():

        def embedded(encode: Callable[[Any], Tensor], batches: Iterable[Any]) -> Floats:
            parts = []
            for batch in batches:
                parts.append(encode(batch).float().cpu())
                beat()
            whole: Floats = torch.cat(parts).numpy()
            return whole

        rows = embedded(lambda batch: images.embed(image, batch), images.gallery(BATCH))
        columns = embedded(text, torch.split(texts, BATCH))
    if rows.ndim != 2 or rows.shape[1:] != columns.shape[1:]:
        raise ScoreError(
            f"the encoders disagree: images are {rows.shape}, captions are {columns.shape}; "
            "both must be (batch, dim)"
        )
    return normalize(rows, split.image_ids, "image"), normalize(columns, split.caption_ids, "caption")


@contextlib.contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Put modules into evaluation mode, and each back into the mode that it was in."""
    modes = [module.training for module in modules]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.train(mode)


def judge(name: str, evaluator: Evaluator, ranking: Ranked) -> dict[str, float]:
    """Call one evaluator.

    Raises:
        RunError: names the evaluator if it fails or returns a figure that is not a finite number.
    """
    with _blamed(name):
        figures: Any = evaluator.evaluate(ranking)
        values = {str(key): float(value) for key, value in dict(figures).items()}
    broken = [key for key, value in values.items() if not math.isfinite(value)]
    if broken:
        raise RunError(f"evaluator {name!r} returned a figure that is not finite: {', '.join(broken)}")
    return values


def per_query(name: str, evaluator: Evaluator, ranking: Ranked) -> tuple[Ints, Ints] | None:
    """Return the rank of every image and caption as an evaluator counts them, or ``None`` where it counts none.

    Raises:
        RunError: names the evaluator if it fails, or returns anything but a rank from 1 for each query.
    """
    import numpy as np

    if not isinstance(evaluator, PerQuery):
        return None
    with _blamed(name):
        sides: Any = evaluator.ranks(ranking)
        if sides is None:
            return None
        i2t, t2i = (np.asarray(side) for side in sides)
    for side, ids in ((i2t, ranking.split.image_ids), (t2i, ranking.split.caption_ids)):
        if side.shape != (len(ids),) or not np.issubdtype(side.dtype, np.integer) or side.min(initial=1) < 1:
            raise RunError(
                f"evaluator {name!r} returned ranks {side!r:.80}; it must be a whole number from 1 for each of "
                f"{len(ids)} queries"
            )
    return i2t.astype(np.int64), t2i.astype(np.int64)


def intervals(
    name: str,
    evaluator: Evaluator,
    ranking: Ranked,
    values: Mapping[str, float],
    scales: Mapping[str, Scale] | None = None,
) -> dict[str, list[float]]:
    """Return the bounds of the 95 % interval over images of each figure that an evaluator tells image by image.

    Args:
        values: its figures.
        scales: how they are read, as it declares.

    Raises:
        RunError: names the evaluator if it fails, or what it tells of images is not its figure.
    """
    import numpy as np

    if not isinstance(evaluator, PerImage) or len(ranking.split.records) < 2:
        return {}
    with _blamed(name):
        told: Any = dict(evaluator.by_image(ranking))
        shares = {
            str(figure): (np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.float64))
            for figure, (sums, counts) in told.items()
        }
    shape = (len(ranking.split.records),)
    for figure, (sums, counts) in shares.items():
        sound = sums.shape == counts.shape == shape and np.isfinite(sums).all() and (counts >= 0).all()
        found = sums.sum() / counts.sum() if sound and 0 < counts.sum() < math.inf else math.nan
        if not abs(found - values.get(figure, math.nan)) <= WITHIN:
            raise RunError(
                f"evaluator {name!r}: by its images {figure} is {found:.6g}, by its figures "
                f"{values.get(figure, math.nan):.6g}; it must be the sum over {shape[0]} images by their counts"
            )
    drawn = ratio_bootstrap(shares, scales=scales)
    return {figure: [interval.low, interval.high] for figure, interval in drawn.items()}


@contextlib.contextmanager
def _blamed(name: str) -> Iterator[None]:
    """Name the evaluator in whatever its code raises."""
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:
        raise RunError(f"evaluator {name!r} failed: {type(error).__name__}: {error}") from error


def write_ranks(path: Path, ranking: Ranked) -> None:
    """Store the ranks of every query: side, query id, above, tied, matched; the last three also within its tile.

    A gallery of one tile has no columns for tiles.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids = (ranking.split.image_ids, ranking.split.caption_ids)
    sides = (ranking.i2t, ranking.t2i)
    table = pa.table(
        {
            "side": np.repeat(SIDES, [len(queries) for queries in ids]),
            "query": [query for queries in ids for query in queries],
            **_columns(sides),
            **(
                {f"{TILE}{name}": column for name, column in _columns(ranking.tiles).items()}
                if ranking.tiles
                else {}
            ),
        }
    )
    pq.write_table(table, path)


def _columns(sides: Sequence[Ranks]) -> dict[str, Ints]:
    import numpy as np

    return {name: np.concatenate([getattr(side, name) for side in sides]) for name in COUNTS}


def write_embeddings(path: Path, ranking: Ranked) -> None:
    """Store the test embeddings, float32, with the ids of their rows."""
    import json

    import numpy as np
    from safetensors.numpy import save_file

    # One key: the header keeps no order among several, and equal results are to be equal files.
    ids = json.dumps({"image": ranking.split.image_ids, "text": ranking.split.caption_ids})
    save_file(
        {"image": np.ascontiguousarray(ranking.image), "text": np.ascontiguousarray(ranking.text)},
        path,
        metadata={"ids": ids},
    )


def read_ranking(embeddings: Path, ranks: Path, split: Split) -> Ranked:
    """Rebuild a stored ranking, so that a new evaluator needs no model.

    Raises:
        ScoreError: if the stored ids of embeddings or ranks are not those of `split`, in their order.
    """
    import json

    from safetensors import safe_open

    with safe_open(embeddings, framework="numpy") as file:
        metadata = file.metadata()
        # Before the ids shared one key, each kind had one of its own.
        stored = (
            json.loads(metadata["ids"])
            if "ids" in metadata
            else {k: json.loads(v) for k, v in metadata.items()}
        )
        image, text = file.get_tensor("image"), file.get_tensor("text")
    for key, ids in (("image", split.image_ids), ("text", split.caption_ids)):
        if stored[key] != list(ids):
            raise ScoreError(f"{embeddings} holds other {key} ids than split {split.name!r} of the dataset")
    i2t, t2i, tiles = read_ranks(ranks, split)
    return Ranked(split=split, image=image, text=text, i2t=i2t, t2i=t2i, tiles=tiles)


def read_ranks(path: Path, split: Split) -> tuple[Ranks, Ranks, tuple[Ranks, Ranks] | None]:
    """Read what `write_ranks` stored: i2t, t2i, and both within tiles, or ``None`` where there are none.

    Raises:
        ScoreError: if its queries are not those of `split`, in their order.
    """
    import pyarrow.parquet as pq

    frame = pq.read_table(path).to_pandas()
    kinds = ("", TILE) if f"{TILE}{COUNTS[0]}" in frame else ("",)
    found = []
    for side, ids in zip(SIDES, (split.image_ids, split.caption_ids), strict=True):
        rows = frame[frame["side"] == side]
        if tuple(rows["query"]) != ids:
            raise ScoreError(
                f"{path} holds other {side} queries than split {split.name!r} of the dataset, or in another order",
                hint="`harness run` of its matrix makes the run again.",
            )
        found.append(
            [
                Ranks(**{count: rows[f"{kind}{count}"].to_numpy(dtype="int64") for count in COUNTS})
                for kind in kinds
            ]
        )
    (i2t, *tile_i2t), (t2i, *tile_t2i) = found
    return i2t, t2i, (tile_i2t[0], tile_t2i[0]) if tile_i2t else None


__all__ = [
    "embed",
    "intervals",
    "judge",
    "per_query",
    "rank",
    "read_ranking",
    "read_ranks",
    "write_embeddings",
    "write_ranks",
]
