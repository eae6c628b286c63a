"""The axes of a matrix: which fields they set, and whether that can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from harness.errors import nearest
from harness.registry.document import KeyPath, Problems
from harness.registry.entries import Entries, Merged
from harness.registry.records import Count, Entry, Matrix, Stage

STAGE_FIELDS = tuple(name for name in Stage.model_fields if name != "name")
REFERENCES = {
    "experiment": "experiments",
    "dataset": "datasets",
    "image": "encoders",
    "text": "encoders",
    "stage": "stages",
    "evaluators": "evaluators",
}
"""Field -> section whose entries it names."""


class Whole(Entry):
    """The fields without a dot that an axis may set."""

    experiment: str | None = None
    dataset: str | None = None
    image: str | None = None
    text: str | None = None
    stage: str | None = None
    evaluators: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    dim: Count | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    title: str | None = None


FIELDS = (*Whole.model_fields, "image.PARAM", "text.PARAM", "loss.NAME.PARAM", "stage.FIELD")
"""What an axis may set."""


def label_of(value: Any) -> str:
    """Return the label of a value in a list axis: as YAML would spell it, a list with commas."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(label_of(item) for item in value)
    return str(value)


def read_matrix(entries: Entries, name: str, problems: Problems) -> Matrix | None:
    """Validate a matrix; a list axis becomes labels that set the field of its name."""
    raw, at = entries.sections["matrices"][name], ("matrices", name)
    reader = _Axes(entries, name, problems)
    axes = reader.axes(raw.get("axes", {}))
    exclude = reader.exclude(raw.get("exclude", ()), axes)
    merged = Merged(
        {
            **raw,
            **({"axes": axes} if "axes" in raw else {}),
            **({"exclude": exclude} if "exclude" in raw else {}),
        },
        {key: (*at, key) for key in raw},
    )
    reader.reference("experiment", raw.get("experiment"), (*at, "experiment"))
    sure = [
        axis for axis, labels in axes.items() if all("experiment" in fields for fields in labels.values())
    ]
    if raw.get("experiment") is None and not sure:
        reader.note(at, "names no experiment, and no axis does")
    return entries.record(Matrix, merged, at, problems, name=name)


class _Axes:
    def __init__(self, entries: Entries, matrix: str, problems: Problems) -> None:
        self.entries, self.problems = entries, problems
        self.at: KeyPath = ("matrices", matrix)

    def note(self, key: KeyPath, message: str) -> None:
        self.problems.add(self.entries.document.place(key), key, message)

    def axes(self, raw: Any) -> dict[str, dict[str, dict[str, Any]]]:
        at = (*self.at, "axes")
        if not isinstance(raw, Mapping):
            self.note(at, "must be a mapping of axes")
            return {}
        axes: dict[str, dict[str, dict[str, Any]]] = {}
        setter: dict[str, str] = {}
        for axis, values in raw.items():
            axes[axis] = self._labels(axis, values, (*at, axis))
            for field in {field for fields in axes[axis].values() for field in fields}:
                if setter.setdefault(field, axis) != axis:
                    self.note((*at, axis), f"sets {field!r}, which the axis {setter[field]!r} sets too")
        return axes

    def _labels(self, axis: str, values: Any, at: KeyPath) -> dict[str, dict[str, Any]]:
        labels: dict[str, dict[str, Any]] = {}
        if isinstance(values, tuple):
            for position, value in enumerate(values):
                label = label_of(value)
                if label in labels:
                    self.note((*at, position), f"the label {label!r} stands twice")
                labels[label] = {axis: value}
                self._field(axis, value, (*at, position))
        elif isinstance(values, Mapping):
            for label, fields in values.items():
                if not isinstance(fields, Mapping):
                    self.note((*at, label), "must be a mapping of fields; {} changes nothing")
                    continue
                labels[label] = dict(fields)
                for field, value in fields.items():
                    self._field(field, value, (*at, label, field))
        if not labels:
            self.note(at, "must be a list of values, or a mapping of labels to fields; not empty")
        return labels

    def _field(self, field: str, value: Any, at: KeyPath) -> None:
        head, _, rest = field.partition(".")
        loss, _, param = rest.partition(".")
        if not rest and head in Whole.model_fields:
            self._whole(field, value, at)
        elif head == "stage" and rest in STAGE_FIELDS:
            self._stage(rest, value, at)
        elif head == "stage" and rest:
            self.note(at, f"a stage has no field {rest!r}{nearest(rest, STAGE_FIELDS)}")
        elif head == "loss" and param.isidentifier():
            if loss not in self.entries.sections["losses"]:
                self.note(at, f"there is no loss {loss!r}{nearest(loss, self.entries.sections['losses'])}")
        elif head not in ("image", "text") or not rest.isidentifier():
            self.note(at, f"no axis can set {field!r}{nearest(field, FIELDS)}")

    def _whole(self, field: str, value: Any, at: KeyPath) -> None:
        if value is None:
            self.note(at, "must not be null")
        elif self.entries.record(Whole, Merged({field: value}, {field: at}), at, self.problems):
            self.reference(field, value, at)

    def _stage(self, field: str, value: Any, at: KeyPath) -> None:
        # Only this field is looked at: the other fields of the stage are known when the cells are.
        found = Problems(self.problems.file)
        stand_in = Merged({"losses": {"any": 1.0}, "epochs": 0}, {"losses": (), "epochs": ()})
        self.entries.record(Stage, stand_in.set(field, value, at), ("",), found, name="any")
        self.problems.extend(found, at)
        if field == "losses" and isinstance(value, Mapping):
            for loss in value:
                if loss not in self.entries.sections["losses"]:
                    self.note(
                        at, f"there is no loss {loss!r}{nearest(loss, self.entries.sections['losses'])}"
                    )
        if field == "after" and isinstance(value, str):
            self.reference("stage", value, at)

    def reference(self, field: str, value: Any, at: KeyPath) -> None:
        """Note each name that the section of a field does not have."""
        valid = self.entries.sections[REFERENCES[field]] if field in REFERENCES else None
        for name in value if isinstance(value, tuple) else (value,):
            if valid is not None and isinstance(name, str) and name not in valid:
                self.note(at, f"there is no {name!r} in {REFERENCES[field]}{nearest(name, valid)}")

    def exclude(
        self, raw: Any, axes: Mapping[str, Mapping[str, Any]]
    ) -> tuple[dict[str, tuple[str, ...]], ...]:
        at = (*self.at, "exclude")
        if not isinstance(raw, tuple) or not all(isinstance(rule, Mapping) and rule for rule in raw):
            self.note(at, "must be a list of mappings of axes to labels")
            return ()
        rules = []
        for position, rule in enumerate(raw):
            labels = {
                axis: tuple(map(label_of, value if isinstance(value, tuple) else (value,)))
                for axis, value in rule.items()
            }
            for axis, chosen in labels.items():
                key = (*at, position, axis)
                if axis not in axes:
                    self.note(key, f"there is no axis {axis!r}{nearest(axis, axes)}")
                    continue
                for label in chosen:
                    if label not in axes[axis]:
                        self.note(key, f"the axis has no label {label!r}{nearest(label, axes[axis])}")
            rules.append(labels)
        return tuple(rules)
