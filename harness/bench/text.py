"""Speed of text encoders beside each other: captions a second in training and inference, over caption lengths."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.bench.components import check_profile, part_of
from harness.bench.contest import Rounds
from harness.bench.origin import load_average, machine_of, today
from harness.bench.rounds import Work, interleave
from harness.bench.text_report import MODES, Measured, Mode, Speed, TextReport
from harness.bench.training import Recipe
from harness.bench.words import lookup, mining
from harness.build import build
from harness.data import OpenDataset, open_dataset
from harness.errors import HarnessError, InputError, RunError, nearest
from harness.execute.outcome import Workspace
from harness.execute.provenance import versions
from harness.execute.settings import settle
from harness.execute.timing import finished
from harness.inputs import derive, prepare_captions
from harness.registry import Component, Registry
from harness.specs import DatasetSpec, EncoderSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

LENGTHS = (8, 16, 32, 64)
Told = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class TextBench:
    """What to measure.

    Args:
        registry: where the encoders stand.
        workspace: catalog, device, threads, command and revision; nothing is stored.
        encoders: their names in the registry; the first is the one that the others are compared with.
        profile: the patches to take; ``None`` takes the entries as they are.
        lengths: words of the captions; the parameter `length` of each encoder.
        batch: captions of a step, at least 2.
        rounds: at least 1.
        seconds: the least time of one measurement.
        dim: size of the embedding; ``None``: that of the first experiment with the first encoder.
        settings: parameters that all encoders get over those of the registry.
        stage: of the registry, whose losses mine captions; their share of a step is measured, too. One that is not
            there, or that mines nothing, is passed over.
    """

    registry: Registry
    workspace: Workspace
    encoders: Sequence[str]
    profile: str | None
    lengths: Sequence[int] = LENGTHS
    batch: int = 128
    rounds: int = 7
    seconds: float = 0.5
    dim: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    stage: str = "two"


def measure(bench: TextBench, told: Told) -> TextReport:
    """Build the encoders at every length and time them in interleaved rounds.

    Args:
        told: is called with each length before it is measured.

    Raises:
        InputError: names an encoder, a profile or a parameter that does not fit.
    """
    load = load_average()
    components = _components(bench)
    dim = bench.dim or _dim(bench)
    settle(bench.workspace)
    dataset = _embedded(bench)
    speeds: list[Speed] = []
    measured: tuple[Measured, ...] = ()
    words: list[str] = []
    for length in bench.lengths:
        told(f"{length} words: {', '.join(components)}")
        encoders = {
            name: _built(bench, component, dataset, dim, length) for name, component in components.items()
        }
        if not words:
            words = _known(dataset, encoders)
            measured = tuple(
                Measured(
                    name=name,
                    title=components[name].title or name,
                    parameters=sum(parameter.numel() for parameter in encoder.parameters()),
                )
                for name, encoder in encoders.items()
            )
        speeds += _timed(bench, encoders, _captions(words, bench.batch, length), dim)
    workspace = bench.workspace
    how = Rounds(workspace=workspace, rounds=bench.rounds, seconds=bench.seconds)
    told("words: looked up, and by one-hot vectors")
    groups = [lookup(how, batch=bench.batch, length=max(bench.lengths))]
    recipe = _recipe(bench)
    if recipe is not None:
        told(f"mined captions in a step of stage {bench.stage!r}")
        groups += mining(how, recipe, bench.stage)
    entries = [workspace.catalog.find("encoder", component.use) for component in components.values()]
    return TextReport(
        encoders=measured,
        speeds=tuple(speeds),
        profile=bench.profile,
        dim=dim,
        batch=bench.batch,
        seconds=bench.seconds,
        dataset=dataset.name,
        words=len(words),
        machine=machine_of(workspace, load),
        versions={
            name: version
            for name, version in versions({entry.distribution: entry.version for entry in entries}).items()
            if name in ("python", "torch", *(entry.distribution for entry in entries))
        },
        revision=workspace.revision,
        date=today(),
        command=workspace.command,
        groups=tuple(groups),
    )


def _recipe(bench: TextBench) -> Recipe | None:
    """Return the experiment whose step is measured: the first with the first encoder."""
    if bench.stage not in bench.registry.names("stages"):
        return None
    for name in bench.registry.experiments:
        if bench.registry.experiment(name, bench.profile).text == bench.encoders[0]:
            return Recipe(registry=bench.registry, experiment=name, profile=bench.profile)
    return None


def _components(bench: TextBench) -> dict[str, Component]:
    """Find the encoders in the registry."""
    encoders = bench.registry.names("encoders")
    check_profile(bench.registry, bench.profile)
    found = {}
    for name in bench.encoders:
        if name not in encoders:
            raise InputError(f"{bench.registry.path} has no encoder {name!r}{nearest(name, encoders)}")
        component = bench.registry.component("encoders", name, bench.profile)
        spec = bench.workspace.catalog.find("encoder", component.use).spec
        if isinstance(spec, EncoderSpec) and spec.modality != "text":
            raise InputError(
                f"{bench.registry.at(('encoders', name))}: {component.use!r} encodes {spec.modality}"
            )
        found[name] = component
    return found


def _dim(bench: TextBench) -> int:
    for name in bench.registry.experiments:
        experiment = bench.registry.experiment(name, bench.profile)
        if experiment.text == bench.encoders[0]:
            return experiment.dim
    raise InputError(
        f"no experiment of {bench.registry.path} has the text encoder {bench.encoders[0]!r}",
        hint="Say how large the embedding is: --dim N",
    )


def _embedded(bench: TextBench) -> OpenDataset:
    """Open the first embedded dataset of the registry: it is on every machine."""
    for entry in bench.registry.datasets.values():
        spec = bench.workspace.catalog.find("dataset", entry.use).spec
        if isinstance(spec, DatasetSpec) and spec.embedded:
            part = part_of(bench.registry, bench.workspace.catalog, "datasets", entry, entry.params)
            return open_dataset(part, bench.workspace.data, bench.workspace.catalog)
    raise InputError(f"{bench.registry.path} has no embedded dataset, from whose captions words are drawn")


def _built(bench: TextBench, component: Component, dataset: OpenDataset, dim: int, length: int) -> nn.Module:
    import torch

    split = dataset.split("train")
    params = {**component.params, **bench.settings, "length": length}
    part = part_of(bench.registry, bench.workspace.catalog, "encoders", component, params)
    torch.manual_seed(derive(0, "bench", component.name))
    values = {"dim": dim, "classes": len(split.records), "captions": split.captions, "seed": 0}
    encoder: nn.Module = build(part, "encoder", bench.workspace.catalog, **values)
    return encoder.to(bench.workspace.device)


def _known(dataset: OpenDataset, encoders: Mapping[str, Any]) -> list[str]:
    """Return the words of the train captions that every encoder tells from an empty caption.

    Raises:
        InputError: if there is none.
    """
    import torch

    def knows(encoder: Any, word: str, empty: Tensor) -> bool:
        return not torch.equal(encoder.prepare(word, training=False), empty)

    words = sorted({w for caption in dataset.split("train").captions for w in re.findall(r"\w+", caption)})
    for encoder in encoders.values():
        empty = encoder.prepare("", training=False)
        words = [word for word in words if knows(encoder, word, empty)]
    if not words:
        raise InputError(
            f"no word of {dataset.name}'s train captions is known to all of {', '.join(encoders)}",
            hint="With word vectors of lower-case words: --set lower=true",
        )
    return words


def _captions(words: Sequence[str], batch: int, length: int) -> list[str]:
    import numpy as np

    random = np.random.default_rng(derive(0, "bench", "captions", length))
    return [" ".join(random.choice(words, length)) for _ in range(batch)]


def _timed(bench: TextBench, encoders: Mapping[str, Any], captions: Sequence[str], dim: int) -> list[Speed]:
    import torch

    device = bench.workspace.device
    direction = torch.randn(bench.batch, dim, device=device)
    works: dict[tuple[str, Mode], Work] = {}
    for name, encoder in encoders.items():
        ids = prepare_captions(encoder, captions, device)
        works |= {(name, mode): _work(name, mode, encoder, ids, direction) for mode in MODES}

    length = len(captions[0].split())
    found = interleave(
        works,
        rounds=bench.rounds,
        seconds=bench.seconds,
        wait=finished(device),
        seed=derive(0, "bench", length),
    )
    return [
        Speed(
            encoder=name,
            mode=mode,
            length=length,
            rounds=tuple(bench.batch * calls for calls in found[name, mode]),
        )
        for mode in MODES
        for name in encoders
    ]


def _work(name: str, mode: Mode, encoder: nn.Module, ids: Tensor, direction: Tensor) -> Work:
    """Return a step without loss and optimiser: the gradient that comes from above is given."""
    import torch

    def step() -> None:
        if mode == "training":
            encoder.zero_grad(set_to_none=True)
            encoder(ids).backward(direction)
        else:
            with torch.inference_mode():
                encoder(ids)

    def call() -> None:
        # A component is somebody else's code.
        try:
            step()
        except HarnessError:
            raise
        except Exception as error:
            raise RunError(f"encoder {name!r} failed in {mode}: {type(error).__name__}: {error}") from error

    return Work(ready=lambda: encoder.train(mode == "training"), call=call)
