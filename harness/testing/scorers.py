"""Adversaries that are scorers: they say what of a gallery nobody would, or all that there is to say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.ranking import rank
from harness.testing.findings import Finder
from harness.testing.planting import Planted, collapsed, plant, plant_near, random_levels
from harness.testing.scales import matches
from harness.testing.state import touched
from harness.testing.subject import Answer, Subject, means
from harness.testing.violation import Violation

SHUFFLES = 8
"""Pairings that the figures of shuffled positives are averaged over."""


def declaration(subject: Subject, find: Finder) -> Iterator[Violation]:
    """Ask for figures of a perfect scorer, by names and scales that are declared."""
    answer = subject.oracle
    yield from find.answered(answer, may_refuse=False)
    if not answer.figures and not answer.fault and not answer.refusal:
        yield find.violation(
            "", "figures", "none: if it needs tags or files, its EvaluatorSpec must name a 'gallery'"
        )
    for figure in answer.figures:
        if subject.metrics is not None and not matches(figure, subject.metrics):
            yield find.violation(
                figure, "a name that 'metrics' declares", f"none of {', '.join(subject.metrics)}"
            )
        if subject.scale(figure) is None:
            yield find.violation(
                figure,
                "a Scale in 'scales' that says whether higher or lower is better",
                "a name that tells nobody",
            )


def oracle(subject: Subject, find: Finder) -> Iterator[Violation]:
    """Score own captions highest: every figure is at its best."""
    planted, answer = plant(subject.split, subject.perfect()), subject.oracle
    yield from find.counted(planted, answer)
    yield from find.within(answer)
    yield from find.perfect(answer)
    yield from find.beats_chance(answer)


def anti_oracle(subject: Subject, find: Finder) -> Iterator[Violation]:
    """Score own captions lowest: nothing is better than chance."""
    yield from _worthless(subject, find, plant(subject.split, -subject.perfect()))


def constant(subject: Subject, find: Finder) -> Iterator[Violation]:
    """Score all pairs the same: nothing is better than chance."""
    yield from _worthless(subject, find, collapsed(subject.split))


def _worthless(subject: Subject, find: Finder, planted: Planted) -> Iterator[Violation]:
    answer = subject.ask(planted)
    yield from find.answered(answer, may_refuse=False)
    yield from find.counted(planted, answer)
    yield from find.within(answer)
    yield from find.no_chance({figure: (value, 0.0) for figure, value in answer.figures.items()})


def random(subject: Subject, find: Finder) -> Iterator[Violation]:
    """Score in random order: the mean of many is at chance, within its interval."""
    planted = plant(subject.split, random_levels(subject.split, seed=0))
    answer = subject.ask(planted)
    yield from find.answered(answer, may_refuse=False)
    yield from find.counted(planted, answer)
    yield from find.within(answer)
    yield from find.no_chance(subject.random, below=True)


def shuffled(subject: Subject, find: Finder) -> Iterator[Violation]:
    """Score every image as another one should: nothing is better than chance."""
    import numpy as np

    levels, n = subject.perfect(), len(subject.split.records)
    answers: list[Answer] = []
    for seed in range(SHUFFLES):
        # Around a circle in random order: nobody keeps what is theirs.
        circle = np.random.default_rng(seed).permutation(n)
        moved = levels.copy()
        moved[circle] = levels[np.roll(circle, 1)]
        planted = plant(subject.split, moved)
        answers.append(subject.ask(planted))
        found = [*find.answered(answers[-1], may_refuse=False), *find.counted(planted, answers[-1])]
        if found:
            yield from found
            return
    yield from find.no_chance(means([answer.figures for answer in answers]))


def nan(subject: Subject, find: Finder) -> Iterator[Violation]:
    """Put NaN or infinity into embeddings: an error, or figures that do not depend on them."""
    import numpy as np

    planted = plant(subject.split, random_levels(subject.split, seed=0))
    clean = subject.ask(planted)
    # The harness refuses to rank such scores: what is tested is an evaluator that makes scores of its own.
    ranked = rank(planted.split, planted.image, planted.text)
    for side in ("image", "text"):
        rows = len(getattr(planted, side))
        for value in (np.nan, np.inf):
            for broken in ([0], [rows // 2], [rows - 1], slice(None)):
                spoilt = getattr(planted, side).copy()
                spoilt[broken] = value
                answer = subject.ask(replace(planted, **{side: spoilt}), ranked)
                found = list(find.answered(answer, may_refuse=True))
                if not found and not answer.refusal:
                    why = f"as without {value} in {side} embeddings, or a ScoreError that names the rows"
                    found = list(find.same(clean, answer, why=why))
                if found:
                    yield from found
                    break


def global_state(subject: Subject, find: Finder) -> Iterator[Violation]:
    """Watch what it changes beside its figures."""

    def steps() -> Iterator[str]:
        for sample, levels in (
            ("a perfect scorer", subject.perfect()),
            ("a random scorer", random_levels(subject.split, seed=0)),
        ):
            planted = plant(subject.split, levels)
            yield sample
            subject.ask(planted)

    for each in touched(steps):
        yield find.violation(each.sample, f"{each.name} as it was", each.became)


def float16(subject: Subject, find: Finder) -> Iterator[Violation]:
    """Score so that float32 tells pairs apart and float16 does not."""
    import numpy as np

    levels = subject.perfect()
    if subject.own:
        owner, n = subject.split.caption_image, len(subject.split.records)
        levels = (owner[None, :] == np.arange(n)[:, None]).astype(np.int64)
    near = plant_near(subject.split, levels)
    answer = subject.ask(near)
    yield from find.answered(answer, may_refuse=False)
    yield from find.counted(near, answer)
    yield from find.perfect(answer)
    yield from find.beats_chance(answer)
    # What a model leaves that rounds to float16: every second caption scores the same with all images.
    rounded = plant_near(subject.split, np.where(np.arange(levels.shape[1]) % 2, 0, levels))
    answer = subject.ask(rounded)
    yield from find.answered(answer, may_refuse=False)
    yield from find.counted(rounded, answer)
    yield from find.within(answer)
