"""Which combinations of labels a matrix has, after what was asked for on the command line."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.errors import InputError, nearest
from harness.registry import Matrix

Labels = dict[str, str]
Axes = dict[str, Mapping[str, Mapping[str, Any]]]


def choose(
    matrix: Matrix,
    *,
    datasets: Sequence[str] | None,
    only: Mapping[str, Sequence[str]],
    seeds: Sequence[int] | None,
) -> Axes:
    """Return the axes with their labels and fields.

    Args:
        datasets: replace the axis `dataset`, or are one, the first.
        only: labels to keep, by axis.
        seeds: replace the axis `seed`, or are one, the last.

    Raises:
        InputError: if there is no such axis or label, with the nearest.
    """
    axes: Axes = dict(matrix.axes)
    if datasets:
        known = axes.get("dataset", {})  # a label that the matrix knows keeps what else it sets
        chosen = {name: {**known.get(name, {}), "dataset": name} for name in datasets}
        axes = axes | {"dataset": chosen} if "dataset" in axes else {"dataset": chosen, **axes}
    if seeds:
        axes = axes | {"seed": {str(seed): {"seed": seed} for seed in seeds}}
    for axis, labels in only.items():
        if axis not in axes:
            raise InputError(f"matrix {matrix.name!r} has no axis {axis!r}{nearest(axis, axes)}")
        for label in labels:
            if label not in axes[axis]:
                raise InputError(f"axis {axis!r} has no label {label!r}{nearest(label, axes[axis])}")
        axes[axis] = {label: fields for label, fields in axes[axis].items() if label in labels}
    return axes


def rules(
    matrix: Matrix, *, datasets: Sequence[str] | None, seeds: Sequence[int] | None
) -> list[Mapping[str, Sequence[str]]]:
    """Return the exclude rules that count beside what was asked for.

    The seeds that a rule names are the matrix's own: where others are asked for, the rule falls. A dataset
    that is asked for falls under the rules that leave out some of its cells, but not under one that leaves it
    out whole.
    """
    return [
        rule
        for rule in matrix.exclude
        if not (seeds and "seed" in rule) and not (datasets and set(rule) == {"dataset"})
    ]


def combinations(axes: Axes, exclude: Sequence[Mapping[str, Sequence[str]]]) -> Iterator[Labels]:
    """Yield every combination of labels that no rule excludes, the last axis running fastest."""
    for labels in itertools.product(*axes.values()):
        combination = dict(zip(axes, labels, strict=True))
        if not any(all(combination.get(axis) in chosen for axis, chosen in rule.items()) for rule in exclude):
            yield combination
