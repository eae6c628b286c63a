"""Every adversary catches an evaluator that was broken for it, says what is wrong, and spares an honest one."""

from __future__ import annotations

import numpy as np
import pytest

from harness.api import EvaluatorSpec, Gallery, Record, Scale, ScoreError, Split
from harness.testing import ADVERSARIES, Violation, check_evaluator

K = (1, 5, 10)
RATE = Scale(better="higher", best=1.0, worst=0.0)


class Honest:
    """Counts ranks from its own scores; ties are lost."""

    def evaluate(self, ranking):
        self.check(ranking)
        scores = self.scores(ranking.image, ranking.text)
        own = self.owner(ranking)[None, :] == np.arange(len(ranking.image))[:, None]
        own = self.right(own, ranking, scores)
        sides = {"i2t": (scores, own), "t2i": (scores.T, own.T)}
        figures = {}
        for side, (rows, rights) in sides.items():
            best = np.where(rights, rows, -np.inf).max(axis=1, keepdims=True)
            ranks = self.rank(rows, rights, best)
            figures |= {f"{side}.recall@{k}": float((ranks <= k).mean()) for k in K}
            figures |= {
                f"{side}.median_rank": float(np.median(ranks)),
                f"{side}.mean_rank": float(ranks.mean()),
            }
        return self.finish(figures, ranking)

    def check(self, ranking):
        if not (np.isfinite(ranking.image).all() and np.isfinite(ranking.text).all()):
            raise ScoreError("a row is not finite")

    def scores(self, image, text):
        return image @ text.T

    def owner(self, ranking):
        return ranking.split.caption_image

    def right(self, own, ranking, scores):
        return own

    def rank(self, rows, rights, best):
        return 1 + ((rows >= best) & ~rights).sum(axis=1)

    def finish(self, figures, ranking):
        return figures


class FromZero(Honest):
    def rank(self, rows, rights, best):
        return super().rank(rows, rights, best) - 1


class Distance(Honest):
    def scores(self, image, text):
        return -super().scores(image, text)


class Percent(Honest):
    def finish(self, figures, ranking):
        return {name: 100 * value if "recall" in name else value for name, value in figures.items()}


class Absolute(Honest):
    def scores(self, image, text):
        return np.abs(super().scores(image, text))


class TiesWin(Honest):
    def rank(self, rows, rights, best):
        return 1 + ((rows > best) & ~rights).sum(axis=1)


class OneBetter(Honest):
    def rank(self, rows, rights, best):
        return np.maximum(1, super().rank(rows, rights, best) - 1)


class BestIsRight(Honest):
    def right(self, own, ranking, scores):
        return scores >= np.minimum(scores.max(axis=0)[None, :], scores.max(axis=1)[:, None])


class NanWins(TiesWin):
    def check(self, ranking):
        pass


class NanLeftOut(Honest):
    def check(self, ranking):
        pass

    def evaluate(self, ranking):
        whole = np.isfinite(ranking.image).all() and np.isfinite(ranking.text).all()
        return super().evaluate(ranking) if whole else {}


class SameLooksAreRight(Honest):
    def right(self, own, ranking, scores):
        alike = (ranking.image[:, None] == ranking.image[None]).all(axis=2)
        return (alike.astype(int) @ own.astype(int)) > 0


class OwnAreWrong(Honest):
    def rank(self, rows, rights, best):
        return (rows >= best).sum(axis=1)


class Spread(Honest):
    def finish(self, figures, ranking):
        with np.errstate(all="ignore"):
            return {
                **figures,
                "deviation": float(np.std(ranking.image[:, 0], ddof=1) / (len(ranking.image) - 1)),
            }


class Squeezed(Honest):
    def scores(self, image, text):
        scores = super().scores(image, text).squeeze()
        return scores[: len(image), : len(text)]


class FiveCaptions(Honest):
    def owner(self, ranking):
        return np.arange(len(ranking.text)) // 5


class FifthOfCaptions(Honest):
    def finish(self, figures, ranking):
        hits = figures["t2i.recall@1"] * len(ranking.text)
        return figures | {"t2i.recall@1": hits / (5 * len(ranking.image))}


class Half(Honest):
    def scores(self, image, text):
        return super().scores(image, text).astype(np.float16)


class ByPosition(Honest):
    """Sorts, so that the first of the tied wins; under a name that nobody knows the answer of."""

    def rank(self, rows, rights, best):
        return 1 + np.take_along_axis(rights, np.argsort(-rows, axis=1, kind="stable"), axis=1).argmax(axis=1)

    def finish(self, figures, ranking):
        return {"share": figures["t2i.recall@5"]}


