"""What each choice in a matrix does for a figure: contrasts over cells, with intervals over images and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.errors import ParameterError, ScoreError
from harness.statistics.contributions import Contributions, contributions
from harness.statistics.intervals import Interval
from harness.statistics.sample import RSUM, Sample, one_gallery
from harness.statistics.student import combined, seed_variance

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

_TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A weighted sum of the figures of methods, in the unit of the figure.

    Attributes:
        difference: the sum.
        interval: 95 %, of Student's t.
        p_value: two-sided, of the hypothesis that it is 0.
        se: standard error; `df`: its degrees of freedom.
        over_seeds: whether the variance between seeds is counted.
        over_images: whether that between images is.
    """

    difference: float
    interval: Interval
    p_value: float
    se: float
    df: float
    over_seeds: bool
    over_images: bool = True


@dataclass(frozen=True, eq=False, kw_only=True)
class Cell:
    """A method in a matrix: `labels` by axis, without the seed, and one sample a seed."""

    labels: Mapping[str, str]
    samples: Sequence[Sample] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class MainEffect:
    """What a label does in place of the reference label of its axis, all other axes as they are."""

    axis: str
    label: str
    reference: str
    effect: Contrast


def contrast(
    methods: Mapping[str, Sequence[Sample]], weights: Mapping[str, float], *, figure: str = RSUM
) -> Contrast:
    """Return the sum over methods of weight times figure.

    The variance between images is that of the weighted contributions of each image, so that what methods share
    cancels. Where a method has several seeds, s² sum of weight² / seeds is added, with one variance s² between seeds
    pooled over `methods`, those of weight 0 too. For two methods and the weights 1 and -1 it is `compare` with
    pooled seeds; p has the same least value.

    Args:
        methods: one sample a seed, all of one gallery of two images or more.
        weights: by the names of methods; the others weigh 0.
        figure: one of `FIGURES`.

    Raises:
        ScoreError: if samples are of different galleries, or of one image.
        ParameterError: if a weight is of no method, all are 0, or there is no such figure.
    """
    return contrasts(methods, [weights], figure=figure)[0]


def contrasts(
    methods: Mapping[str, Sequence[Sample]], weights: Sequence[Mapping[str, float]], *, figure: str = RSUM
) -> list[Contrast]:
    """Return several contrasts over the same methods, each as `contrast` does; args and errors are its own."""
    _check(methods, weights)
    found = _contributions(list(methods.values()), figure)
    return [_contrast(found, [wanted.get(name, 0.0) for name in methods]) for wanted in weights]


def seed_contrast(methods: Mapping[str, Sequence[float]], weights: Mapping[str, float]) -> Contrast | None:
    """Return a contrast over seeds alone, for figures without ranks; ``None`` where no method has two seeds.

    It is as the part of `contrast` that concerns seeds, and says nothing of other test images.

    Args:
        methods: the figure, one value a seed.
        weights: by the names of methods; the others weigh 0.

    Raises:
        ParameterError: if a weight is of no method, or all are 0.
    """
    import numpy as np

    _check(methods, [weights])
    listed = [weights.get(name, 0.0) for name in methods]
    terms = _seed_terms(list(methods.values()), listed)
    if not terms:
        return None
    error = combined(terms)
    difference = sum(w * float(np.mean(seeds)) for w, seeds in zip(listed, methods.values(), strict=True))
    return Contrast(
        difference=difference,
        interval=error.interval(difference),
        p_value=error.probability(difference),
        se=error.se,
        df=error.df,
        over_seeds=True,
        over_images=False,
    )


