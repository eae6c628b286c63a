"""The model of a stored run, put together again from its specification and its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data import OpenDataset, open_dataset, protocol_of
from harness.decoded import shrunk, stored_size
from harness.errors import DataError, HarnessError, RunError, StoreError
from harness.evaluate import EMBEDDINGS
from harness.execute.assemble import build_model, frozen_part, part_at_test
from harness.execute.outcome import Workspace
from harness.execute.settings import settle
from harness.execute.specification import spec_of
from harness.execute.then import difference, go_on
from harness.inputs import prepare_captions
from harness.model import Model, matches
from harness.plan import Part, RunSpec
from harness.protocols import FrozenPart
from harness.ranking import normalize
from harness.specs import DatasetSpec, Kind
from harness.store import Result, Store

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.protocols.datasets import Pixels

    Floats = npt.NDArray[np.float32]

DRIFT = 0.02
"""How far an embedding of length 1 may lie from the stored one: other devices and libraries round otherwise."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Restored:
    """A stored run that can embed again, in evaluation mode.

    Attributes:
        spec: the run, with the files that its parameters name.
        dataset: the dataset that it was trained on.
        model: both encoders with the weights that were kept; no loss, which nothing needs at test time.
        part: the frozen part whose output the image encoder's `head` takes for test images, or ``None``.
        device: where the model is.
    """

    result: Result
    spec: RunSpec
    dataset: OpenDataset
    model: Model
    part: FrozenPart | None
    device: str

    def embed_image(self, pixels: Pixels) -> Floats:
        """Embed one image, (height, width, 3) uint8 RGB, under the test view: (dim,), L2-normalised.

        Raises:
            RunError: names the encoder if it fails.
        """
        import torch

        encoder = self.model.image
        try:
            with torch.inference_mode():
                if self.part is None:
                    size = stored_size(encoder)
                    seen = pixels if size is None else shrunk(pixels, size)
                    rows = encoder(encoder.prepare(seen, training=False)[None].to(self.device))
                else:
                    view = self.part.view(pixels, 0)[None].to(self.device)
                    rows = encoder.head(self.part.compute(view))
        except HarnessError:
            raise
        except Exception as error:
            raise self._failed("image", error) from error
        row: Floats = normalize(rows.float().cpu().numpy(), ["the image"], "image")[0]
        return row

    def embed_captions(self, prepared: Any, captions: Sequence[str]) -> Floats:
        """Embed captions that `prepare` returned: (captions, ...) -> (captions, dim), L2-normalised.

        Raises:
            RunError: names the encoder if it fails.
        """
        import torch

        try:
            with torch.inference_mode():
                rows = self.model.text(prepared)
        except HarnessError:
            raise
        except Exception as error:
            raise self._failed("text", error) from error
        return normalize(rows.float().cpu().numpy(), captions, "caption")

    def prepare(self, captions: Sequence[str]) -> Any:
        """Prepare captions for the text encoder: (captions, ...) on the device.

        Raises:
            RunError: names the encoder if it fails.
        """
        try:
            return prepare_captions(self.model.text, captions, self.device)
        except HarnessError:
            raise
        except Exception as error:
            raise self._failed("text", error) from error

    def _failed(self, role: str, error: Exception) -> RunError:
        part = self.spec.image if role == "image" else self.spec.text
        return RunError(f"{role} encoder {part.name!r} failed: {type(error).__name__}: {error}")


