"""One combination of labels -> the chain of runs behind it, and how it is shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from harness.errors import InputError, RegistryError, nearest
from harness.plan.combinations import Axes, Labels
from harness.plan.files import files_of
from harness.plan.records import Cell, Part, RunSpec
from harness.registry import COMPONENT_KINDS, KeyPath, Matrix, Registry, Stage
from harness.specs import EncoderSpec, Kind, Spec

# `image.trunk.*`, not `image.trunk.stem.*`, which leaves the rest of the trunk to be trained.
_FROZEN = re.compile(r"(image\.?)?\*|image\.(?!head\b)\w+\.?\*")


class Found(Protocol):
    """A component that a plugin declares."""

    @property
    def spec(self) -> Spec:
        """What the plugin says of it."""
        ...


class Components(Protocol):
    """What a plan asks of the catalog."""

    def find(self, kind: Kind, name: str) -> Found:
        """Return a component.

        Raises:
            InputError: if no plugin declares it.
        """
        ...


class Resolver:
    """Resolves the combinations of one matrix."""

    def __init__(self, registry: Registry, catalog: Components, matrix: Matrix, axes: Axes) -> None:
        self.registry, self.catalog, self.matrix, self.axes = registry, catalog, matrix, axes

    def fields(self, labels: Labels) -> dict[str, Any]:
        """Return all fields that a combination sets."""
        return {
            field: value for axis, label in labels.items() for field, value in self.axes[axis][label].items()
        }

    def dataset(self, labels: Labels) -> str:
        """Return the name of a combination's dataset."""
        fields = self.fields(labels)
        name = fields.get("dataset") or self._experiment(fields, None).dataset
        if name is None:
            place = self.registry.at(("matrices", self.matrix.name))
            raise RegistryError(
                f"{place}: neither it nor its experiment names a dataset",
                hint="Add an axis dataset to it, or choose one with --dataset NAME.",
            )
        return str(name)

    def cell(
        self, labels: Labels, dataset: Part, protocol: str, limit: int | None, precision: str
    ) -> tuple[Cell, list[RunSpec]]:
        """Return a cell and its runs, each after its parent.

        Raises:
            InputError: if a component, a parameter's file or a field does not fit.
        """
        fields = self.fields(labels)
        profile = self._profile(dataset.name)
        experiment = self._experiment(fields, profile)
        stage = fields.get("stage", experiment.stage)
        chain = self._chain(stage, profile, labels)
        self._check_losses(fields, chain, labels)
        image, text = (
            self._encoder(
                str(fields.get(path, getattr(experiment, path))), profile, path, _below(fields, path)
            )
            for path in ("image", "text")
        )
        runs: list[RunSpec] = []
        for link in chain:
            losses = {
                name: (self._part("losses", name, profile, self._loss_settings(link, name, fields)), weight)
                for name, weight in link.losses.items()
            }
            runs.append(
                RunSpec(
                    dataset=dataset,
                    protocol=protocol,
                    image=image,
                    text=text,
                    losses=tuple(losses[name] for name in sorted(losses)),
                    stage=link,
                    dim=fields.get("dim", experiment.dim),
                    seed=fields.get("seed", 0),
                    limit=limit,
                    parent=runs[-1].fingerprint if runs else None,
                    precision=precision,
                )
            )
        trained = "fixed" if is_fixed(chain[-1]) else "ft"
        evaluators = fields.get("evaluators", experiment.evaluators)
        cell = Cell(
            matrix=self.matrix.name,
            labels=tuple(labels.items()),
            experiment=experiment.name,
            title=fields.get("title") or experiment.title or experiment.name,
            visual=f"{trained} {image.params.get('backbone') or image.title}",
            textual=text.title,
            run=runs[-1],
            evaluators=tuple(self._part("evaluators", name, profile, {}) for name in evaluators),
            leaderboard=self.matrix.leaderboard,
        )
        return cell, runs

    @staticmethod
    def _loss_settings(stage: Stage, loss: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a stage, and over it an axis, sets of a loss."""
        return {**stage.settings.get(loss, {}), **_below(fields, f"loss.{loss}")}

    def _check_losses(self, fields: Mapping[str, Any], chain: list[Stage], labels: Labels) -> None:
        """Refuse a parameter of a loss that no stage of the chain has: it would change nothing."""
        losses = {loss for link in chain for loss in link.losses}
        for field, key in self._where(labels).items():
            head, _, rest = field.partition(".")
            loss = rest.partition(".")[0]
            if head == "loss" and loss not in losses:
                chained = " after ".join(repr(link.name) for link in reversed(chain))
                raise RegistryError(
                    f"{self.registry.at(key)}: stage {chained} has no loss {loss!r}{nearest(loss, losses)}"
                )

    def _profile(self, dataset: str) -> str | None:
        if dataset in self.registry.datasets:
            return self.registry.datasets[dataset].profile
        return self.registry.default_profile

    def _experiment(self, fields: Mapping[str, Any], profile: str | None) -> Any:
        return self.registry.experiment(fields.get("experiment") or self.matrix.experiment or "", profile)

    def _where(self, labels: Labels) -> dict[str, KeyPath]:
        """Return where each dotted field of a combination was written."""
        return {
            field: self.registry.origin(self.matrix.name, axis, label, field)
            for axis, label in labels.items()
            for field in self.axes[axis][label]
            if "." in field
        }

    def _chain(self, name: str, profile: str | None, labels: Labels) -> list[Stage]:
        """Return a stage and those that it comes after, first things first.

        The fields that an axis sets are those of the last stage, so that cells can share the ones before.
        """
        fields, where = self.fields(labels), self._where(labels)
        changes = {
            field: (value, where[f"stage.{field}"]) for field, value in _below(fields, "stage").items()
        }
        chain = [self.registry.stage(name, profile, changes)]
        while (after := chain[0].after) is not None:
            chain.insert(0, self.registry.stage(after, profile))
        return chain

    def _encoder(self, name: str, profile: str | None, path: str, settings: Mapping[str, Any]) -> Part:
        part = self._part("encoders", name, profile, settings)
        spec = self.catalog.find("encoder", part.use).spec
        if isinstance(spec, EncoderSpec) and spec.modality != path:
            raise RegistryError(
                f"{self.registry.at(('encoders', name))}: {part.use!r} encodes {spec.modality}; "
                f"it cannot be the {path} encoder of an experiment"
            )
        return part

    def _part(self, section: str, name: str, profile: str | None, settings: Mapping[str, Any]) -> Part:
        component = self.registry.component(section, name, profile)
        kind = COMPONENT_KINDS[section]
        params = {**component.params, **settings}
        try:
            revision = self.catalog.find(kind, component.use).spec.revision
            files = files_of(params, self.registry.path.parent)
        except InputError as error:
            place = self.registry.at((section, name))
            raise InputError(f"{place}: {error.message}", hint=error.hint) from error
        return Part(
            name=name,
            use=component.use,
            revision=revision,
            params=params,
            title=component.title or name,
            files=files,
        )


def is_fixed(stage: Stage) -> bool:
    """Tell whether a stage takes the image features as they come: frozen, or solved in closed form.

    They are frozen where a glob covers the image encoder, or the whole of one of its modules but `head`.
    """
    return stage.epochs == 0 or any(_FROZEN.fullmatch(glob) for glob in stage.freeze)


def _below(fields: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {
        field.removeprefix(f"{prefix}."): value
        for field, value in fields.items()
        if field.startswith(f"{prefix}.")
    }