def attribution(
    cells: Sequence[Cell], *, figure: str = RSUM, reference: Mapping[str, str] | None = None
) -> list[MainEffect]:
    """Return the main effect of every label of every axis against the axis' reference.

    Least squares over the cells of figure = constant + one term an axis. In a full factorial this is the plain
    difference of means; where cells are missing, each axis is still held against the others. Interactions are not
    modelled: an effect is a mean over those cells that there are.

    Args:
        cells: all with the same axes; each combination once.
        figure: one of `FIGURES`.
        reference: axis -> label; else the label of the first cell.

    Returns:
        In the order of axes and labels in `cells`. An axis of one label has none, and what the cells cannot tell
        from another axis' effect is left out.

    Raises:
        ScoreError: if there are no cells, or of different galleries.
        ParameterError: if cells have different axes, one stands twice, or a reference is not there.
    """
    import numpy as np

    axes = _axes(cells, dict(reference or {}))
    terms = [(axis, label) for axis, labels in axes.items() for label in labels[1:]]
    rows = [[1.0, *(float(cell.labels[axis] == label) for axis, label in terms)] for cell in cells]
    design = np.array(rows)
    solver = np.linalg.pinv(design)
    told = np.isclose(solver @ design, np.eye(design.shape[1]), rtol=0.0, atol=_TOLERANCE).all(axis=1)
    found = _contributions([cell.samples for cell in cells], figure)
    return [
        MainEffect(
            axis=axis,
            label=label,
            reference=axes[axis][0],
            effect=_contrast(found, np.round(solver[place], 12).tolist()),
        )
        for place, (axis, label) in enumerate(terms, start=1)
        if told[place]
    ]


def _check(methods: Mapping[str, object], weights: Sequence[Mapping[str, float]]) -> None:
    strange = sorted({name for wanted in weights for name in wanted} - methods.keys())
    if strange:
        raise ParameterError(f"contrast: there is no method {strange[0]!r}")
    if not all(any(wanted.values()) for wanted in weights):
        raise ParameterError("contrast: all weights are 0")


def _contributions(methods: Sequence[Sequence[Sample]], figure: str) -> list[Contributions]:
    if not methods or not all(methods):
        raise ScoreError("an effect needs ranks of every cell")
    one_gallery([sample for samples in methods for sample in samples])
    if methods[0][0].images < 2:
        raise ScoreError(
            "a gallery of one image has no variance between images: nothing can be compared on it"
        )
    return [contributions(samples, figure) for samples in methods]


def _contrast(found: Sequence[Contributions], weights: Sequence[float]) -> Contrast:
    import numpy as np

    pairs = list(zip(weights, found, strict=True))
    images = np.sum([weight * part.images for weight, part in pairs if weight], axis=0)
    hits = np.sum([weight * part.hits for weight, part in pairs if weight], axis=0)
    differing = int((abs(hits) > _TOLERANCE).any(axis=1).sum())
    seeds = _seed_terms([part.seeds for part in found], weights)
    error = combined([(float(np.var(images, ddof=1)) / len(images), float(len(images) - 1)), *seeds])
    difference = float(sum(weight * part.value for weight, part in pairs))
    return Contrast(
        difference=difference,
        interval=error.interval(difference),
        p_value=min(1.0, max(error.probability(difference), 2.0 ** (1 - differing))),
        se=error.se,
        df=error.df,
        over_seeds=bool(seeds),
    )


def _seed_terms(seeds: Sequence[Sequence[float]], weights: Sequence[float]) -> list[tuple[float, float]]:
    """Return what seeds add to the variance of a contrast, with its degrees of freedom; none if no method has two."""
    variance, df = seed_variance(seeds)
    factor = sum(w * w / len(own) for w, own in zip(weights, seeds, strict=True))
    return [(variance * factor, float(df))] if df else []


def _axes(cells: Sequence[Cell], reference: dict[str, str]) -> dict[str, list[str]]:
    """Return the labels of each axis, its reference first."""
    if not cells:
        raise ScoreError("an effect needs ranks of every cell")
    names = list(cells[0].labels)
    for place, cell in enumerate(cells):
        if set(cell.labels) != set(names):
            raise ParameterError(f"attribution: cell {dict(cell.labels)} has other axes than {names}")
        if any(dict(cell.labels) == dict(other.labels) for other in cells[:place]):
            raise ParameterError(f"attribution: cell {dict(cell.labels)} stands twice; seeds are its samples")
    axes = {name: list(dict.fromkeys(cell.labels[name] for cell in cells)) for name in names}
    for axis, label in reference.items():
        if label not in axes.get(axis, []):
            raise ParameterError(f"attribution: no cell has {axis}={label}")
        axes[axis] = [label, *(other for other in axes[axis] if other != label)]
    return axes
