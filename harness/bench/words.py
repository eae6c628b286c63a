"""Parts of a step that the text path stands for: the first layer, and the captions that losses mine."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.bench.contest import Contender, Rounds, contest
from harness.bench.report import Group, Ratio
from harness.bench.training import Photo, Recipe
from harness.errors import RunError
from harness.inputs import derive
from harness.protocols import Mining

WORDS, WIDTH = 20_074, 300
"""Of Flickr30k's vocabulary with word2vec, in the paper."""
LOOKUP, ONE_HOT = "embedding lookup", "one-hot and a 1 x 1 convolution"
STEP, MINED = "a whole step", "choosing its mined captions"
IMAGES, CLASSES = 64, 6000


def lookup(how: Rounds, *, batch: int, length: int, words: int = WORDS, width: int = WIDTH) -> Group:
    """Time the first layer of the text path, forward and backward: rows of a table, and the paper's one-hot vectors.

    Raises:
        RunError: if they give different words or gradients.
    """
    import torch
    import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses

    device = how.workspace.device
    draws = torch.Generator().manual_seed(derive(0, "bench", "lookup"))
    ids = torch.randint(0, words, (batch, length), generator=draws).to(device)
    table = torch.randn(words, width, generator=draws).to(device).requires_grad_()
    direction = torch.randn(batch, length, width, generator=draws).to(device)

    def passed(embed: Any) -> tuple[Any, Any]:
        table.grad = None
        embedded = embed()
        embedded.backward(direction)
        return embedded.detach(), table.grad

    def one_hot() -> Any:
        pixels = torch.zeros(batch, words, 1, length, device=device)
        pixels.scatter_(1, ids[:, None, None, :], 1.0)
        return F.conv2d(pixels, table.T[:, :, None, None]).squeeze(2).transpose(1, 2)

    def check(found: Mapping[str, Any]) -> None:
        for place, what in enumerate(("embeddings", "gradients")):
            ours, theirs = found[LOOKUP][place], found[ONE_HOT][place]
            if not torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4):
                raise RunError(f"the {what} of lookup and one-hot vectors differ")

    return contest(
        f"{words:,} words of {width} numbers, {batch} captions of {length}",
        [
            Contender(name=LOOKUP, call=lambda: passed(lambda: F.embedding(ids, table))),
            Contender(name=ONE_HOT, call=lambda: passed(one_hot)),
        ],
        how,
        ratios=[Ratio(over=ONE_HOT, under=LOOKUP)],
        check=check,
        unit="captions",
        amount=batch,
    )


def mining(
    how: Rounds, recipe: Recipe, stage_name: str, *, images: int = IMAGES, classes: int = CLASSES
) -> list[Group]:
    """Time what a stage's losses mine within a step: nothing if none does.

    Args:
        images: photographs that are generated, whose captions are the candidates.
        classes: of a loss that classifies.
    """
    stage = recipe.stage(stage_name)
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        photo = Photo(recipe, stage, how.workspace, Path(folder), images, classes)
        loss = next((loss for loss in photo.model.losses.values() if _mines(loss)), None)
        if loss is None:
            return []
        part = photo.frozen_part()
        trainer = photo.trainer(photo.pixels() if part is None else photo.features(part, photo.home))
        trainer.model.root.train()
        batch = next(trainer.batches())
        image = trainer.step.embed_image(batch.images).detach()

        def mined() -> Any:
            return trainer.step.mined(image, batch.groups, 1, 0)

        return [
            contest(
                f"stage {stage_name}: {min(loss.candidates, len(photo.texts))} candidates, batch of {trainer.size}",
                [
                    Contender(name=STEP, call=lambda: trainer.train(batch), weigh=False),
                    Contender(name=MINED, call=mined, weigh=False),
                ],
                how,
                ratios=[Ratio(over=MINED, under=STEP, most=0.3)],
            )
        ]


def _mines(loss: Any) -> bool:
    return isinstance(loss, Mining) and loss.candidates > 0
