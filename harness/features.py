"""A cache of frozen parts' outputs, addressed by what determines them. A frozen backbone is run once a view."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data import OpenDataset
from harness.durable import Waiting, durable, hold
from harness.errors import TrainingError
from harness.parallel import cores
from harness.protocols import FrozenPart, Record

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    Floats = npt.NDArray[np.float32]
    Shard = dict[str, npt.NDArray[Any]]  # the features of some images, and their lengths where these differ

SHARD = 512  # images between two durable writes: what a kill can cost
BATCH = 32
Progress = Callable[[int, int], None]


def feature_key(part: FrozenPart, contents: Sequence[str], view: int, device: str) -> str:
    """Return the address of one view of a list of images: a hash of all that determines the features."""
    import torch

    digest = hashlib.sha256()
    origin = f"features 2, torch {torch.__version__}, {device.partition(':')[0]}, {SHARD} a shard"
    for field in (origin, part.key, repr(tuple(part.shape)), str(view), *contents):
        digest.update(field.encode() + b"\0")
    return digest.hexdigest()[:32]


def load_features(
    home: Path,
    part: FrozenPart,
    dataset: OpenDataset,
    records: Sequence[Record],
    *,
    view: int,
    device: str,
    progress: Progress,
    out: Floats | None = None,
) -> Floats:
    """Return (n, *shape) float32 features of `records` under one view; computes only the shards that are missing.

    Args:
        view: 0 for the test view, others augment.
        progress: called with images done and images in all.
        out: (n, *shape) float32 to write them to.

    Raises:
        TrainingError: if the frozen part returns another shape than it declares, or NaN.
    """
    import numpy as np

    if out is None:
        out = np.empty((len(records), *part.shape), dtype=np.float32)
    first = 0
    for shard in _shards(home, part, dataset, records, view, device, progress):
        features = shard["features"]
        out[first : first + len(features)] = features
        first += len(features)
    return out


def load_rows(
    home: Path,
    part: FrozenPart,
    dataset: OpenDataset,
    records: Sequence[Record],
    *,
    device: str,
    progress: Progress,
) -> list[Floats]:
    """Return the float32 features of each record under the test view, where the length of the first axis differs.

    Raises:
        TrainingError: as `load_features`.
    """
    import numpy as np

    rows: list[Floats] = []
    for shard in _shards(home, part, dataset, records, 0, device, progress):
        rows += np.split(shard["features"], np.cumsum(shard["counts"])[:-1])
    return rows


def _shards(
    home: Path,
    part: FrozenPart,
    dataset: OpenDataset,
    records: Sequence[Record],
    view: int,
    device: str,
    progress: Progress,
) -> Iterator[Shard]:
    """Yield the shards in order, those that are missing once they are computed and stored."""
    contents = [dataset.content(record) for record in records]
    folder = home / "features" / feature_key(part, contents, view, device)
    # One process computes a view, the others wait for it and then read it.
    with hold(home, f"features-{folder.name}", Waiting.by(progress, len(records))):
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*.tmp"):  # by a process that was killed: this one holds the lock
            left.unlink()
        for start in range(0, len(records), SHARD):
            path = _shard(folder, start)
            rows = records[start : start + SHARD]
            shard = _read(path, part, len(rows))
            if shard is None:
                shard = _packed(part, _compute(part, dataset, rows, view, device))
                _write(path, shard)
            yield shard
            progress(min(start + SHARD, len(records)), len(records))


def missing_images(home: Path, address: str, count: int) -> int:
    """Return of how many of `count` images the cache holds no features under an address; nothing is read or written."""
    folder = home / "features" / address
    return sum(
        min(SHARD, count - start) for start in range(0, count, SHARD) if not _shard(folder, start).is_file()
    )


def _shard(folder: Path, start: int) -> Path:
    return folder / f"{start:08d}.safetensors"


def _packed(part: FrozenPart, rows: Sequence[Floats]) -> Shard:
    """Put the features of a shard's images into one array, with their lengths where these differ."""
    import numpy as np

    # Both keep the layout of their rows, as channels last, and safetensors writes memory as it lies.
    if -1 not in part.shape:
        return {"features": np.ascontiguousarray(np.stack(rows))}
    counts = np.array([len(row) for row in rows], dtype=np.int64)
    return {"features": np.ascontiguousarray(np.concatenate(rows)), "counts": counts}


