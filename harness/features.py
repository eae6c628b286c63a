"""A cache of frozen parts' outputs, addressed by what determines them. A frozen backbone is run once a view."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data import OpenDataset
from harness.durable import durable, hold
from harness.errors import TrainingError
from harness.protocols import FrozenPart, Record

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    Floats = npt.NDArray[np.float32]

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
) -> Floats:
    """Return (n, *shape) float32 features of `records` under one view; computes only the shards that are missing.

    Args:
        view: 0 for the test view, others augment.
        progress: called with images done and images in all.

    Raises:
        TrainingError: if the frozen part returns another shape than it declares, or NaN.
    """
    import numpy as np

    contents = [dataset.content(record) for record in records]
    folder = home / "features" / feature_key(part, contents, view, device)
    starts = range(0, len(records), SHARD)
    shards = []
    # One process computes a view, the others wait for it and then read it.
    with hold(home, f"features-{folder.name}"):
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*.tmp"):  # by a process that was killed: this one holds the lock
            left.unlink()
        for start in starts:
            path = folder / f"{start:08d}.safetensors"
            rows = records[start : start + SHARD]
            shard = _read(path, (len(rows), *part.shape))
            if shard is None:
                shard = _compute(part, dataset, rows, view, device)
                _write(path, shard)
            shards.append(shard)
            progress(min(start + SHARD, len(records)), len(records))
    return np.concatenate(shards)


def _read(path: Path, shape: tuple[int, ...]) -> Floats | None:
    """Return a stored shard, or ``None`` if it is missing, of another shape, or not what was written."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            shard: Floats = file.get_tensor("features")
            whole = shard.shape == shape and (file.metadata() or {}).get("sha256") == _sha256(shard)
    except (OSError, SafetensorError):
        return None
    return shard if whole else None


def _write(path: Path, shard: Floats) -> None:
    from safetensors.numpy import save

    with durable(path) as file:
        file.write(save({"features": shard}, metadata={"sha256": _sha256(shard)}))


def _sha256(shard: Floats) -> str:
    return hashlib.sha256(shard.tobytes()).hexdigest()


def _compute(
    part: FrozenPart, dataset: OpenDataset, records: Sequence[Record], view: int, device: str
) -> Floats:
    import numpy as np
    import torch

    out = np.empty((len(records), *part.shape), dtype=np.float32)
    done = 0
    for batch in _views(part, dataset, records, view):
        features = part.compute(batch.to(device)).float().cpu()
        if tuple(features.shape) != (len(batch), *part.shape) or not torch.isfinite(features).all():
            raise TrainingError(
                f"the frozen part {part.key!r} returned {tuple(features.shape)}, finite: "
                f"{bool(torch.isfinite(features).all())}; declared: (batch, {', '.join(map(str, part.shape))})"
            )
        out[done : done + len(batch)] = features.numpy()
        done += len(batch)
    return out


def _views(
    part: FrozenPart, dataset: OpenDataset, records: Sequence[Record], view: int
) -> Iterator[torch.Tensor]:
    """Decode in threads, one batch ahead of the backbone."""
    import torch

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:

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
                yield torch.stack(batch)
