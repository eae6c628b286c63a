"""What both paths are made of: the paper's initialisation, its batch normalisation and the last layer."""

from __future__ import annotations

import math

from torch import Tensor, nn

EPSILON = 1e-3
"""Of every new batch normalisation; PyTorch's default is 1e-5."""


def bound(fan_in: int) -> float:
    """Return the paper's bound of a uniform initialisation: sqrt(3 / fan_in), a variance of 1 / fan_in."""
    return math.sqrt(3.0 / fan_in)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear layer without bias, uniform in +-sqrt(3 / inputs)."""
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.uniform_(layer.weight, -bound(inputs), bound(inputs))
    return layer


def norm(channels: int) -> nn.BatchNorm1d:
    """Return batch normalisation over (batch, channels)."""
    return nn.BatchNorm1d(channels, eps=EPSILON)


class Embed(nn.Module):
    """End a path: Linear(no bias) -> BN -> ReLU.

    Args:
        inputs: width of the features.
        dim: size of the common embedding.
        relu: whether the ReLU is there at all.
        test_before_relu: leave it out in evaluation mode, as the paper's test features do.
    """

    def __init__(self, inputs: int, dim: int, *, relu: bool, test_before_relu: bool) -> None:
        super().__init__()
        self.linear = linear(inputs, dim)
        self.norm = norm(dim)
        self.relu, self.test_before_relu = relu, test_before_relu

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, inputs) to (batch, dim)."""
        if self.training or not self.test_before_relu:
            return self.as_trained(features)
        output: Tensor = self.norm(self.linear(features))
        return output

    def as_trained(self, features: Tensor) -> Tensor:
        """Map (batch, inputs) to (batch, dim), ending as in training, whatever the mode."""
        output: Tensor = self.norm(self.linear(features))
        return output.relu() if self.relu else output