def intact(path: Path) -> bool:
    """Tell whether a stored shard is what was written."""
    return _stored(path) is not None


def _stored(path: Path) -> Shard | None:
    """Return a stored shard, or ``None`` if it is missing or not what was written."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            shard = {name: file.get_tensor(name) for name in sorted(file.keys())}
            whole = (file.metadata() or {}).get("sha256") == _sha256(shard)
    except (OSError, SafetensorError):
        return None
    return shard if whole and "features" in shard else None


def _read(path: Path, part: FrozenPart, count: int) -> Shard | None:
    """Return a stored shard, or ``None`` if it is missing, of another shape, or not what was written."""
    shard = _stored(path)
    if shard is None:
        return None
    if -1 in part.shape:
        counts = shard.get("counts")
        if counts is None or len(counts) != count:
            return None
        expected = (int(counts.sum()), *part.shape[1:])
    else:
        expected = (count, *part.shape)
    return shard if shard["features"].shape == expected else None


def _write(path: Path, shard: Shard) -> None:
    from safetensors.numpy import save

    with durable(path) as file:
        file.write(save(shard, metadata={"sha256": _sha256(shard)}))


def _sha256(shard: Shard) -> str:
    digest = hashlib.sha256()
    for name in sorted(shard, reverse=True):  # features first: that was all there was
        digest.update(shard[name].tobytes())
    return digest.hexdigest()


def _compute(
    part: FrozenPart, dataset: OpenDataset, records: Sequence[Record], view: int, device: str
) -> list[Floats]:
    """Return the features of each record."""

    def run(batch: torch.Tensor) -> torch.Tensor:
        features = part.compute(batch.to(device)).float().cpu()
        _check(part, features, len(batch))
        return features

    return [row.numpy() for views in _views(part, dataset, records, view) for row in by_shape(run, views)]


def by_shape(
    run: Callable[[torch.Tensor], torch.Tensor], tensors: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """Stack tensors of one shape, run each stack, and return the rows of what comes out in the order of `tensors`."""
    import torch

    groups: dict[tuple[int, ...], list[int]] = {}
    for row, tensor in enumerate(tensors):
        groups.setdefault(tuple(tensor.shape), []).append(row)
    found: dict[int, torch.Tensor] = {}
    for rows in groups.values():
        found |= zip(rows, run(torch.stack([tensors[row] for row in rows])), strict=True)
    return [found[row] for row in range(len(tensors))]


def _check(part: FrozenPart, features: torch.Tensor, count: int) -> None:
    import torch

    declared = (count, *part.shape)
    fits = features.ndim == len(declared) and all(
        wanted in (-1, size) for size, wanted in zip(features.shape, declared, strict=True)
    )
    if not fits or not torch.isfinite(features).all():
        raise TrainingError(
            f"the frozen part {part.key!r} returned {tuple(features.shape)}, finite: "
            f"{bool(torch.isfinite(features).all())}; declared: (batch, {', '.join(map(str, part.shape))})"
        )


def _views(
    part: FrozenPart, dataset: OpenDataset, records: Sequence[Record], view: int
) -> Iterator[list[torch.Tensor]]:
    """Decode in threads, one batch ahead of the backbone."""
    with ThreadPoolExecutor(max_workers=cores()) as pool:

        def submit(start: int) -> list[torch.Tensor]:
            rows = records[start : start + BATCH]
            return list(pool.map(lambda record: part.view(dataset.pixels(record), view), rows))

        with ThreadPoolExecutor(max_workers=1) as ahead:
            starts = list(range(0, len(records), BATCH))
            pending = ahead.submit(submit, starts[0]) if starts else None
            for following in [*starts[1:], None]:
                assert pending is not None
                batch = pending.result()
                pending = ahead.submit(submit, following) if following is not None else None
                yield batch
