"""Runs beside each other: what they share, in what they differ, and the words that they were asked with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DataError, InputError
from harness.execute.imported import OWN_COUNTED, OWN_RANKED
from harness.execute.ranked import RankedRun
from harness.passport import SAME_TRUTH, SCORES, differing

if TYPE_CHECKING:
    from harness.catalog import Catalog
    from harness.registry import Registry


def one_question(runs: Sequence[RankedRun], evaluator: str | None = None) -> list[str]:
    """Check that runs were asked the same; return the parts in which their passports differ all the same.

    Those say what of an input the answer was made from: a test view, a preprocessing. Ranks of the same gallery are
    paired query by query whatever scored them, so that the scores of imported ranks may be the method's own; see
    `scored_elsewhere`.

    Raises:
        InputError: names two runs of different galleries, pixels or scores, or whose passports differ and do not
            say in what; or that `evaluator` judged with another revision or other parameters.
    """
    # Not an import of ranks, which goes with any scores: the others must be of one kind among themselves.
    first = next((run for run in runs if not _own_scores(run)), runs[0])
    if evaluator is not None:
        _one_evaluator(runs, evaluator)
    for other in runs:
        if first.passport == other.passport and _same_ids(first, other):
            continue
        both = first.protocol and other.protocol
        parts = differing([first.protocol, other.protocol]) if both else list(SAME_TRUTH)
        own = any(_own_scores(run) for run in (first, other))
        unlike = [part for part in parts if part in SAME_TRUTH and not (own and part == SCORES)]
        if unlike or not _same_ids(first, other):
            told = [
                f"{run.fingerprint} ({run.dataset}, passport {run.table_passport})" for run in (first, other)
            ]
            raise InputError(
                f"runs {' and '.join(told)} cannot be compared: {_unlike(first, other, unlike)}",
                hint="harness show RUN prints the gallery and the passport of a run.",
            )
    return differing(run.protocol for run in runs)


def scored_elsewhere(runs: Sequence[RankedRun]) -> str:
    """Say of which runs ranks alone were imported; empty where of none.

    Args:
        runs: paired with each other.
    """
    names = [run.fingerprint for run in runs if _own_scores(run)]
    if not names or len({run.protocol.get(SCORES) for run in runs}) == 1:
        return ""
    ties = any(run.protocol[SCORES] == OWN_RANKED for run in runs if _own_scores(run))
    unknown = "scores and how ties count are" if ties else "scores are"
    return f"only ranks were imported of {', '.join(names)}: their {unknown} not known"


def _own_scores(run: RankedRun) -> bool:
    return run.protocol.get(SCORES) in (OWN_COUNTED, OWN_RANKED)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The queries of a gallery: ids in order, and the text of each caption; empty where they are not at hand."""

    image_ids: tuple[str, ...] = ()
    caption_ids: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)


def asked(run: RankedRun, data: Path, catalog: Catalog, registry: Registry) -> Asked:
    """Return the test queries of a run, from the dataset that it names.

    Args:
        data: where prepared datasets lie.

    Raises:
        DataError: if the dataset is not prepared, or holds other test images or captions.
        HarnessError: if its component or a file that it names is not there.
    """
    from harness.data import open_dataset
    from harness.execute.registered import dataset_part
    from harness.passport import GALLERY, gallery
    from harness.plan import Part
    from harness.plan.files import files_of

    limit, name = None, "test"
    if run.result is None:
        part = dataset_part(run.dataset, registry, catalog, data)
    else:
        kept = run.result.spec["dataset"]
        part = Part(**{**kept, "files": files_of(kept["params"], registry.path.parent)})
        limit, name = run.result.limit, run.result.spec.get("split", "test")
    dataset = open_dataset(part, data, catalog)
    split = dataset.split(name, limit)
    same = (
        split.caption_ids == run.caption_ids
        if run.caption_ids
        else gallery(split, dataset.content)[GALLERY] == run.protocol.get(GALLERY)
    )
    if not same:
        raise DataError(f"dataset {part.name!r} has other {name} captions than run {run.fingerprint}")
    texts = dict(zip(split.caption_ids, split.captions, strict=True))
    return Asked(image_ids=split.image_ids, caption_ids=split.caption_ids, texts=texts)


def _one_evaluator(runs: Sequence[RankedRun], evaluator: str) -> None:
    first = runs[0]
    for run in runs:
        told = [each.judged.get(evaluator, "nothing that is known") for each in (first, run)]
        if told[0] != told[1]:
            raise InputError(
                f"evaluator {evaluator!r} was {told[0]} for run {first.fingerprint}, but {told[1]} for run "
                f"{run.fingerprint}",
                hint="`harness run` of a matrix judges what is stored anew.",
            )


def _same_ids(one: RankedRun, other: RankedRun) -> bool:
    """Tell whether nothing speaks against two runs having the same queries: rows keep no ids, but a hash of them."""
    if not (one.image_ids and other.image_ids):
        return True
    return one.image_ids == other.image_ids and one.caption_ids == other.caption_ids


def _unlike(one: RankedRun, other: RankedRun, parts: Sequence[str]) -> str:
    a, b = one.protocol, other.protocol
    if a and b and parts:
        told = [f"{part} ({a.get(part, '–')} and {b.get(part, '–')})" for part in parts]
        return f"they differ in {', '.join(told)}"
    if not _same_ids(one, other):
        return "they have other test images or captions"
    old = [run.fingerprint for run in (one, other) if not run.protocol]
    return f"{' and '.join(old)} kept the hash of the passport alone, and the hashes differ"
