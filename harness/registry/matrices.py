"""What a matrix takes over from the one that it is like: axes with their labels, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.registry.axes import label_of
from harness.registry.check import check_likes
from harness.registry.document import Document, KeyPath, Place, Problems

SECTION = "matrices"
Axes = Mapping[str, Any]


def inherit_matrices(document: Document, problems: Problems) -> Document:
    """Return a document whose matrices are whole: no `like` is left in them.

    Keys of one's own replace those of the matrix that `like` names, but a mapping axis gains labels, and `exclude`
    gains rules. Of inherited rules those parts fall that name labels which the axes no longer have.
    """
    matrices = document.data.get(SECTION, {})
    check_likes(document, SECTION, matrices, problems)
    problems.check()
    if not any("like" in matrix for matrix in matrices.values()):
        return document
    heirs = _Heirs(document, problems)
    whole = {name: heirs.whole(name) for name in matrices}
    return Document(document.file, {**document.data, SECTION: whole}, heirs.places)


class _Heirs:
    def __init__(self, document: Document, problems: Problems) -> None:
        self.places: dict[KeyPath, Place] = dict(document.places)
        self.document, self.problems = Document(document.file, document.data, self.places), problems
        self.done: dict[str, dict[str, Any]] = {}

    def whole(self, name: str) -> dict[str, Any]:
        """Return a matrix with all that it inherits."""
        if name not in self.done:
            own = dict(self.document.data[SECTION][name])
            parent = own.pop("like", None)
            self.done[name] = own if parent is None else self._heir(name, own, parent, self.whole(parent))
        return self.done[name]

    def _heir(self, name: str, own: dict[str, Any], parent: str, base: dict[str, Any]) -> dict[str, Any]:
        merged = {**base, **own}
        for key in base.keys() - own.keys():
            self._take((SECTION, parent, key), (SECTION, name, key))
        if isinstance(base.get("axes"), Mapping) and isinstance(own.get("axes"), Mapping):
            merged["axes"] = self._axes(name, own["axes"], parent, base["axes"])
        axes = merged.get("axes")
        if isinstance(base.get("exclude"), tuple) and isinstance(axes, Mapping):
            rules = own.get("exclude", ())
            if isinstance(rules, tuple):
                merged["exclude"] = rules + self._rules(name, parent, base["exclude"], axes, len(rules))
        return merged

    def _axes(self, name: str, own: Axes, parent: str, base: Axes) -> dict[str, Any]:
        at, under = (SECTION, name, "axes"), (SECTION, parent, "axes")
        axes: dict[str, Any] = {}
        for axis, values in base.items():
            if axis not in own:
                axes[axis] = values
                self._take((*under, axis), (*at, axis))
            elif not isinstance(values, Mapping) or not isinstance(own[axis], Mapping):
                axes[axis] = own[axis]
            else:
                axes[axis] = {**values, **own[axis]}
                for label in values:
                    key = (*at, axis, label)
                    if label not in own[axis]:
                        self._take((*under, axis, label), key)
                        continue
                    first = self.document.place((*under, axis, label))
                    told = f"stands in {first} already; a label can be added, not changed"
                    self.problems.add(self.document.place(key), key, told)
        return axes | {axis: values for axis, values in own.items() if axis not in base}

    def _rules(
        self, name: str, parent: str, rules: tuple[Any, ...], axes: Axes, first: int
    ) -> tuple[Any, ...]:
        """Return inherited rules, without what the axes no longer have; they come after `first` rules of one's own."""
        kept: list[Any] = []
        for position, rule in enumerate(rules):
            pruned = _pruned(rule, axes) if isinstance(rule, Mapping) else rule
            if pruned is not None:
                place = (SECTION, name, "exclude", first + len(kept))
                self._take((SECTION, parent, "exclude", position), place)
                kept.append(pruned)
        return tuple(kept)

    def _take(self, old: KeyPath, new: KeyPath) -> None:
        found = {
            (*new, *key[len(old) :]): place for key, place in self.places.items() if key[: len(old)] == old
        }
        self.places |= found


def _pruned(rule: Mapping[str, Any], axes: Axes) -> dict[str, Any] | None:
    """Return what of a rule speaks of labels that are there; ``None`` where it can apply to no cell any more."""
    kept: dict[str, Any] = {}
    for axis, chosen in rule.items():
        if axis not in axes:
            continue  # told when the axes are read
        values = axes[axis] if isinstance(axes[axis], tuple | Mapping) else ()
        labels = [label_of(value) for value in values]
        left = tuple(
            label
            for label in (chosen if isinstance(chosen, tuple) else (chosen,))
            if label_of(label) in labels
        )
        if not left:
            return None
        kept[axis] = left
    return kept or None
