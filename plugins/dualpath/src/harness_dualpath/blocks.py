"""Residual blocks over words.

All tensors are (batch, length, channels): a convolution is one matrix product, and nothing is transposed in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses
from torch import Tensor, nn

from harness_dualpath.layers import bound, norm


class Conv(nn.Module):
    """Convolve along the words, without bias; a kernel of 2 pads 1 on the left.

    Args:
        kernel: 1 or 2 words.
        stride: words from one output to the next.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.weight = nn.Parameter(torch.empty(outputs, kernel * inputs))
        limit = bound(kernel * inputs)
        nn.init.uniform_(self.weight, -limit, limit)

    def forward(self, words: Tensor) -> Tensor:
        """Map (batch, length, inputs) to (batch, ceil(length / stride), outputs)."""
        if self.kernel == 1:
            return F.linear(words[:, :: self.stride], self.weight)
        padded = F.pad(words, (0, 0, 1, 0))
        pairs = torch.cat([padded[:, : -1 : self.stride], padded[:, 1 :: self.stride]], dim=-1)
        return F.linear(pairs, self.weight)


class Norm(nn.Module):
    """Batch normalisation of the channels over batch and words."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)

    def forward(self, words: Tensor) -> Tensor:
        """Map (batch, length, channels) to the same shape."""
        output: Tensor = self.norm(words.flatten(0, 1))
        return output.view(words.shape)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One row of the block table: its first block's widths, and those of the blocks that repeat."""

    first: tuple[int, int, int]
    repeat: tuple[int, int, int]
    stride: int


STAGES = (
    Stage(first=(128, 128, 256), repeat=(64, 64, 256), stride=1),
    Stage(first=(512, 512, 512), repeat=(128, 128, 512), stride=2),
    Stage(first=(1024, 1024, 1024), repeat=(256, 256, 1024), stride=2),
    Stage(first=(2048, 2048, 2048), repeat=(512, 512, 2048), stride=1),
)
"""A, B, C, D of ResNet-50 dagger."""

COUNTS = {50: (3, 4, 6), 152: (3, 8, 36)}
"""Blocks of A, B and C by number of layers."""


class Bottleneck(nn.Module):
    """1-word, 2-word and 1-word convolutions beside a shortcut; ReLU after the sum.

    Args:
        inputs: channels that come in.
        widths: channels after each of the three convolutions.
        stride: of the 2-word convolution and the projection.
        projection: convolve the shortcut, too.
    """

    def __init__(self, inputs: int, widths: tuple[int, int, int], *, stride: int, projection: bool) -> None:
        super().__init__()
        first, second, outputs = widths
        self.stride = stride
        self.path = nn.Sequential(
            Conv(inputs, first),
            Norm(first),
            nn.ReLU(),
            Conv(first, second, kernel=2, stride=stride),
            Norm(second),
            nn.ReLU(),
            Conv(second, outputs),
            Norm(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if projection:
            self.shortcut = nn.Sequential(Conv(inputs, outputs, stride=stride), Norm(outputs))

    def forward(self, words: Tensor) -> Tensor:
        """Map (batch, length, inputs) to (batch, ceil(length / stride), outputs)."""
        output: Tensor = self.path(words) + self.shortcut(words)
        return output.relu()


def stack(inputs: int, counts: Sequence[int], width: float) -> tuple[list[Bottleneck], int]:
    """Build the stages.

    Args:
        inputs: channels of the embedding.
        counts: blocks of each stage, 1 to 4 stages of at least one block.
        width: multiplies every number of channels.

    Returns:
        The blocks and the number of channels that come out.
    """
    blocks = []
    for stage, count in zip(STAGES, counts, strict=False):
        for number in range(count):
            a, b, c = stage.first if number == 0 else stage.repeat
            widths = (_scaled(a, width), _scaled(b, width), _scaled(c, width))
            stride = stage.stride if number == 0 else 1
            blocks.append(Bottleneck(inputs, widths, stride=stride, projection=number == 0))
            inputs = widths[-1]
    return blocks, inputs


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))
