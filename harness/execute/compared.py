"""Stored runs as what statistics start from: their ranks, read and checked, and what they share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import DataError, InputError, StoreError
from harness.evaluate import EMBEDDINGS, RANKS, read_ranking
from harness.passport import SAME_TRUTH, differing
from harness.statistics import Sample
from harness.store import Result, Store

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.catalog import Catalog
    from harness.protocols import Split

    Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class RankedRun:
    """A stored run with the rank of every test query; ids are in the order of the sample."""

    result: Result
    sample: Sample
    image_ids: tuple[str, ...]
    caption_ids: tuple[str, ...]


def ranked_run(store: Store, fingerprint: str, *, evaluator: str | None = None, folds: int = 1) -> RankedRun:
    """Read the ranks of a stored run; every file that is read is checked first.

    Args:
        evaluator: whose ranks, of those that the run keeps; ``None`` for the plain ones, a tie lost.
        folds: above 1, each query is ranked anew, from the stored embeddings, in its fold of consecutive images.

    Raises:
        StoreError: names the file that is missing or damaged.
        InputError: if the run keeps no ranks of `evaluator`, or its images do not divide into the folds.
    """
    store.checked(fingerprint, "result.json")
    result = store.result(fingerprint)
    image_ids, caption_ids, i2t, t2i = _plain(store, fingerprint)
    owner = _owners(fingerprint, image_ids, caption_ids)
    if evaluator is not None:
        i2t, t2i = _of_evaluator(store, fingerprint, evaluator)
    elif folds > 1:
        i2t, t2i = _of_folds(store, fingerprint, _split(image_ids, owner), folds)
    return RankedRun(
        result=result, sample=Sample(i2t, t2i, owner), image_ids=image_ids, caption_ids=caption_ids
    )


def one_question(runs: Sequence[RankedRun], evaluator: str | None = None) -> list[str]:
    """Check that runs were asked the same; return the parts in which their passports differ all the same.

    Those say what of an input the answer was made from: a test view, a preprocessing.

    Raises:
        InputError: names two runs of different galleries, pixels or scores, or whose passports differ and do not
            say in what; or that `evaluator` judged with another revision or other parameters.
    """
    first = runs[0]
    if evaluator is not None:
        _one_evaluator(runs, evaluator)
    for other in runs[1:]:
        a, b = first.result, other.result
        if a.passport == b.passport and first.caption_ids == other.caption_ids:
            continue
        parts = differing([a.protocol, b.protocol]) if a.protocol and b.protocol else list(SAME_TRUTH)
        unlike = [part for part in parts if part in SAME_TRUTH]
        if unlike or first.image_ids != other.image_ids or first.caption_ids != other.caption_ids:
            raise InputError(
                f"runs {a.fingerprint} ({a.dataset}, passport {a.passport}) and {b.fingerprint} ({b.dataset}, "
                f"passport {b.passport}) cannot be compared: {_unlike(first, other, unlike)}",
                hint="harness show RUN prints the gallery and the passport of a run.",
            )
    return differing(run.result.protocol for run in runs)


def recipe(store: Store, result: Result) -> str:
    """Return a hash of all that a run was made from but the seed, of the runs that it starts from too."""
    spec: dict[str, Any] = {key: value for key, value in result.spec.items() if key != "seed"}
    parent = spec.get("parent")
    if parent is not None and store.finished(parent):
        spec["parent"] = recipe(store, store.result(parent))
    return hashlib.sha256(json.dumps([result.passport, spec], sort_keys=True).encode()).hexdigest()


def seeds_of(store: Store, fingerprint: str) -> list[str]:
    """Return the runs of a run's recipe, itself too, by seed."""
    wanted = recipe(store, store.result(fingerprint))
    found = [store.result(other) for other in store.fingerprints()]
    same = [result for result in found if recipe(store, result) == wanted]
    return [
        result.fingerprint for result in sorted(same, key=lambda r: (r.spec.get("seed", 0), r.fingerprint))
    ]


def captions_of(run: RankedRun, data: Path, catalog: Catalog, folder: Path) -> dict[str, str]:
    """Return the text of each test caption by its id, from the dataset that the run names.

    Args:
        data: where prepared datasets lie.
        folder: of registry.yaml: where the relative paths of ``file:`` parameters start.

    Raises:
        DataError: if the dataset is not prepared, or holds other test captions.
        HarnessError: if its component or a file that it names is not there.
    """
    from harness.data import open_dataset
    from harness.plan import Part
    from harness.plan.files import files_of

    kept = run.result.spec["dataset"]
    part = Part(**{**kept, "files": files_of(kept["params"], folder)})
    split = open_dataset(part, data, catalog).split("test", run.result.limit)
    if split.caption_ids != run.caption_ids:
        raise DataError(f"dataset {part.name!r} has other test captions than run {run.result.fingerprint}")
    return dict(zip(split.caption_ids, split.captions, strict=True))


