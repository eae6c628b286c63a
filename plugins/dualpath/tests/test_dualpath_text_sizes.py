"""Shapes and parameter counts of the text path in the sizes that the paper and the profiles have."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses
from torch import nn

from harness_dualpath.blocks import COUNTS, stack
from harness_dualpath.text import TextCNN

CAPTIONS = ["a dog runs over the grass", "two dogs play with a red ball", "the man sees a dog"]
TABLE = (
    # inputs of the stage, first block, blocks that repeat
    (300, (128, 128, 256), (64, 64, 256)),
    (256, (512, 512, 512), (128, 128, 512)),
    (512, (1024, 1024, 1024), (256, 256, 1024)),
    (1024, (2048, 2048, 2048), (512, 512, 2048)),
)
"""The paper's block table, written down again."""


def parameters(counts: Sequence[int], width: float) -> int:
    """Add up convolutions without bias and two numbers a channel of each batch normalisation, row by row."""
    total = 0
    for (inputs, first, repeat), count in zip(TABLE, counts, strict=True):
        channels = inputs if inputs == 300 else int(inputs * width)
        for number in range(count):
            a, b, c = (int(k * width) for k in (first if number == 0 else repeat))
            total += channels * a + 2 * a * b + b * c + 2 * (a + b + c)
            if number == 0:
                total += channels * c + 2 * c
            channels = c
    return total


@pytest.mark.parametrize(
    ("counts", "width", "expected"),
    [
        ((*COUNTS[50], 1), 1.0, 265_728 + 1_548_800 + 7_494_656 + 16_793_600),
        ((*COUNTS[50], 3), 1.0, None),
        ((*COUNTS[152], 1), 1.0, None),
        ((*COUNTS[152], 3), 1.0, None),
        ((*COUNTS[50], 1), 0.25, None),
    ],
)
def test_parameters_and_shapes_of_every_depth_and_width(
    counts: tuple[int, ...], width: float, expected: int | None
) -> None:
    with torch.device("meta"):
        blocks, features = stack(300, counts, width)
        words = torch.empty(2, 32, 300)
        shapes = []
        for block in blocks:
            words = block(words)
            shapes.append(tuple(words.shape[1:]))
    assert features == int(2048 * width)
    found = sum(p.numel() for block in blocks for p in block.parameters())
    assert found == parameters(counts, width)
    assert expected in (None, found)
    stages = ((32, 256), (16, 512), (8, 1024), (8, 2048))
    assert shapes == [
        (length, int(channels * width))
        for (length, channels), count in zip(stages, counts, strict=True)
        for _ in range(count)
    ]


@pytest.mark.parametrize(
    ("given", "counts"),
    [
        ({"layers": 50}, (3, 4, 6, 1)),
        ({"layers": 50, "last_blocks": 3}, (3, 4, 6, 3)),
        ({"layers": 152}, (3, 8, 36, 1)),
        ({"layers": 152, "last_blocks": 3}, (3, 8, 36, 3)),
    ],
)
def test_the_encoder_is_embedding_blocks_and_head(given: dict[str, int], counts: tuple[int, ...]) -> None:
    """At a quarter of the width; the whole of it is in the sum of the block table at 20,074 words."""
    model = TextCNN(dim=64, captions=CAPTIONS, width=0.25, **given)  # type: ignore[arg-type]
    assert model.channels == 300
    embed = (len(model.vocabulary) + 1) * 300 + 300 + 2 * 300
    head = 512 * 64 + 2 * 64
    total = sum(p.numel() for p in model.parameters())
    assert total == embed + parameters(counts, 0.25) + head


class OneHot(nn.Module):
    """The paper's embedding: a 1x1 convolution over one-hot words, padding all zero."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        # (words, channels) -> (channels, words, 1); the row of padding is no word.
        self.kernel = nn.Parameter(weight[1:].T.unsqueeze(-1).clone())

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        one_hot = F.one_hot(ids, self.kernel.shape[1] + 1)[..., 1:].to(self.kernel.dtype)
        return F.conv1d(one_hot.transpose(1, 2), self.kernel).transpose(1, 2)


@pytest.mark.parametrize("training", [False, True])
def test_a_path_over_one_hot_words_has_the_same_output_and_gradient(training: bool) -> None:
    outputs, gradients = [], []
    for one_hot in (False, True):
        torch.manual_seed(0)
        model = TextCNN(dim=8, captions=CAPTIONS, width=0.0625, blocks=[2, 1], length=12).double()
        model.embedding_bias.data.uniform_(-1, 1)
        ids = torch.stack([model.prepare(caption, training=training) for caption in [*CAPTIONS, "unknown"]])
        weight = model.embedding.weight
        if one_hot:
            model.embedding = OneHot(weight.detach())  # type: ignore[assignment]
        torch.manual_seed(1)
        output = model.train(training)(ids)
        (output * torch.linspace(-1, 1, 8)).sum().backward()
        outputs.append(output)
        kernel = model.embedding.kernel.grad.squeeze(-1).T if one_hot else weight.grad[1:]  # type: ignore[union-attr, index]
        gradients.append(kernel)
    assert torch.allclose(*outputs, atol=1e-9)
    assert torch.allclose(*gradients, atol=1e-9)
    assert gradients[0].abs().max() > 1e-3
