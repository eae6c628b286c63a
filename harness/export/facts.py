"""What is told of a stored run, whatever the format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.export.readings import EXPECTED, Reading, evaluators, in_order, reading
from harness.specs import Scale
from harness.statistics import RSUM, Interval, Sample, bootstrap, samples
from harness.store import Result, Store

WITHIN = 5e-4
"""How far a figure may lie from that of its ranks for their interval to be its own."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One figure of one evaluator.

    Attributes:
        interval: 95 %, over images, where ranks were kept or the evaluator tells the figure by image.
    """

    evaluator: str
    figure: str
    value: float
    reading: Reading
    interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A run, its scores and who made it.

    Attributes:
        name: of the method.
        passport: what its figures may be compared with, as tables have it.
        organization: who provides the result; ``unknown`` where nobody tells.
        imported: whether another code made the embeddings or ranks.
        source: where an import comes from.
        command: the command line that made it.
    """

    result: Result
    name: str
    passport: str
    organization: str
    scores: tuple[Score, ...]
    imported: bool
    source: str
    command: str

    @property
    def dataset(self) -> str:
        """The dataset's name for people."""
        return str(self.result.spec["dataset"].get("title") or self.result.dataset)

    @property
    def split(self) -> str:
        """The split that was evaluated."""
        return str(self.result.spec.get("split", "test"))

    def details(self) -> dict[str, str]:
        """Return what makes figures comparable and a run repeatable, as text."""
        told = self.result.provenance
        versions = ", ".join(f"{name} {version}" for name, version in told.get("versions", {}).items())
        parts = told.get("accumulate", 1)
        whole = {
            "run": self.result.fingerprint,
            "passport": self.passport,
            **{f"protocol, {part}": text for part, text in self.result.protocol.items()},
            "images": str(self.result.images),
            "captions": str(self.result.captions),
            "limit": "" if self.result.limit is None else f"first {self.result.limit} images",
            "seed": str(self.result.spec.get("seed", "")),
            "command": self.command,
            "batch": f"embedded in {parts} parts" if parts > 1 else "",
            "versions": versions,
            "hardware": told.get("hardware", ""),
            "source revision": told.get("revision", ""),
            "finished": told.get("finished", ""),
            "imported from": self.source,
        }
        return {key: str(value) for key, value in whole.items() if value}


def facts_of(
    store: Store,
    fingerprint: str,
    *,
    name: str = "",
    organization: str = "",
    scales: Mapping[str, Mapping[str, Scale]] | None = None,
    public: Callable[[str], str] = str,
    passport: Callable[[Result], str] | None = None,
) -> Facts:
    """Read a stored run; its files are checked first.

    Args:
        name: of the method; without it, that of an import, or what the run was made of.
        scales: component of an evaluator -> what it declares of its figures.
        passport: makes the passport of a run as tables have it; without it, that of its gallery and views alone.
        public: takes out of a command line what is nobody's business.

    Raises:
        StoreError: names the file that is missing or damaged.
    """
    store.checked(fingerprint, "result.json")
    result = store.result(fingerprint)
    return Facts(
        result=result,
        name=name or method_of(result.spec),
        passport=passport(result) if passport is not None else result.passport,
        organization=organization or "unknown",
        scores=_scores(result, intervals_of(store, result), scales or {}),
        imported=result.spec.get("kind") == "import",
        source=str(result.spec.get("source", "")),
        command=public(str(result.provenance.get("command", ""))),
    )


def method_of(spec: Mapping[str, Any]) -> str:
    """Return the method of an import, or the parts that a run was made of."""
    if "method" in spec:
        return str(spec["method"])
    paths = [str(spec[role].get("title") or spec[role]["name"]) for role in ("image", "text")]
    losses = " + ".join(loss["name"] for loss in spec["losses"])
    return f"{' and '.join(paths)}, {losses}"


def intervals_of(store: Store, result: Result, *, ranks: bool = True) -> dict[str, dict[str, Interval]]:
    """Return by evaluator the 95 % intervals over images of its figures: of its ranks, or those that it keeps.

    Args:
        ranks: whether the ranks of the run are read.

    Raises:
        StoreError: names the file of ranks if it is damaged.
    """
    queries = store.queries(result.fingerprint) if ranks else None
    counted = samples(queries) if queries is not None else {}
    found = {}
    for name, entry in result.figures.items():
        told = {k: Interval(low=low, high=high) for k, (low, high) in entry.get("intervals", {}).items()}
        found[name] = told | (_of_ranks(counted[name], entry["values"]) if name in counted else {})
    return found


def _of_ranks(sample: Sample, values: Mapping[str, float]) -> dict[str, Interval]:
    """Return the intervals of those figures that follow from ranks; the mean over unequal folds does not."""
    figures, ranges = sample.figures(), bootstrap([sample])
    # The sum of recalls is in percent.
    slack = {name: WITHIN * (600.0 if name == RSUM else 1.0) for name in figures}
    return {
        name: ranges[name]
        for name, value in figures.items()
        if name in values and abs(value - values[name]) <= slack[name]
    }


def _scores(
    result: Result,
    intervals: Mapping[str, Mapping[str, Interval]],
    scales: Mapping[str, Mapping[str, Scale]],
) -> tuple[Score, ...]:
    scores = []
    for evaluator in evaluators(result.figures):
        entry = result.figures[evaluator]
        values = entry["values"]
        for figure, value in ((name, values[name]) for name in in_order(values)):
            prefix = EXPECTED if figure.startswith(EXPECTED) else ""
            read = reading(
                figure,
                value,
                images=result.images,
                captions=result.captions,
                recalls=sum(
                    other.startswith((f"{prefix}i2t.recall@", f"{prefix}t2i.recall@")) for other in values
                ),
                scales=scales.get(entry.get("use", ""), {}),
            )
            if read is not None:
                scores.append(
                    Score(
                        evaluator=evaluator,
                        figure=figure,
                        value=value,
                        reading=read,
                        interval=intervals[evaluator].get(figure),
                    )
                )
    return tuple(scores)
