"""The validated records of registry.yaml; frozen, and every unknown key is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from harness.specs import Kind

COMPONENT_KINDS: Mapping[str, Kind] = {
    "datasets": "dataset",
    "encoders": "encoder",
    "losses": "loss",
    "evaluators": "evaluator",
}
"""Section of registry.yaml -> kind of component that its entries use."""

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Factor = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Entry(BaseModel):
    """Base of all records: strict types, no unknown key, no change."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Group(Entry):
    """Multipliers of a parameter group, on the stage's learning rate and weight decay; each 0 or more."""

    lr: Factor = 1.0
    weight_decay: Factor = 1.0


class Stage(Entry):
    """One stage of training.

    Args:
        name: its name in registry.yaml; changes no number.
        losses: weight of each loss, 0 or more, by the loss's name in registry.yaml; at least one. Where a stage wants
            other parameters of a loss, a mapping of them stands in place of the number, with ``weight`` among them.
        settings: those parameters, by the loss's name; read from `losses`.
        epochs: passes over the training images; 0 for an objective in closed form.
        freeze: globs over parameter names that are not trained, such as ``image.backbone.*``.
        after: name of the stage whose weights this one starts from.
        batch: images in a batch, 1 or more.
        optimizer: ``sgd`` or ``adamw``.
        lr: learning rate, above 0.
        momentum: of SGD, 0 <= momentum < 1.
        nesterov: Nesterov's momentum, for SGD.
        weight_decay: 0 or more.
        schedule: ``step`` decays at `decay_at`; it is the default where `decay_at` is given.
        decay_at: epochs, rising, after which the rate is multiplied by `decay_by`.
        decay_by: factor in 0..1.
        warmup: fraction of a one-cycle schedule in which the rate rises, 0 <= warmup < 1.
        groups: multipliers by glob over parameter names; the first glob that matches wins.
        views: augmented views of each image in the feature cache, 1 or more.
        evaluate_every: epochs between two looks at val.
        patience: looks at val without a better rSum before training stops; ``None`` never stops early.
        clip: greatest norm of the gradient; ``None`` does not clip.
    """

    name: str
    losses: Mapping[str, Factor] = Field(min_length=1)
    settings: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    epochs: Annotated[int, Field(ge=0)]
    freeze: tuple[str, ...] = ()
    after: str | None = None
    batch: Count = 32
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: Rate = 0.01
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = True
    weight_decay: Factor = 0.0
    schedule: Literal["constant", "step", "cosine", "one-cycle"] = "constant"
    decay_at: tuple[Count, ...] = ()
    decay_by: Annotated[float, Field(gt=0, le=1)] = 0.1
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.3
    groups: Mapping[str, Group] = Field(default_factory=dict)
    views: Count = 1
    evaluate_every: Count = 1
    patience: Count | None = None
    clip: Rate | None = None

    @model_validator(mode="before")
    @classmethod
    def _weights_and_settings(cls, fields: Any) -> Any:
        if not isinstance(fields, Mapping) or not isinstance(fields.get("losses"), Mapping):
            return fields
        if not isinstance(given := fields.get("settings", {}), Mapping):
            return fields
        losses = {
            n: v.get("weight", 1.0) if isinstance(v, Mapping) else v for n, v in fields["losses"].items()
        }
        settings = {
            name: {key: item for key, item in value.items() if key != "weight"}
            for name, value in fields["losses"].items()
            if isinstance(value, Mapping)
        }
        return {**fields, "losses": losses, "settings": {**given, **settings}}

    @model_validator(mode="before")
    @classmethod
    def _step_where_it_decays(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and fields.get("decay_at") and "schedule" not in fields:
            return {**fields, "schedule": "step"}
        return fields

    @field_validator("decay_at")
    @classmethod
    def _rising(cls, epochs: tuple[int, ...]) -> tuple[int, ...]:
        if list(epochs) != sorted(set(epochs)):
            raise ValueError("epochs must rise")
        return epochs

    @model_validator(mode="after")
    def _settings_of_its_losses(self) -> Stage:
        if foreign := [name for name in self.settings if name not in self.losses]:
            raise ValueError(f"settings name {foreign[0]!r}, which is none of its losses")
        return self

    @model_validator(mode="after")
    def _decays_only_in_steps(self) -> Stage:
        if self.decay_at and self.schedule != "step":
            raise ValueError(f"decay_at needs schedule: step, not {self.schedule}")
        return self


class Component(Entry):
    """An entry of datasets, encoders, losses or evaluators, with `like` and profile resolved.

    Args:
        name: its name in registry.yaml.
        use: name of the component that a plugin declares.
        params: parameters of the component, as written: ``file:`` and ``${VAR}`` stand unexpanded.
        title: what tables call it; `name` where none is given.
        profile: of a dataset: the patches that fit its scale.
    """

    name: str
    use: str
    params: Mapping[str, Any] = Field(default_factory=dict)
    title: str = ""
    profile: str | None = None


class Experiment(Entry):
    """A method on a dataset, by the names of its parts; `dim` is the size of the embedding, 1 or more."""

    name: str
    image: str
    text: str
    stage: str
    dim: Count
    evaluators: tuple[str, ...] = Field(min_length=1)
    dataset: str | None = None
    title: str = ""


class Matrix(Entry):
    """Axes over an experiment.

    Args:
        axes: of each axis its labels, and of each label the fields that it sets.
        exclude: combinations of labels, by axis, that are left out.
        leaderboard: false keeps the results off the leaderboards.
    """

    name: str
    experiment: str | None = None
    summary: str = ""
    leaderboard: bool = True
    axes: Mapping[str, Mapping[str, Mapping[str, Any]]] = Field(default_factory=dict)
    exclude: tuple[Mapping[str, tuple[str, ...]], ...] = ()
