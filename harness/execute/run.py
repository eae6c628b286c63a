"""One run: data, components, features, training, test embeddings, into the store. Figures: see `score`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from harness.collapse import Look, same
from harness.data import OpenDataset, open_dataset
from harness.distributed import ALONE, Team
from harness.errors import TrainingError
from harness.evaluate import EMBEDDINGS, RANKS, embed, rank, write_embeddings, write_ranks
from harness.execute.assemble import build_model, frozen_part, inherit, open_galleries
from harness.execute.efficiency import efficiency
from harness.execute.outcome import Listener, Workspace
from harness.execute.pretrained import Progress
from harness.execute.provenance import PeakMemory, hardware, now, versions
from harness.execute.settings import settle
from harness.model import Model, matches
from harness.passport import passport, protocol
from harness.plan import Part, RunSpec
from harness.plan.fingerprint import digest
from harness.protocols import SPLITS, FrozenPart, Informing, Split
from harness.ranking import collapsed, rsum
from harness.specs import Kind
from harness.step import Numerics
from harness.store import Result, Store
from harness.task import Task, Trained
from harness.train import train


def perform(
    spec: RunSpec, workspace: Workspace, store: Store, listener: Listener, team: Team = ALONE
) -> Result:
    """Train one run, or resume it, and store it; evaluators come afterwards, see `harness.execute.score`.

    Args:
        team: the processes that share its training; this is the first of them.

    Raises:
        HarnessError: of any kind; what was stored earlier is untouched.
        Interrupted: a signal asked for the end.
    """
    settle(workspace)
    started, memory = time.monotonic(), PeakMemory(workspace.device)
    dataset = open_dataset(spec.dataset, workspace.data, workspace.catalog)
    splits = {name: dataset.split(name, spec.limit) for name in SPLITS}
    model, part, unsaved = start_model(spec, workspace, dataset, splits["train"], store, listener.progress)
    galleries = open_galleries(spec, workspace, dataset, splits, model, part, listener.progress)
    ready = time.monotonic()

    told: set[str] = set()

    def validate() -> Look:
        val = galleries["val"]
        embedded = embed(val.split, model.image, model.text, val.images, val.texts, workspace.beat)
        look = Look(rsum=rsum(rank(val.split, *embedded)), same=same(*embedded))
        sides = " and ".join(look.same)
        if sides and sides not in told:
            told.add(sides)
            listener.note(f"collapse: every val {sides} has the same embedding by now")
        return look

    trained = train(
        Task(
            model=model,
            split=splits["train"],
            images=galleries["train"].images,
            texts=galleries["train"].texts,
            stage=spec.stage,
            seed=spec.seed,
            unsaved=unsaved,
            validate=validate,
            checkpoint=store.work(spec.fingerprint) / "checkpoint.pt",
            progress=listener.progress,
            note=listener.note,
            stopping=workspace.stopping,
            numerics=Numerics(precision=spec.precision, compile=workspace.compile),
            parts=workspace.parts,
            team=team,
        )
    )
    listener.progress("test", 0, 1, "")
    test = galleries["test"]
    begun = time.monotonic()
    embedded = embed(test.split, model.image, model.text, test.images, test.texts, workspace.beat)
    if sides := collapsed(*embedded):
        raise TrainingError(
            f"collapse: after training every test {sides} has the same embedding, so that nothing can be retrieved",
            hint="Lower the stage's lr, take other negatives, or start from another stage (after).",
        )
    ranking = rank(test.split, *embedded)
    listener.progress("test", 1, 1, "")
    cost = _cost(model, tuple(spec.stage.freeze), trained)
    cost |= {"prepare_seconds": ready - started, "test_seconds": time.monotonic() - begun}
    cost["peak_memory_bytes"] = memory.bytes()
    cost |= _efficiency(model, dataset, test.split, workspace.device, listener)
    component = f"{spec.image.use} {spec.image.revision}, {digest(spec.image.key)}"
    parts = protocol(test.split, dataset.content, model.image, model.text, component=component)
    result = Result(
        fingerprint=spec.fingerprint,
        spec=spec.as_dict(),
        dataset=spec.dataset.name,
        passport=passport(parts),
        protocol=parts,
        images=len(test.split.records),
        captions=len(test.split.captions),
        limit=spec.limit,
        figures={},
        val_rsum=trained.best_rsum,
        epochs=len(trained.history),
        best_epoch=trained.best_epoch,
        cost=cost,
        provenance=_provenance(spec, workspace, trained),
        notes=_notes(model),
    )

    def write(folder: Path) -> None:
        from safetensors.torch import save_file

        weights = {name: t.contiguous().cpu() for name, t in model.state(unsaved).items()}
        save_file(weights, folder / "weights.safetensors")
        write_embeddings(folder / EMBEDDINGS, ranking)
        write_ranks(folder / RANKS, ranking)
        lines = [json.dumps(row, sort_keys=True, allow_nan=False) + "\n" for row in trained.history]
        (folder / "history.jsonl").write_text("".join(lines), encoding="utf-8")

    store.publish(result, write)
    return result


def _efficiency(
    model: Model, dataset: OpenDataset, split: Split, device: str, listener: Listener
) -> dict[str, float]:
    """Measure what embedding takes; where that fails, as for want of the images, a trained run is not lost by it."""
    listener.progress("speed", 0, 1, "")
    try:
        return efficiency(model.image, model.text, dataset, split, device)
    except Exception as error:
        listener.note(f"what embedding takes was not measured: {type(error).__name__}: {error}")
        return {}


def start_model(
    spec: RunSpec, workspace: Workspace, dataset: OpenDataset, split: Split, store: Store, progress: Progress
) -> tuple[Model, FrozenPart | None, tuple[str, ...]]:
    """Build the model of a run as it starts: from its seed, and from its parent's weights.

    Returns:
        With it, the frozen part whose output may be cached, and the names of weights that need not be stored.
    """
    model = build_model(spec, workspace, dataset, split, progress)
    inherited = store.weights(spec.parent) if spec.parent is not None else {}
    if inherited:
        inherit(model, inherited)
    part = frozen_part(spec, model)
    # A cached frozen part is told by its address and need not be stored with every run. All else is: what a
    # parent trained, and what batch statistics may still change.
    unsaved = tuple(
        name
        for name in model.steady(tuple(spec.stage.freeze))
        if part is not None and name.startswith("image.") and name not in inherited
    )
    return model, part, unsaved


def _notes(model: Model) -> list[str]:
    """Return what the encoders have to report of their inputs, such as captions without a known word."""
    notes = []
    for role, encoder in (("image", model.image), ("text", model.text)):
        if isinstance(encoder, Informing):
            counts = ", ".join(
                f"{key.replace('_', ' ')} {value:,}" for key, value in encoder.report().items()
            )
            notes.append(f"{role} encoder: {counts}")
    return notes


def _cost(model: Model, frozen: tuple[str, ...], trained: Trained) -> dict[str, float]:
    sizes = {name: parameter.numel() for name, parameter in model.root.named_parameters()}
    fixed = sum(size for name, size in sizes.items() if matches(name, frozen))
    return {
        "train_seconds": trained.seconds,
        "parameters": sum(sizes.values()) - fixed,
        "frozen_parameters": fixed,
        "image_parameters": sum(size for name, size in sizes.items() if name.startswith("image.")),
        "text_parameters": sum(size for name, size in sizes.items() if name.startswith("text.")),
    }


def _provenance(spec: RunSpec, workspace: Workspace, trained: Trained) -> dict[str, Any]:
    parts: dict[Kind, list[Part]] = {
        "dataset": [spec.dataset],
        "encoder": [spec.image, spec.text],
        "loss": [p for p, _ in spec.losses],
    }
    entries = [workspace.catalog.find(kind, part.use) for kind, group in parts.items() for part in group]
    return {
        "versions": versions({entry.distribution: entry.version for entry in entries}),
        "hardware": hardware(workspace.device, workspace.threads, workspace.devices),
        "device": workspace.device,
        "devices": workspace.devices,
        "threads": workspace.threads,
        "precision": spec.precision,
        "compile": workspace.compile,
        "accumulate": trained.parts,
        "command": workspace.command,
        "revision": workspace.revision,
        "finished": now(),
    }
