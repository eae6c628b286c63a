"""The contract of an encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from harness.catalog import Catalog
from harness.errors import InputError
from harness.protocols import Encoder
from harness.specs import EncoderSpec
from harness.testing import encoder_checks, encoder_effects, frozen
from harness.testing.contract import Check, run_checks
from harness.testing.encoder_checks import Subject
from harness.testing.making import made
from harness.testing.samples import CAPTIONS, features, remember
from harness.testing.settings import ADVICE, UNTOUCHED
from harness.testing.violation import Violation


def check_encoder(
    encoder: str | Encoder,
    *,
    params: Mapping[str, Any] | None = None,
    modality: Literal["image", "text"] | None = None,
    dim: int = 16,
    catalog: Catalog | None = None,
) -> list[Violation]:
    """Hold an image or text encoder to its contract: `ENCODER_CHECKS`.

    Args:
        encoder: the name of an installed one, or a live module, which is copied.
        params: parameters of an installed one, as registry.yaml would give them; the `sample` of its declaration
            by default.
        modality: of a live one; an installed one declares it.
        dim: size of the embeddings, which a live one was made for.
        catalog: where the name is looked up; what is installed by default.

    Returns:
        What is wrong, nothing if all is well.

    Raises:
        InputError: if there is no such encoder, its parameters do not fit, or a live one comes with parameters or
            without a modality.
        PluginError: if the plugin cannot be imported or lacks a method.
        RunError: if it cannot be built.
    """
    values = {
        "dim": dim,
        "classes": len(CAPTIONS),
        "captions": CAPTIONS,
        "seed": 0,
        "train_features": lambda: features(len(CAPTIONS)),
        "remember": remember,
    }
    how = made("encoder", encoder, params=params, catalog=catalog, values=values)
    kind = how.spec.modality if isinstance(how.spec, EncoderSpec) else modality
    if kind not in ("image", "text"):
        raise InputError("a live encoder does not tell its modality", hint="Give modality='image' or 'text'.")
    return run_checks("encoder", how.name, ENCODER_CHECKS, Subject(made=how, modality=kind, dim=dim))


ENCODER_CHECKS: Mapping[str, Check[Subject]] = {
    "shapes": Check(
        summary="finite embeddings of shape (batch, dim), of ordinary and of odd inputs",
        where="prepare() for the shape of its tensors, forward() for padding, empty inputs and squeezed dimensions",
        run=encoder_checks.shapes,
    ),
    "passport": Check(
        summary="an image encoder tells what of an image it sees at test time, and at which size",
        where="__init__(): self.preprocessing = 'centre square, 224 pixels'; test_view, where it is set",
        run=encoder_checks.told,
    ),
    "preparation": Check(
        summary="test inputs are always prepared alike, training views follow from torch's random state",
        where="prepare(): what it draws, from where, and what it changes in place",
        run=encoder_checks.preparation,
    ),
    "modes": Check(
        summary="in evaluation mode nothing is drawn and no state moves",
        where="train() if it is overridden; functional.dropout without training=self.training; running statistics",
        run=encoder_checks.modes,
    ),
    "determinism": Check(
        summary="the same weights and the same training step from the same seed",
        where="initial weights and dropout that are drawn from other random states than torch's global one",
        run=encoder_checks.determinism,
    ),
    "variable batch": Check(
        summary="an input's embedding does not depend on its batch",
        where="statistics over the batch in evaluation mode, padding that counts, squeeze() and a fixed batch size",
        run=encoder_checks.batches,
    ),
    "gradient": Check(
        summary="a training step of two inputs reaches its parameters",
        where="detach, no_grad and inference_mode in forward()",
        run=encoder_checks.gradient,
    ),
    "state": Check(
        summary="the same embeddings after its state was stored and loaded",
        where="tables and vocabularies that are drawn and no buffers: register_buffer keeps them",
        run=encoder_effects.state,
    ),
    "frozen part": Check(
        summary="a cached frozen part and the head make what the encoder makes",
        where="frozen_part(), head(), and view(), compute() and key of the part",
        run=frozen.frozen_part,
    ),
    "global state": Check(
        summary=UNTOUCHED,
        where=ADVICE,
        run=encoder_effects.global_state,
    ),
}
"""Name -> check, in the order in which they are run."""