def restore(fingerprint: str, workspace: Workspace, store: Store, folder: Path) -> Restored:
    """Build the encoders of a finished run and load the weights that it kept.

    What was not stored, a frozen backbone, comes from its constructor; the vocabulary from the train captions. One
    test image and its captions are embedded and compared with the stored embeddings before the model is returned.

    Args:
        folder: of registry.yaml: where the relative paths of ``file:`` parameters start.

    Raises:
        DataError: if the run's dataset is gone or is no longer the same.
        StoreError: if the run was made by other components, files or versions, or a file of it is damaged.
    """
    settle(workspace)
    store.checked(fingerprint, "result.json")
    result = store.result(fingerprint)
    spec = spec_of(result, folder)
    _check_revisions(spec, fingerprint, workspace)
    dataset = _open(spec, result, workspace)
    # Every component draws from a stream of its own, so that the encoders do not miss the losses.
    bare = replace(spec, losses=())
    model = build_model(bare, workspace, dataset, dataset.split("train", spec.limit), _silent)
    weights = {n: t for n, t in store.weights(fingerprint).items() if not n.startswith("loss.")}
    frozen = tuple(spec.stage.freeze)
    rest = tuple(
        name
        for name in model.root.state_dict()
        if name not in weights and name.startswith("image.") and matches(name, frozen)
    )
    model.load(weights, rest)
    model.root.eval()
    part = frozen_part(spec, model)
    if rest and part is None:
        raise StoreError(
            f"run {fingerprint} did not store {rest[0]}, which no frozen part of {spec.image.name!r} holds",
            hint="Run it again with --force.",
        )
    restored = Restored(
        result=result,
        spec=spec,
        dataset=dataset,
        model=model,
        part=part_at_test(part),
        device=workspace.device,
    )
    _compare(restored, store)
    return restored


def _check_revisions(spec: RunSpec, fingerprint: str, workspace: Workspace) -> None:
    parts: tuple[tuple[Kind, Part], ...] = (
        ("dataset", spec.dataset),
        ("encoder", spec.image),
        ("encoder", spec.text),
    )
    for kind, part in parts:
        revision = workspace.catalog.find(kind, part.use).spec.revision
        if revision != part.revision:
            raise StoreError(
                f"run {fingerprint} was made with revision {part.revision} of {kind} {part.use!r}; "
                f"installed is revision {revision}",
                hint="Run it again, or install the plugin of then (see `harness show`).",
            )


def _open(spec: RunSpec, result: Result, workspace: Workspace) -> OpenDataset:
    declared = workspace.catalog.find("dataset", spec.dataset.use).spec
    assert isinstance(declared, DatasetSpec)
    try:
        dataset = open_dataset(spec.dataset, workspace.data, workspace.catalog)
        now = protocol_of(spec.dataset, workspace.data, declared)
        if now != spec.protocol:
            split = dataset.split("test", spec.limit)
            told = difference(result, split, (spec.protocol, now), Store(workspace.home))
            raise DataError(
                f"dataset {spec.dataset.name!r} has other records than then ({told})",
                hint=go_on(result, spec.dataset.name, declared, workspace.data),
            )
    except DataError as error:
        raise DataError(
            f"run {result.fingerprint} needs its dataset, whose train captions are its vocabulary: {error.message}",
            hint=error.hint,
        ) from error
    return dataset


def _compare(restored: Restored, store: Store) -> None:
    """Embed the first test image and its captions; they must be what the run stored.

    Raises:
        StoreError: if they are not.
    """
    import numpy as np
    from safetensors import safe_open

    record = restored.dataset.split("test", restored.spec.limit).records[0]
    fingerprint = restored.result.fingerprint
    with safe_open(store.checked(fingerprint, EMBEDDINGS), framework="numpy") as file:
        image = file.get_slice("image")[:1]
        text = file.get_slice("text")[: len(record.captions)]
    own = restored.embed_captions(restored.prepare(record.captions), record.captions)
    pairs = {
        "image": (image, restored.embed_image(restored.dataset.pixels(record))[None]),
        "caption": (text, own),
    }
    for what, (then, now) in pairs.items():
        gap = float(np.linalg.norm(then - now, axis=1).max())
        if not gap <= DRIFT:
            raise StoreError(
                f"the model of run {fingerprint} embeds the {what} {record.image!r} otherwise than when it was "
                f"stored (distance {gap:.3f}): weights of a frozen backbone, or a library, have changed",
                hint="`harness show` names the versions of then. Run it again with --force.",
            )


def _silent(phase: str, done: int, total: int, note: str) -> None:
    """Tell nobody."""
