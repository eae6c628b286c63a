"""Runs as what statistics start from: the rank of every test query, from the store or beside a leaderboard's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import InputError, StoreError, nearest
from harness.evaluate import EMBEDDINGS, RANKS, read_ranking
from harness.execute.rows import identities
from harness.execute.stored import needed_files
from harness.export import method_of
from harness.leaderboard import Ranks, Row
from harness.passport import RECALL, passport, question, with_figures
from harness.statistics import Sample
from harness.store import Result, Store

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.protocols import Split

    Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class RankedRun:
    """A run with the rank of every test query; ids are in the order of the sample.

    Attributes:
        title: the method, as tables name it; `visual` and `textual`, its paths.
        seed: ``None`` where nobody told.
        protocol: parts of the passport without those of evaluators; empty where only `passport`, their hash, was kept.
        judged: evaluator -> component, revision and parameters, as text.
        sample: ranks.
        image_ids, caption_ids: empty for a row of a leaderboard whose run is not stored here.
        result: of a stored run; ``None`` for a row alone.
    """

    fingerprint: str
    title: str
    visual: str
    textual: str
    dataset: str
    seed: int | None
    passport: str
    protocol: Mapping[str, str]
    judged: Mapping[str, str]
    sample: Sample
    image_ids: tuple[str, ...] = ()
    caption_ids: tuple[str, ...] = ()
    result: Result | None = None

    @property
    def spec(self) -> Mapping[str, Any] | None:
        """What it was made from; ``None`` for a row alone."""
        return None if self.result is None else self.result.spec

    @property
    def table_passport(self) -> str:
        """The passport that tables and `harness show` print: with the way in which recalls are counted."""
        return table_passport(self.protocol, self.judged) if self.protocol else self.passport


def passport_of(result: Result) -> str:
    """Return the passport of a stored run as tables have it; the kept hash where its parts were not kept."""
    return table_passport(result.protocol, identities(result.figures)) if result.protocol else result.passport


def question_of(result: Result) -> tuple[str, ...]:
    """Return what two stored runs must share for their recalls to be compared, as tables have it."""
    figures = identities(result.figures).get(RECALL, "")
    return question(result.protocol, figures) if result.protocol else (figures, result.passport)


def table_passport(protocol: Mapping[str, str], judged: Mapping[str, str]) -> str:
    """Return the hash of a protocol together with the evaluators of recall."""
    return passport(with_figures(protocol, judged))


def ranked_run(
    store: Store, fingerprint: str, *, evaluator: str | None = None, folds: int = 1, row: Row | None = None
) -> RankedRun:
    """Read the ranks of a stored run; every file that is read is checked first.

    Args:
        evaluator: whose ranks, of those that the run keeps; ``None`` for the plain ones, a tie lost.
        folds: above 1, each query is ranked anew, from the stored embeddings, in its fold of consecutive images.
        row: of its method, which tables name; without it, that of an import, or what the run was made of.

    Raises:
        StoreError: names the file that is missing or damaged.
        InputError: if the run keeps no ranks of `evaluator`, or its images do not divide into the folds.
    """
    store.checked(fingerprint, "result.json")
    result = store.result(fingerprint)
    image_ids, caption_ids, i2t, t2i = _plain(store, fingerprint)
    owner = _owners(fingerprint, image_ids, caption_ids)
    if evaluator is not None:
        queries = store.queries(fingerprint)
        kept: Mapping[str, tuple[Ints, Ints]] = queries.ranks if queries is not None else {}
        if evaluator not in kept:
            raise _lacking(f"run {fingerprint}", evaluator, list(kept))
        i2t, t2i = kept[evaluator]
    elif folds > 1:
        i2t, t2i = _of_folds(store, fingerprint, _split(image_ids, owner), folds)
    return RankedRun(
        fingerprint=fingerprint,
        title=row.title if row else method_of(result.spec),
        visual=row.visual if row else _path(result.spec, "visual", "image"),
        textual=row.textual if row else _path(result.spec, "textual", "text"),
        dataset=result.dataset,
        seed=result.spec.get("seed"),
        passport=result.passport,
        protocol=result.protocol,
        judged=identities(result.figures),
        sample=Sample(i2t, t2i, owner),
        image_ids=image_ids,
        caption_ids=caption_ids,
        result=result,
    )


def committed_run(ranks: Ranks, row: Row, *, evaluator: str | None = None) -> RankedRun:
    """Read the ranks of a leaderboard's row, which say whose query is whose but not the ids.

    Args:
        evaluator: whose ranks; ``None`` for the plain ones, a tie lost: those of recall without parameters.

    Raises:
        StoreError: if the file of ranks is damaged, or the row's figures are not those of its ranks.
        InputError: if none were kept of `evaluator`.
    """
    kept = [name for name in row.evaluators if ranks.sample(row, name) is not None]
    name = evaluator or next((each for each in kept if _plain_recall(row.evaluators[each])), None)
    sample = None if name is None else ranks.sample(row, name)
    if sample is None:
        raise _lacking(f"row {row.fingerprint} of the leaderboards", evaluator, kept)
    return RankedRun(
        fingerprint=row.fingerprint,
        title=row.title,
        visual=row.visual,
        textual=row.textual,
        dataset=row.dataset,
        seed=row.seed,
        passport=row.passport,
        protocol=row.protocol,
        judged=row.evaluators,
        sample=sample,
    )


def _path(spec: Mapping[str, Any], told: str, role: str) -> str:
    """Return what a path of a run is: as whoever imported it says, or the title of its encoder."""
    part = spec.get(role, {})
    return str(spec[told] if told in spec else part.get("title") or part.get("name", ""))


def _plain_recall(told: str) -> bool:
    """Tell of an evaluator, as text, whether it counts ranks over the whole gallery, a tie lost."""
    return told.split(" ")[0] == RECALL and "(" not in told


def _lacking(what: str, evaluator: str | None, kept: Sequence[str]) -> InputError:
    has = f"it keeps those of: {', '.join(kept)}" if kept else "it keeps none"
    if evaluator is None:
        return InputError(
            f"{what} keeps no plain ranks; {has}", hint="--evaluator NAME compares those that it keeps."
        )
    return InputError(
        f"{what} keeps no ranks of evaluator {evaluator!r}; {has}{nearest(evaluator, kept)}",
        hint="Without --evaluator the plain ranks are compared. Evaluators of several right answers keep none.",
    )


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
    if EMBEDDINGS not in needed_files(store.result(fingerprint)):
        raise InputError(
            f"folds are ranked from embeddings, and of run {fingerprint} only ranks were imported"
        )
    ranking = read_ranking(store.checked(fingerprint, EMBEDDINGS), store.checked(fingerprint, RANKS), split)
    size = images // folds
    parts = [ranking.fold(start, start + size) for start in range(0, images, size)]
    i2t, t2i = (
        np.concatenate([getattr(part, side).rank() for part in parts]).astype(np.int64)
        for side in ("i2t", "t2i")
    )
    return i2t, t2i
