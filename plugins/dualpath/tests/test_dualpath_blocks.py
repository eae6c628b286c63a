"""The residual blocks over words: their parameters, convolution, normalisation and initialisation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses
from torch import nn

from harness_dualpath.blocks import Conv, Norm, stack
from harness_dualpath.text import TextCNN


def test_parameters_of_the_paper() -> None:
    """36.3 million at Flickr30k's 20,074 words: the sum of the block table, row by row."""

    def block(inputs: int, a: int, b: int, c: int, *, projection: bool) -> int:
        convolutions = inputs * a + 2 * a * b + b * c + (inputs * c if projection else 0)
        return convolutions + 2 * (a + b + c + (c if projection else 0))  # scale and shift of each BN

    embed = 20_074 * 300 + 300 + 2 * 300
    a = block(300, 128, 128, 256, projection=True) + 2 * block(256, 64, 64, 256, projection=False)
    b = block(256, 512, 512, 512, projection=True) + 3 * block(512, 128, 128, 512, projection=False)
    c = block(512, 1024, 1024, 1024, projection=True) + 5 * block(1024, 256, 256, 1024, projection=False)
    d = block(1024, 2048, 2048, 2048, projection=True)
    head = 2048 * 2048 + 2 * 2048
    assert (embed, a, b, c, d, head) == (6_023_100, 265_728, 1_548_800, 7_494_656, 16_793_600, 4_198_400)
    with torch.device("meta"):
        blocks, features = stack(300, (3, 4, 6, 1), 1.0)
    assert features == 2048
    assert sum(p.numel() for block in blocks for p in block.parameters()) == a + b + c + d
    model = TextCNN(dim=2048, captions=[" ".join(f"w{k}" for k in range(20_074))])
    trained = sum(p.numel() for p in model.parameters())
    padding = 300  # the row of zeros stands in for the bias-only output of a one-hot convolution
    assert trained - padding == embed + a + b + c + d + head == 36_324_284


@pytest.mark.parametrize("kernel", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("length", [1, 7, 8])
def test_convolution_equals_torchs_with_one_zero_on_the_left(kernel: int, stride: int, length: int) -> None:
    torch.manual_seed(0)
    conv, words = Conv(5, 3, kernel=kernel, stride=stride), torch.randn(2, length, 5)
    # (outputs, kernel * inputs) -> (outputs, inputs, kernel)
    weight = conv.weight.view(3, kernel, 5).permute(0, 2, 1)
    padded = F.pad(words.transpose(1, 2), (kernel - 1, 0))
    expected = F.conv1d(padded, weight, stride=stride).transpose(1, 2)
    assert torch.allclose(conv(words), expected, atol=1e-6)


def test_normalisation_is_over_batch_and_words() -> None:
    torch.manual_seed(0)
    words = torch.randn(4, 6, 5)
    oracle = nn.BatchNorm1d(5, eps=1e-3)
    assert torch.allclose(Norm(5)(words), oracle(words.transpose(1, 2)).transpose(1, 2), atol=1e-5)


def test_initialisation_is_uniform_with_the_variance_of_the_fan_in() -> None:
    torch.manual_seed(0)
    weight = Conv(200, 100, kernel=2).weight.detach()
    assert float(weight.abs().max()) <= (3 / 400) ** 0.5
    assert float(weight.std()) == pytest.approx(400**-0.5, rel=0.02)
