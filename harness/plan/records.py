"""What a plan is made of: parts, run specifications, cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.plan.fingerprint import digest
from harness.registry import Stage

PRECISION = "32-true"
"""Of training, where nothing else is asked for: float32 throughout."""
NUMBERS = 1
"""Rises when the core itself computes other figures from the same specification."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A file that a parameter names: its absolute path, and the sha256 that a fingerprint takes for it."""

    path: Path
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """One resolved component.

    Args:
        name: its name in registry.yaml, or of the prepared dataset.
        use: the component that a plugin declares.
        revision: the component's revision.
        params: parameters as written, ``file:`` and ``${VAR}`` unexpanded; defaults are not filled in.
        title: what tables call it.
        files: of each ``file:`` value among `params` the file that it names.
    """

    name: str
    use: str
    revision: int
    params: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    files: Mapping[str, File] = field(default_factory=dict)

    @property
    def key(self) -> dict[str, Any]:
        """What of it can change a number: not its name, not its title, not where its files lie."""
        return {"use": self.use, "revision": self.revision, "params": _content(self.params, self.files)}

    def as_dict(self) -> dict[str, Any]:
        """Return it in JSON's types, without paths of this machine."""
        hashes = {value: file.sha256 for value, file in self.files.items()}
        return {
            "name": self.name,
            "use": self.use,
            "revision": self.revision,
            "params": _plain(self.params),
            "title": self.title,
            "files": hashes,
        }


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """All that determines one training run.

    Args:
        dataset: the dataset; its name and title change no number.
        protocol: the dataset's passport.
        image: the image encoder.
        text: the text encoder.
        losses: each loss with its weight, sorted by name; the name is part of the parameter names.
        stage: the stage of training.
        dim: size of the common embedding.
        seed: seed of the run.
        limit: at most so many images of each split; ``None`` for all.
        parent: fingerprint of the run whose weights it starts from.
        precision: of training, in the words of Lightning Fabric; see `harness.step.Numerics`.
    """

    dataset: Part
    protocol: str
    image: Part
    text: Part
    losses: tuple[tuple[Part, float], ...]
    stage: Stage
    dim: int
    seed: int
    limit: int | None = None
    parent: str | None = None
    precision: str = PRECISION

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the sha256 over everything that can change a number."""
        stage = self.stage.model_dump(exclude={"name", "after", "losses", "settings", "groups", "freeze"})
        # The first glob that matches wins, so the order of groups counts; that of frozen globs does not.
        # What was added later counts where it is set, so that older results keep their address.
        later = {} if self.precision == PRECISION else {"precision": self.precision}
        groups = [(glob, group.model_dump()) for glob, group in self.stage.groups.items()]
        return digest(
            {
                "numbers": NUMBERS,
                "dataset": self.dataset.key,
                "protocol": self.protocol,
                "image": self.image.key,
                "text": self.text.key,
                "losses": {part.name: (part.key, weight) for part, weight in self.losses},
                "stage": {**stage, "groups": groups, "freeze": sorted(self.stage.freeze)},
                "dim": self.dim,
                "seed": self.seed,
                "limit": self.limit,
                "parent": self.parent,
                **later,
            }
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it in JSON's types, names and titles included."""
        return {
            "dataset": self.dataset.as_dict(),
            "protocol": self.protocol,
            "image": self.image.as_dict(),
            "text": self.text.as_dict(),
            "losses": [{**part.as_dict(), "weight": weight} for part, weight in self.losses],
            "stage": _plain(self.stage.model_dump()),
            "dim": self.dim,
            "seed": self.seed,
            "limit": self.limit,
            "parent": self.parent,
            "precision": self.precision,
        }


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a matrix: what is run, and how it is shown.

    Args:
        matrix: name of the matrix.
        labels: axis and label, in the order of the axes.
        experiment: name of the experiment.
        title: the method, for tables.
        visual: the image path, such as ``fixed resnet50``.
        textual: the text path.
        run: the run whose weights are evaluated.
        evaluators: evaluators of the test ranking; they are no part of the fingerprint.
        leaderboard: whether its result may stand on a leaderboard.
    """

    matrix: str
    labels: tuple[tuple[str, str], ...]
    experiment: str
    title: str
    visual: str
    textual: str
    run: RunSpec
    evaluators: tuple[Part, ...]
    leaderboard: bool


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A dataset that cannot be used: how many cells wait for it, why, and the command that gets it."""

    dataset: str
    cells: int
    reason: str
    command: str


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What sharing saves.

    Args:
        cells: cells that can run.
        naive: trainings if each cell trained its whole chain of stages by itself.
        distinct: trainings that are left when equal fingerprints are one run.
    """

    cells: int
    naive: int
    distinct: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Cells in matrix order; their runs, parents included, each once and after its parent; missing data."""

    cells: tuple[Cell, ...]
    runs: tuple[RunSpec, ...]
    missing: tuple[Missing, ...] = ()

    @property
    def summary(self) -> Summary:
        """Count cells and trainings."""
        parents = {run.fingerprint: run.parent for run in self.runs}
        naive = 0
        for cell in self.cells:
            step: str | None = cell.run.fingerprint
            while step is not None:
                naive += 1
                step = parents[step]
        return Summary(cells=len(self.cells), naive=naive, distinct=len(self.runs))


def _content(value: Any, files: Mapping[str, File]) -> Any:
    """Replace each ``file:`` value by the hash of its file."""
    if isinstance(value, str) and value in files:
        return {"sha256": files[value].sha256}
    if isinstance(value, Mapping):
        return {key: _content(item, files) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_content(item, files) for item in value]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
