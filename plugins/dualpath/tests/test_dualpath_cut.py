"""Where the traced computation of a network is cut, and where it is not."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness_dualpath.backbone import create
from harness_dualpath.prefix import Cut, find_cut


class Custom(nn.Module):
    """A small network around a forward pass of its own."""

    def __init__(self, body: Callable[[Custom, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 1)
        self.drop, self.norm, self.body = nn.Dropout(0.5), nn.BatchNorm2d(4, affine=False), body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self, x)


def custom(body: Callable[[Custom, Tensor], Tensor], *, norm_trains: bool = True) -> Cut | None:
    torch.manual_seed(0)
    model = Custom(body)
    modes = [module.training for module in model.modules()]
    sample = torch.rand(3, 3, 6, 6)
    trained = {"second.weight", "second.bias"}
    cut = find_cut(model, trained, sample, largest=10**6, other_than=(5,), norm_trains=norm_trains)
    assert [module.training for module in model.modules()] == modes
    return cut


def test_a_graph_is_cut_where_one_tensor_crosses() -> None:
    def pooled(x: Tensor) -> Tensor:
        return x.mean((2, 3))

    plain = custom(lambda m, x: pooled(m.second(m.first(x).relu())))
    assert plain is not None
    assert plain.name == "relu"
    # The input crosses, too; the size of a batch is no tensor.
    assert custom(lambda m, x: pooled(m.second(m.first(x)) + x.sum(1, keepdim=True))) is None
    fork = custom(lambda m, x: pooled((y := m.first(x)).mean(1, True) + m.second(y.relu() + y.sigmoid())))
    assert fork is not None
    assert fork.name == "first"
    sized = custom(lambda m, x: m.second(m.first(x)).flatten(1).view(x.shape[0], -1))
    assert sized is None


def test_what_differs_in_training_is_no_prefix() -> None:
    def dropped(m: Custom, x: Tensor) -> Tensor:
        return m.second(m.drop(m.first(x))).mean((2, 3))

    def normalised(m: Custom, x: Tensor) -> Tensor:
        return m.second(m.norm(m.first(x))).mean((2, 3))

    def functional(m: Custom, x: Tensor) -> Tensor:
        return m.second(nn.functional.dropout(m.first(x), 0.5, m.training)).mean((2, 3))

    cuts = [custom(dropped), custom(normalised), custom(normalised, norm_trains=False)]
    assert [cut and cut.name for cut in cuts] == ["first", "first", "norm"]
    assert custom(functional) is None


def test_a_model_that_cannot_be_traced_has_no_prefix() -> None:
    def branching(m: Custom, x: Tensor) -> Tensor:
        y = m.first(x)
        return m.second(y if y.sum() > 0 else -y).mean((2, 3))

    def mixing(m: Custom, x: Tensor) -> Tensor:  # inputs of a batch are not apart
        return m.second(m.first(x)).mean((2, 3)).cumsum(0)

    assert custom(branching) is None
    assert custom(mixing) is None
    assert custom(lambda m, x: m.second(m.first(x)[:1]).mean((2, 3))) is None


def test_the_laptop_profile_is_cut_after_its_frozen_blocks() -> None:
    torch.manual_seed(0)
    model = create("tf_efficientnet_lite0", None)
    trained = {n for n, _ in model.named_parameters() if n.startswith(("blocks.6", "conv_head", "bn2"))}
    cut = find_cut(
        model, trained, torch.rand(2, 3, 224, 224), largest=10**5, other_than=(1280,), norm_trains=True
    )
    assert cut is not None
    assert (cut.name, cut.shape) == ("blocks_5", (192, 7, 7))
    assert not any(name in trained for name, _ in cut.prefix.named_parameters())
    assert {name for name, _ in cut.suffix.named_parameters()} == trained
