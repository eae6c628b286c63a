"""Matrix -> plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.errors import DataError, InputError, RegistryError, nearest
from harness.plan.combinations import choose, combinations, rules
from harness.plan.files import files_of
from harness.plan.records import PRECISION, Cell, File, Missing, Part, Plan, RunSpec
from harness.plan.resolve import Components, Resolver
from harness.registry import Registry
from harness.specs import DatasetSpec


def make_plan(
    registry: Registry,
    catalog: Components,
    *,
    matrix: str,
    protocol_of: Callable[[Part, DatasetSpec], str],
    prepared: Mapping[str, Part] | None = None,
    datasets: Sequence[str] | None = None,
    only: Mapping[str, Sequence[str]] | None = None,
    seeds: Sequence[int] | None = None,
    limit: int | None = None,
    precision: str = PRECISION,
    require_all: bool = False,
) -> Plan:
    """Resolve a matrix into cells and the runs behind them.

    Args:
        protocol_of: returns the passport of a dataset, or raises DataError if it must be prepared first.
        prepared: prepared datasets by name; those that the registry does not list can be asked for too.
        datasets: replace the matrix's datasets; each must be there.
        only: labels to keep, by axis.
        seeds: replace the matrix's seeds.
        limit: at most so many images of each split, 1 or more.
        precision: of training, see `harness.step.Numerics`.
        require_all: make a dataset that is not prepared an error.

    Raises:
        InputError: lists the problems of all cells: an unknown name, a component that no plugin declares, a
            field or file that does not fit; or no cell is left.
        DataError: if a dataset is missing that was asked for by name, or any with `require_all`; or all are.
    """
    if matrix not in registry.matrices:
        raise InputError(f"{registry.path} has no matrix {matrix!r}{nearest(matrix, registry.matrices)}")
    if limit is not None and limit < 1:
        raise InputError(f"a limit of {limit} images leaves none; it is 1 or more")
    if "" in (datasets or ()):
        raise InputError(
            "a dataset was asked for by an empty name", hint="Is a variable of the shell not set?"
        )
    record = registry.matrices[matrix]
    axes = choose(record, datasets=datasets, only=only or {}, seeds=seeds)
    resolver = Resolver(registry, catalog, record, axes)
    sources = _Datasets(registry, catalog, protocol_of, prepared or {})
    cells: list[Cell] = []
    runs: dict[str, RunSpec] = {}
    missing: Counter[str] = Counter()
    faults: dict[str, DataError] = {}
    asked = {*(datasets or ()), *(only or {}).get("dataset", ())}
    needed: set[str] = set()
    problems: dict[str, str] = {}
    count = 0
    for labels in combinations(axes, rules(record, datasets=datasets, seeds=seeds)):
        count += 1
        try:
            name = resolver.dataset(labels)
            part, protocol = sources.find(name)
            if isinstance(protocol, DataError):
                missing[name] += 1
                faults[name] = protocol
                if labels.get("dataset") in asked:
                    needed.add(name)
                continue
            cell, chain = resolver.cell(labels, part, protocol, limit, precision)
        except InputError as error:
            problems.setdefault(error.message, error.hint)
            continue
        cells.append(cell)
        for run in chain:
            runs.setdefault(run.fingerprint, run)
    if problems:
        hints = [hint for hint in dict.fromkeys(problems.values()) if hint]
        raise InputError("\n".join(problems), hint="\n".join(hints))
    if not count:
        raise InputError(
            f"matrix {matrix!r} has no cell left: its exclude rules cover what was asked for",
            hint="To run a seed that they leave out: --seed N",
        )
    lacking = tuple(
        Missing(dataset=name, cells=number, reason=faults[name].message, command=faults[name].hint)
        for name, number in missing.items()
    )
    if refused := [entry for entry in lacking if require_all or not cells or entry.dataset in needed]:
        raise DataError(
            f"matrix {matrix!r} needs datasets that cannot be used",
            problems=[f"{entry.dataset}: {entry.cells} cells: {entry.reason}" for entry in refused],
            hint="\n".join(entry.command for entry in refused),
        )
    return Plan(cells=tuple(cells), runs=tuple(runs.values()), missing=lacking)


class _Datasets:
    """Finds each dataset once, in the registry or among those that are only prepared."""

    def __init__(
        self,
        registry: Registry,
        catalog: Components,
        protocol_of: Callable[[Part, DatasetSpec], str],
        prepared: Mapping[str, Part],
    ) -> None:
        self.registry, self.catalog, self.protocol_of, self.prepared = (
            registry,
            catalog,
            protocol_of,
            prepared,
        )
        self.found: dict[str, tuple[Part, str | DataError]] = {}

    def find(self, name: str) -> tuple[Part, str | DataError]:
        """Return a dataset with its passport, or with the reason why it has none."""
        if name not in self.found:
            part, spec = self._part(name)
            protocol: str | DataError
            try:
                protocol = self.protocol_of(part, spec)
            except DataError as error:
                protocol = error
            self.found[name] = part, protocol
        return self.found[name]

    def _part(self, name: str) -> tuple[Part, DatasetSpec]:
        entry, part = self.registry.datasets.get(name), self.prepared.get(name)
        if entry is not None:
            spec = self._spec(entry.use)
            part = Part(
                name=name,
                use=entry.use,
                revision=spec.revision,
                params=entry.params,
                title=entry.title or name,
                files=self._files(name, entry.params),
            )
        elif part is not None:
            spec = self._spec(part.use)
        else:
            raise InputError(
                f"there is no dataset {name!r}{nearest(name, {*self.registry.datasets, *self.prepared})}",
                hint=f"To use a folder of your own: harness data prepare folder --from DIR --as {name}",
            )
        return part, spec

    def _files(self, name: str, params: Mapping[str, Any]) -> dict[str, File]:
        try:
            return files_of(params, self.registry.path.parent)
        except RegistryError as error:
            place = self.registry.at(("datasets", name))
            raise RegistryError(f"{place}: {error.message}", hint=error.hint) from error

    def _spec(self, use: str) -> DatasetSpec:
        spec = self.catalog.find("dataset", use).spec
        assert isinstance(spec, DatasetSpec)
        return spec