def _plain(store: Store, fingerprint: str) -> tuple[tuple[str, ...], tuple[str, ...], Ints, Ints]:
    import numpy as np
    import pyarrow.parquet as pq

    columns = pq.read_table(store.checked(fingerprint, RANKS))
    ranks = 1 + columns["above"].to_numpy() + columns["tied"].to_numpy()
    sides, ids = np.array(columns["side"].to_pylist()), columns["query"].to_pylist()
    images, captions = ((sides == side).nonzero()[0] for side in ("i2t", "t2i"))
    return (
        tuple(ids[place] for place in images),
        tuple(ids[place] for place in captions),
        ranks[images].astype(np.int64),
        ranks[captions].astype(np.int64),
    )


def _owners(fingerprint: str, image_ids: Sequence[str], caption_ids: Sequence[str]) -> Ints:
    """Return the image of each caption, whose id is ``<image>#<position>``."""
    import numpy as np

    places = {image: place for place, image in enumerate(image_ids)}
    owners = [places.get(caption.rpartition("#")[0], -1) for caption in caption_ids]
    if -1 in owners:
        strange = caption_ids[owners.index(-1)]
        raise StoreError(f"run {fingerprint}: caption {strange!r} in {RANKS} is of none of its images")
    return np.array(owners, dtype=np.int64)


def _of_evaluator(store: Store, fingerprint: str, evaluator: str) -> tuple[Ints, Ints]:
    from harness.errors import nearest

    queries = store.queries(fingerprint)
    kept: Mapping[str, tuple[Ints, Ints]] = queries.ranks if queries is not None else {}
    if evaluator not in kept:
        has = f"it keeps those of: {', '.join(kept)}" if kept else "it keeps none"
        raise InputError(
            f"run {fingerprint} keeps no ranks of evaluator {evaluator!r}; {has}{nearest(evaluator, kept)}",
            hint="Without --evaluator the plain ranks are compared; `harness run` of a matrix adds what lacks.",
        )
    return kept[evaluator]


def _split(image_ids: Sequence[str], owner: Ints) -> Split:
    """Return a split of these ids whose captions have no text: enough to rank."""
    import numpy as np

    from harness.protocols import Record, Split

    counts = np.bincount(owner, minlength=len(image_ids)).tolist()
    pairs = zip(image_ids, counts, strict=True)
    return Split("test", tuple(Record(image=i, split="test", captions=("",) * c) for i, c in pairs))


def _of_folds(store: Store, fingerprint: str, split: Split, folds: int) -> tuple[Ints, Ints]:
    import numpy as np

    images = len(split.records)
    if images % folds:
        raise InputError(
            f"the {images:,} test images of run {fingerprint} do not divide into {folds} folds",
            hint="The MSCOCO 1K protocol is --folds 5 of 5,000 images.",
        )
    ranking = read_ranking(store.checked(fingerprint, EMBEDDINGS), store.checked(fingerprint, RANKS), split)
    size = images // folds
    parts = [ranking.fold(start, start + size) for start in range(0, images, size)]
    i2t, t2i = (
        np.concatenate([getattr(part, side).rank() for part in parts]).astype(np.int64)
        for side in ("i2t", "t2i")
    )
    return i2t, t2i


def _one_evaluator(runs: Sequence[RankedRun], evaluator: str) -> None:
    judged = [run.result.figures.get(evaluator, {}) for run in runs]
    told = [{key: entry.get(key) for key in ("use", "revision", "params")} for entry in judged]
    for run, settings in zip(runs, told, strict=True):
        if settings != told[0]:
            raise InputError(
                f"evaluator {evaluator!r} judged run {runs[0].result.fingerprint} with {json.dumps(told[0])}, but "
                f"run {run.result.fingerprint} with {json.dumps(settings)}",
                hint="`harness run` of a matrix judges what is stored anew.",
            )


def _unlike(one: RankedRun, other: RankedRun, parts: Sequence[str]) -> str:
    a, b = one.result, other.result
    if a.protocol and b.protocol and parts:
        told = [f"{part} ({a.protocol.get(part, '–')} and {b.protocol.get(part, '–')})" for part in parts]
        return f"they differ in {', '.join(told)}"
    if one.image_ids != other.image_ids or one.caption_ids != other.caption_ids:
        return "they have other test images or captions"
    old = [result.fingerprint for result in (a, b) if not result.protocol]
    return f"{' and '.join(old)} kept the hash of the passport alone, and the hashes differ"