class Remembers(Honest):
    def __init__(self):
        self.seen = []

    def finish(self, figures, ranking):
        self.seen.append(figures["t2i.recall@1"])
        return {"share": float(np.mean(self.seen))}


class FirstHalf(Honest):
    def finish(self, figures, ranking):
        return {"share": float((ranking.t2i.rank() <= 5)[: len(ranking.text) // 2].mean())}


class RanksWin(Honest):
    def ranks(self, ranking):
        return ranking.i2t.above + 1, ranking.t2i.above + 1


class RanksOfFolds(Honest):
    """Asks for folds for its ranks alone: its figures are those of the whole gallery."""

    def ranks(self, ranking):
        folds = [ranking.fold(0, 30), ranking.fold(30, len(ranking.image))]
        return tuple(
            np.concatenate([getattr(fold, side).rank().astype(int) for fold in folds])
            for side in ("i2t", "t2i")
        )


class Writes(Honest):
    def check(self, ranking):
        ranking.text[0] = 0


class Refuses(Honest):
    def check(self, ranking):
        raise ScoreError("not today")


class Refuses1(Honest):
    def check(self, ranking):
        super().check(ranking)
        if len(ranking.text) != 5 * len(ranking.image):
            raise ScoreError("five captions an image, please")


class Nothing(Honest):
    def finish(self, figures, ranking):
        return {}


class Raises(Honest):
    def finish(self, figures, ranking):
        raise LookupError("boom")


class Infinite(Honest):
    def finish(self, figures, ranking):
        return {"i2t.recall@1": float("inf")}


class Misnamed(Honest):
    def finish(self, figures, ranking):
        return {**figures, "t2i.recal@1": figures["t2i.recall@1"]}


class ShareOfRight(Honest):
    """A figure of an unusual name that random scorers get more of than is declared."""

    def finish(self, figures, ranking):
        return {"share": figures["t2i.recall@5"]}


class DrawsTies(Honest):
    """Draws from numpy's global random state, which nobody seeds."""

    def check(self, ranking):
        super().check(ranking)
        np.random.rand()


class Tagged(Honest):
    """Reads a tag that other galleries lack."""

    def check(self, ranking):
        super().check(ranking)
        assert all(record.tags["kind"] for record in ranking.split.records)


def tagged(folder):
    records = [
        Record(image=f"i{n}", split="test", captions=tuple("abcde"), tags={"kind": "x"}) for n in range(20)
    ]
    return Gallery(split=Split("test", tuple(records)))


def spec(*metrics: str, **fields) -> EvaluatorSpec:
    return EvaluatorSpec(name="toy", target="a.b:C", summary="", metrics=metrics, **fields)


SHARE = spec("share", scales={"share": RATE})
USUAL = ("i2t.*", "t2i.*")
TAGGED = spec(*USUAL, gallery=f"{__name__}:tagged")

# adversary, evaluator, its declaration, figure, what is expected, what is found
CASES = [
    ("declaration", Nothing, None, "", "figures", "none"),
    ("declaration", Raises, None, "", "figures, or a ScoreError", "LookupError: boom"),
    ("declaration", Refuses, None, "", "figures", "a refusal: not today"),
    ("declaration", Infinite, None, "", "figures", "not finite: i2t.recall@1"),
    ("declaration", Writes, None, "", "figures", "changed the caption embeddings"),
    (
        "declaration",
        Misnamed,
        spec("i2t.*", "t2i.recall@*", "t2i.m*"),
        "t2i.recal@1",
        "a name that 'metrics'",
        "none",
    ),
    ("declaration", Misnamed, None, "t2i.recal@1", "a Scale in 'scales'", "a name that tells nobody"),
    ("oracle", FromZero, None, "t2i.mean_rank", "1", "0"),
    ("oracle", Distance, None, "i2t.recall@1", "1", "0"),
    ("oracle", Percent, None, "i2t.recall@1", "no better than 1, as declared", "100"),
    ("anti-oracle", RanksOfFolds, None, "ranks of i2t", "rank 296 of query 0", "rank 146"),
    ("anti-oracle", Absolute, None, "i2t.recall@1", "0", "1"),
    ("constant scorer", TiesWin, None, "t2i.recall@1", "0 (ties lost) to 0.0166667", "1"),
    ("constant scorer", RanksWin, None, "ranks of t2i", "rank 60 of query 0", "rank 1"),
    ("random scorer", OneBetter, None, "t2i.recall@1", "at most chance, 0.01667 ±", "0.0"),
    (
        "random scorer",
        ShareOfRight,
        spec("share", scales={"share": Scale(better="higher", best=1.0, chance=0.02)}),
        "share",
        "at most chance, 0.02 ±",
        "0.08",
    ),
    (
        "random scorer",
        ShareOfRight,
        spec("share", scales={"share": Scale(better="higher", best=1.0, chance=0.2)}),
        "share",
        "chance, 0.2 ±",
        "0.08",
    ),
    ("shuffled positives", BestIsRight, None, "t2i.recall@1", "0", "1"),
    ("NaN", NanWins, None, "i2t.recall@1", "as without nan in image embeddings", ""),
    ("NaN", NanLeftOut, None, "t2i.recall@1", "as without nan in image embeddings", "no figure"),
    ("duplicated images", SameLooksAreRight, None, "t2i.recall@1", "0 (ties lost) to 0.5", "1"),
    ("duplicated captions", OwnAreWrong, None, "i2t.recall@1", "1", "0"),
    (
        "one query",
        Spread,
        spec(*USUAL, "deviation", scales={"deviation": Scale(better="neither")}),
        "",
        "",
        "deviation",
    ),
    ("one query", Squeezed, None, "", "figures, or a ScoreError", "IndexError"),
    ("varying captions", FiveCaptions, None, "i2t.recall@1", "1", "0.0"),
    ("varying captions", FifthOfCaptions, None, "t2i.recall@1", "1", "0.866"),
    ("varying captions", Refuses1, None, "", "figures", "a refusal: five captions"),
    ("float16 saturation", Half, None, "t2i.recall@1", "1", "0"),
    ("float16 saturation", type("HalfShare", (Half, ShareOfRight), {}), SHARE, "share", "1", "0"),
    ("another order", ByPosition, SHARE, "share", "as with the images in another order", ""),
    ("another order", FirstHalf, SHARE, "share", "as with the images in another order", ""),
    ("another order", Remembers, SHARE, "share", "as the first time that it was asked", ""),
    ("global state", DrawsTies, None, "a perfect scorer", "numpy's random state as it was", "drawn from"),
    ("plain gallery", Tagged, TAGGED, "", "figures, or a ScoreError", "KeyError: 'kind'"),
]


def ids(case) -> str:
    return f"{case[0]}-{case[1].__name__}"


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_the_adversary_catches_it(case) -> None:
    adversary, toy, declared, figure, expected, found = case
    violations = check_evaluator(toy(), spec=declared)
    mine = [v for v in violations if v.check == adversary and v.sample == figure]
    assert mine, [str(v) for v in violations]
    assert any(v.expected.startswith(expected) or expected in v.expected for v in mine), list(map(str, mine))
    assert any(found in v.found for v in mine), list(map(str, mine))
    assert {v.where for v in mine} == {ADVERSARIES[adversary].where}


def test_there_is_a_broken_evaluator_for_every_adversary() -> None:
    assert {case[0] for case in CASES} == set(ADVERSARIES)


@pytest.mark.parametrize("declared", [None, spec(*USUAL), TAGGED], ids=["live", "declared", "with a gallery"])
def test_an_honest_evaluator_is_spared(declared) -> None:
    assert check_evaluator(Honest(), spec=declared) == []


def test_an_evaluator_that_only_knows_galleries_of_its_own_may_refuse_others() -> None:
    # The same refusal that is a fault of an evaluator for everybody.
    assert check_evaluator(Refuses1(), spec=TAGGED) == []


def test_the_two_halves_of_a_declaration_are_checked_apart() -> None:
    violations = check_evaluator(Misnamed(), spec=spec(*USUAL))
    assert [v.sample for v in violations] == ["t2i.recal@1"]
    assert "Scale" in violations[0].expected


def test_a_violation_reads_as_a_sentence() -> None:
    violation = Violation(
        kind="evaluator",
        name="mrr",
        check="oracle",
        sample="i2t.mrr",
        expected="1",
        found="0.5",
        where="its ranks",
    )
    assert str(violation) == (
        "evaluator 'mrr', adversary 'oracle': i2t.mrr: expected 1; found 0.5. Look at its ranks."
    )


def test_every_adversary_says_what_it_does_and_where_to_look() -> None:
    for adversary in ADVERSARIES.values():
        assert adversary.summary
        assert adversary.where
        assert adversary.attack.__doc__
