"""What mining costs a step of the real text path, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from harness.build import build
from harness.catalog import Catalog
from harness.inputs import FeatureInputs, prepare_captions
from harness.model import Model
from harness.plan import Part
from harness.protocols import Record, Split
from harness.step import Batch, Numerics, Step

COLOURS = ("red", "green", "blue", "black", "white", "grey")
RECORDS = tuple(
    Record(image=f"i{k}", split="train", captions=tuple(f"a {one} dog and {other}" for other in COLOURS[:3]))
    for k, one in enumerate(COLOURS)
)
BATCH, CANDIDATES, LENGTH = 4, 12, 9


class Head(nn.Module):
    """The image path, on cached features."""

    def __init__(self) -> None:
        super().__init__()
        self.top = nn.Linear(5, 8)

    def head(self, features: torch.Tensor) -> torch.Tensor:
        return self.top(features).relu()


def part(use: str, **params: Any) -> Part:
    return Part(name=use, use=use, params=params, revision=1)


def step(precision: str = "32-true", candidates: int = CANDIDATES) -> tuple[Step, Batch]:
    """Return a step of the ranking loss over a small text path with the paper's test features, and a batch."""
    catalog, split = Catalog.load(), Split("train", RECORDS)
    torch.manual_seed(0)
    own = {"blocks": [1, 1], "width": 0.0625, "embedding_dim": 16, "length": LENGTH, "test_position": "all"}
    text = build(part("text-cnn", **own), "encoder", catalog, dim=8, captions=split.captions, seed=0)
    loss = build(part("ranking", negatives="mined", candidates=candidates), "loss", catalog)
    root = nn.ModuleDict({"image": Head(), "text": text, "loss": nn.ModuleDict({"ranking": loss})})
    model = Model(root.train(), {"ranking": 1.0})
    features = torch.randn(1, len(RECORDS), 5, generator=torch.Generator().manual_seed(1))
    texts = prepare_captions(text, split.captions, "cpu")
    made = Step(model, FeatureInputs(features), split, texts, seed=0, numerics=Numerics(precision=precision))
    rows = torch.arange(BATCH)
    return made, Batch(images=features[0, rows], texts=texts[3 * rows], groups=rows)


def test_candidates_cost_one_pass_whatever_the_test_features_cost() -> None:
    made, batch = step()
    text, passes = made.model.text, list[tuple[bool, int]]()
    text.embedding.register_forward_hook(lambda m, inputs, _: passes.append((m.training, len(inputs[0]))))
    made.terms(batch, 1, 0)
    # The candidates, and the batch with the captions that its anchors, half of it, took.
    assert passes == [(False, CANDIDATES), (True, BATCH + BATCH // 2)]
    assert text.training
    passes.clear()
    text.eval()(batch.texts)
    assert sum(size for _, size in passes) > 2 * BATCH


def test_mining_moves_no_statistics_and_leaves_no_gradient() -> None:
    made, batch = step()
    before = {name: tensor.clone() for name, tensor in made.model.root.state_dict().items()}
    state = torch.get_rng_state()
    loss = made.model.losses["ranking"]
    image = made.embed_image(batch.images)
    rows = made._mine("ranking", loss, image.detach(), batch.groups, 1, 0)
    assert len(rows) == BATCH // 2
    after = made.model.root.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.grad is None for parameter in made.model.root.parameters())
    assert torch.get_rng_state().equal(state)
    # What the step then does moves both.
    made.terms(batch, 1, 0)["ranking"].backward()
    moved = {name for name, tensor in made.model.root.state_dict().items() if not tensor.equal(before[name])}
    assert "text.projection.norm.running_mean" in moved


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_text_path_has_gradients_where_captions_are_mined(precision: str) -> None:
    """Under autocast, weights cast without gradient while mining must not serve the pass that trains."""
    made, batch = step(precision)
    made.terms(batch, 1, 0)["ranking"].backward()
    for name, parameter in made.model.root.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert all(
        parameter.grad.abs().sum() > 0
        for name, parameter in made.model.root.named_parameters()
        if name.endswith("weight") and parameter.grad is not None
    )
    assert made.model.text.projection.linear.weight.grad.dtype == torch.float32


def test_the_caption_that_is_mined_is_the_highest_of_the_drafts() -> None:
    made, batch = step(candidates=len(RECORDS) * 3)  # all that there are
    model = made.model
    image = made.embed_image(batch.images).detach()
    found = made._mine("ranking", model.losses["ranking"], image, batch.groups, 2, 5)
    model.text.eval()
    with torch.no_grad():
        cosines = nn.functional.normalize(image) @ nn.functional.normalize(model.text.draft(made.texts)).T
    assert len(found) == BATCH // 2
    for anchor, row in enumerate(found):
        others = [k for k in range(len(made.texts)) if int(made.caption_image[k]) != anchor]
        highest = max(others, key=lambda k: float(cosines[anchor, k]))
        assert torch.equal(row, made.texts[highest])
