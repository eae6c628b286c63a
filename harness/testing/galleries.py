"""Adversaries that are galleries: images or captions that are there twice, alone, or in another order."""

from __future__ import annotations

from collections.abc import Iterator

from harness.testing import planting
from harness.testing.findings import Finder
from harness.testing.planting import Planted, plain, plant, random_levels
from harness.testing.subject import Subject
from harness.testing.violation import Violation


def duplicated_images(subject: Subject, find: Finder) -> Iterator[Violation]:
    """Put every image there twice: a tie with the copy is not won."""
    for make in (subject.perfect(), random_levels(subject.split, seed=0)):
        yield from _altered(subject, find, planting.twice(plant(subject.split, make)))


def duplicated_captions(subject: Subject, find: Finder) -> Iterator[Violation]:
    """Give a caption twice to its image, which costs nothing, and to two images, which is a tie."""
    planted = plant(subject.split, subject.perfect())
    repeated = planting.captions_twice(planted)
    yield from _altered(subject, find, repeated)
    # An image that is offered one of its own captions twice loses nothing by it. Labels may not know the copy.
    if subject.own:
        yield from find.perfect(subject.ask(repeated))
    yield from _altered(subject, find, planting.captions_shared(planted))


def varying_captions(subject: Subject, find: Finder) -> Iterator[Violation]:
    """Give images 1, 5 or 7 captions."""
    import numpy as np

    if subject.gallery is None:
        split = plain([planting.VARIED[place % 3] for place in range(planting.IMAGES)])
        scorers = [planting.oracle_levels(split, seed=0), random_levels(split, seed=0)]
    else:
        split = planting.varied(subject.split)
        kept = [
            k < planting.VARIED[i % 3]
            for i, r in enumerate(subject.split.records)
            for k in range(len(r.captions))
        ]
        scorers = [subject.perfect()[:, np.array(kept)]]
    for place, levels in enumerate(scorers):
        planted = plant(split, levels)
        yield from _altered(subject, find, planted)
        if place == 0:
            yield from find.perfect(subject.ask(planted))


def one_query(subject: Subject, find: Finder) -> Iterator[Violation]:
    """Leave one image: figures or a clear refusal."""
    planted = plant(subject.split, subject.perfect())
    for captions in (1, len(subject.split.records[0].captions)):
        part = planting.first(planted, captions)
        answer = subject.ask(part)
        # One image has no folds, no twin and no spread: to say so is fine.
        yield from find.answered(answer, may_refuse=True)
        yield from find.counted(part, answer)
        yield from find.within(answer)


def another_order(subject: Subject, find: Finder) -> Iterator[Violation]:
    """Put the images into another order, and ask twice: the same figures, ties or not."""
    split = subject.split
    blocks = subject.oracle.folds or ((0, len(split.records)),)
    distinct = random_levels(split, seed=0)
    # With four values, ties are everywhere.
    for levels in (distinct, distinct % 4):
        planted = plant(split, levels)
        answer = subject.ask(planted)
        yield from find.answered(answer, may_refuse=False)
        yield from find.counted(planted, answer)
        yield from find.same(answer, subject.ask(planted), why="as the first time that it was asked")
        moved = planting.reordered(planted, blocks, seed=1, captions=subject.gallery is None)
        yield from find.same(answer, subject.ask(moved), why="as with the images in another order")


def plain_gallery(subject: Subject, find: Finder) -> Iterator[Violation]:
    """Show an evaluator of particular galleries another one: no figures, or a clear refusal."""
    if subject.gallery is not None:
        split = plain([5] * planting.IMAGES)
        planted = plant(split, random_levels(split, seed=0))
        yield from find.answered(subject.ask(planted), may_refuse=True)


def _altered(subject: Subject, find: Finder, planted: Planted) -> Iterator[Violation]:
    answer = subject.ask(planted)
    # Labels of a gallery of its own may not know these images and captions.
    yield from find.answered(answer, may_refuse=subject.gallery is not None)
    yield from find.counted(planted, answer)
    yield from find.within(answer)
