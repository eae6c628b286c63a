"""CxC and ECCV Caption: COCO 5K with more than one right answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from harness.api import ParameterError, Ranking, demand_finite
from harness_judgments.labels import Positives, read_labels
from harness_judgments.multiple import Ints, Query, Values, per_query, positive_ranks
from harness_judgments.positions import positions


class _Labelled:
    """Evaluate a gallery of COCO's test images with positives that are read from files of ids."""

    name: str
    labels: str

    def __init__(self, *, k: Sequence[int], i2t: str | None, t2i: str | None, source: Path | None) -> None:
        if not k or min(k) < 1 or len(set(k)) < len(k):
            raise ParameterError(f"{self.name}: parameter 'k' is {list(k)}, not distinct numbers from 1")
        if (i2t is None) != (t2i is None):
            raise ParameterError(
                f"{self.name}: parameters 'i2t' and 't2i' belong together; one of them is not set"
            )
        self.k = tuple(k)
        self.given = {"i2t": i2t, "t2i": t2i}
        self.source = source

    def evaluate(self, ranking: Ranking) -> Mapping[str, float]:
        """Compute ``map@r``, ``r_precision``, ``recall@K`` (fractions) and ``queries`` (a count) of both directions.

        A query that the gallery lacks is left out. A positive that it lacks is missed, as in the authors' code,
        if every image of the labels is there; in a part of the test set it is left out.

        Returns:
            Nothing if the gallery has no COCO ids, or no query of the labels.

        Raises:
            DataError: if the ids or the files of positives cannot be used.
            ScoreError: names the embeddings that are NaN or infinite.
        """
        found: dict[str, float] = {}
        for side, (rows, values) in self._sides(ranking).items():
            found |= {f"{side}.{figure}": float(np.mean(each)) for figure, each in values.items()}
            found[f"{side}.queries"] = float(len(rows))
        return found

    def by_image(self, ranking: Ranking) -> Mapping[str, tuple[Values, Values]]:
        """Return of each mean over queries the sum and the number of queries, image by image.

        A caption as a query counts for the image that it was written for.

        Raises:
            DataError: as `evaluate`.
            ScoreError: as `evaluate`.
        """
        images = len(ranking.split.records)
        owners = {"i2t": np.arange(images), "t2i": ranking.split.caption_image}
        found: dict[str, tuple[Values, Values]] = {}
        for side, (rows, values) in self._sides(ranking).items():
            owner = owners[side][rows]
            counts = _sums(owner, np.ones(len(owner)), images)
            found |= {
                f"{side}.{figure}": (_sums(owner, each, images), counts) for figure, each in values.items()
            }
        return found

    def labels_of(self, ranking: Ranking) -> str:
        """Return a hash of the positive pairs, whichever files they were read from; empty without COCO ids."""
        if positions(ranking.split) is None:
            return ""
        return read_labels(self.labels, self.given, self.source).hash()

    def _sides(self, ranking: Ranking) -> dict[str, tuple[Ints, Mapping[str, Values]]]:
        """Return of each direction that has queries their places and the values of each."""
        places = positions(ranking.split)
        if places is None:
            return {}
        demand_finite(self.name, ranking)
        labels = read_labels(self.labels, self.given, self.source)
        whole = labels.images() <= places.images.keys()
        sides = {
            "i2t": (labels.i2t, places.images, places.captions, ranking.image, ranking.text),
            "t2i": (labels.t2i, places.captions, places.images, ranking.text, ranking.image),
        }
        found = {}
        for side, (positives, rows, items, asked, gallery) in sides.items():
            queries = _queries(positives, rows, items, whole=whole)
            if queries:
                values = per_query(queries, positive_ranks(queries, asked, gallery), self.k)
                found[side] = np.array([query.row for query in queries], dtype=np.int64), values
        return found


def _sums(owner: Ints, values: Values, images: int) -> Values:
    """Add up the values of each image."""
    return np.bincount(owner, weights=values, minlength=images).astype(np.float64)


def _queries(
    positives: Positives, rows: Mapping[int, int], items: Mapping[int, int], *, whole: bool
) -> list[Query]:
    queries = []
    for query, right in positives.items():
        there = sorted(items[item] for item in right if item in items)
        if query in rows and there:
            queries.append(
                Query(
                    row=rows[query],
                    items=np.array(there, dtype=np.int64),
                    relevant=len(right) if whole else len(there),
                )
            )
    return sorted(queries, key=lambda query: query.row)


class Cxc(_Labelled):
    """Crisscrossed Captions (CxC): pairs that people found to match across COCO's images.

    Args:
        k: the cut-offs of R@K, positive and distinct.
        i2t: ``file:`` path of ``cxc_image_to_caption.json``, where it lies elsewhere; with it `t2i`.
        t2i: likewise of ``cxc_caption_to_image.json``.
        source: the folder of the dataset, given by the harness; looked through before the package `eccv-caption`.

    Raises:
        ParameterError: if a parameter is out of range.
    """

    name, labels = "cxc", "cxc"

    def __init__(
        self,
        *,
        k: Sequence[int] = (1, 5, 10),
        i2t: str | None = None,
        t2i: str | None = None,
        source: Path | None = None,
    ) -> None:
        super().__init__(k=k, i2t=i2t, t2i=t2i, source=source)


class EccvCaption(_Labelled):
    """ECCV Caption: positives that five models proposed and people verified, for some of COCO's test set.

    Its queries are 1,261 of the images and 1,332 of the captions; what is searched is the whole test set.

    Args:
        k: the cut-offs of R@K, positive and distinct.
        i2t: ``file:`` path of ``eccv_image_to_caption.json``, where it lies elsewhere; with it `t2i`.
        t2i: likewise of ``eccv_caption_to_image.json``.
        source: the folder of the dataset, given by the harness; looked through before the package `eccv-caption`.

    Raises:
        ParameterError: if a parameter is out of range.
    """

    name, labels = "eccv-caption", "eccv"

    def __init__(
        self,
        *,
        k: Sequence[int] = (1,),
        i2t: str | None = None,
        t2i: str | None = None,
        source: Path | None = None,
    ) -> None:
        super().__init__(k=k, i2t=i2t, t2i=t2i, source=source)
