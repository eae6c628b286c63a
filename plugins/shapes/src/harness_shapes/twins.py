"""The evaluator of near-twins: which attribute confuses a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from harness.api import Ranking, ScoreError

Floats = npt.NDArray[np.float32]
# What is confused of an image: each of its captions, and the image itself.
Judged = tuple[npt.NDArray[np.bool_], bool]


class Twins:
    """Ask of each image with a near-twin whether its captions prefer it, and whether it prefers its captions.

    Works from the tags of the records: ``twin`` is the id of an image of the split, ``attribute`` what
    differs. A twin that the split does not hold is left out. Chance is 0.5, and a tie counts as confusion.
    """

    def evaluate(self, ranking: Ranking) -> Mapping[str, float]:
        """Compute the shares of confusion, overall and by attribute; nothing where the split holds no twins.

        ``t2i.confusion``: captions c of an image a with twin b that have s(a, c) <= s(b, c).
        ``i2t.confusion``: images a with twin b that have max s(a, captions of a) <= max s(a, captions of b).
        ``confusion``: the mean of the two. Each of them also by attribute, such as ``confusion.colour``.

        Raises:
            ScoreError: if a score is NaN or infinite.
        """
        records = ranking.split.records
        position = {record.image: place for place, record in enumerate(records)}
        start = np.cumsum([0, *(len(record.captions) for record in records)])
        judged: dict[str, list[Judged]] = {}
        for own, record in enumerate(records):
            twin = position.get(record.tags.get("twin", ""))
            if twin is None or not record.captions or not records[twin].captions:
                continue
            captions, others = (ranking.text[start[place] : start[place + 1]] for place in (own, twin))
            scores = _score(ranking.image[own], captions, record.image)
            by_caption = scores <= _score(ranking.image[twin], captions, records[twin].image)
            by_image = scores.max() <= _score(ranking.image[own], others, record.image).max()
            judged.setdefault(record.tags.get("attribute", ""), []).append((by_caption, bool(by_image)))
        figures = _figures("", [item for items in judged.values() for item in items])
        for attribute in sorted(filter(None, judged)):
            figures |= _figures(f".{attribute}", judged[attribute])
        return figures


def _score(image: Floats, captions: Floats, name: str) -> npt.NDArray[np.float64]:
    # Row by row in float64, so that equal embeddings get equal scores: a tie must not look like a decision.
    scores: npt.NDArray[np.float64] = (captions.astype(np.float64) * image).sum(axis=1)
    if not np.isfinite(scores).all():
        raise ScoreError(f"twins: a score of image {name!r} is NaN or infinite")
    return scores


def _figures(suffix: str, judged: Iterable[Judged]) -> dict[str, float]:
    items = list(judged)
    if not items:
        return {}
    t2i = float(np.concatenate([by_caption for by_caption, _ in items]).mean())
    i2t = float(np.mean([by_image for _, by_image in items]))
    mean = (t2i + i2t) / 2
    return {f"confusion{suffix}": mean, f"t2i.confusion{suffix}": t2i, f"i2t.confusion{suffix}": i2t}
