"""Instance loss against plain loops, and its gradient against finite differences."""

from __future__ import annotations

import math

import pytest
import torch

from harness.api import ParameterError, Reporting
from harness_dualpath import instance
from harness_dualpath.instance import InstanceLoss


def build(**parameters: object) -> InstanceLoss:
    torch.manual_seed(0)
    given: dict[str, object] = {"dim": 6, "classes": 11, "dropout": 0.0, **parameters}
    loss = InstanceLoss(**given)  # type: ignore[arg-type]
    if loss.bias is not None:
        torch.nn.init.uniform_(loss.bias, -1, 1)
    return loss


def batch(size: int = 7) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(size, 6), torch.randn(size, 6), torch.randint(0, 11, (size,))


def oracle(loss: InstanceLoss, features: torch.Tensor, group: torch.Tensor) -> dict[str, float]:
    """Compute cross-entropy and accuracies of one path with plain loops."""
    weight = loss.weight.tolist()
    bias = [0.0] * len(weight) if loss.bias is None else loss.bias.tolist()
    entropy, first, fifth = 0.0, 0, 0
    for row, target in zip(features.tolist(), group.tolist(), strict=True):
        logits = [
            sum(w * x for w, x in zip(ws, row, strict=True)) + b for ws, b in zip(weight, bias, strict=True)
        ]
        entropy += math.log(sum(math.exp(value) for value in logits)) - logits[target]
        better = sum(value > logits[target] for value in logits)
        first += better < 1
        fifth += better < 5
    return {"ce": entropy / len(group), "top1": first / len(group), "top5": fifth / len(group)}


@pytest.mark.parametrize("bias", [False, True])
def test_equals_plain_loops(bias: bool) -> None:
    loss = build(bias=bias, image_weight=0.5, text_weight=2.0)
    loss.weight.data *= 20
    image, text, group = batch(40)
    value = loss(image, text, group)
    expected = {"image": oracle(loss, image, group), "text": oracle(loss, text, group)}
    assert float(value.detach()) == pytest.approx(
        0.5 * expected["image"]["ce"] + 2 * expected["text"]["ce"], rel=1e-5
    )
    assert isinstance(loss, Reporting)
    figures = {name: float(figure) for name, figure in loss.figures().items()}
    flat = {f"{path}_{name}": figure for path, parts in expected.items() for name, figure in parts.items()}
    assert figures == pytest.approx(flat, rel=1e-5)
    assert all(figure.shape == () and not figure.requires_grad for figure in loss.figures().values())


def test_gradient_equals_finite_differences() -> None:
    loss = build(image_weight=0.3, smoothing=0.1).double()
    image, text, group = (t.double().requires_grad_() if t.is_floating_point() else t for t in batch())

    def value(*inputs: torch.Tensor) -> torch.Tensor:
        image, text, weight, bias = inputs
        parameters = {"weight": weight, "bias": bias}
        return torch.func.functional_call(loss, parameters, (image, text, group))

    assert torch.autograd.gradcheck(value, (image, text, loss.weight, loss.bias))


def test_starts_at_the_chance_of_all_classes() -> None:
    loss = InstanceLoss(dim=64, classes=500)
    assert float(loss.weight.detach().abs().max()) <= 0.1 * (3 / 64) ** 0.5
    assert float(loss.weight.detach().std()) == pytest.approx(0.1 / 8, rel=0.02)
    value = loss(torch.zeros(3, 64), torch.zeros(3, 64), torch.tensor([0, 1, 2]))
    assert float(value.detach()) == pytest.approx(2 * math.log(500))


def test_a_constant_classifier_is_never_right() -> None:
    loss = build(bias=False)
    loss.weight.data.zero_()
    loss(*batch())
    assert float(loss.figures()["image_top1"]) == float(loss.figures()["text_top5"]) == 0


def test_dropout_is_drawn_apart_for_either_path_in_training_only() -> None:
    loss, (image, _, group) = build(dropout=0.5), batch()
    loss.train()(image, image, group)
    assert loss.figures()["image_ce"] != loss.figures()["text_ce"]
    loss.eval()(image, image, group)
    assert loss.figures()["image_ce"] == loss.figures()["text_ce"]


@pytest.mark.parametrize(
    "wrong", [{"dropout": 1.0}, {"image_weight": -1.0}, {"smoothing": 2.0}, {"sampled": 0.0}]
)
def test_wrong_parameters_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match=next(iter(wrong.values())).__str__()):
        build(**wrong)


def test_sampled_classes_are_those_of_the_batch_and_others() -> None:
    loss, (_, _, group) = build(sampled=0.7), batch(4)
    counts = torch.zeros(11)
    for _ in range(300):
        drawn = loss._draw(group)
        assert drawn.tolist() == sorted(set(drawn.tolist()))
        assert len(drawn) == max(8, len(torch.unique(group)))
        assert set(group.tolist()) <= set(drawn.tolist())
        counts[drawn] += 1
    others = [row for row in range(11) if row not in group.tolist()]
    # The others share what is left evenly.
    share = (8 - len(torch.unique(group))) / len(others)
    assert torch.allclose(counts[others] / 300, torch.full((len(others),), share), atol=0.12)


@pytest.mark.parametrize("group", [[1, 0, 2, 0, 2, 0], [3, 3, 3, 3, 3, 3], [0, 1, 2, 3, 4, 5]])
def test_sampled_classes_are_as_many_as_asked_for_or_as_the_batch_has(group: list[int]) -> None:
    ids = torch.tensor(group)
    for sampled in (0.1, 0.25, 0.5, 0.9):
        loss = InstanceLoss(dim=2, classes=20, sampled=sampled)
        torch.manual_seed(3)
        drawn = loss._draw(ids)
        # Those of the batch first, then the highest draws.
        torch.manual_seed(3)
        order = torch.rand(20)
        present = torch.unique(ids)
        order[present] = 2.0
        count = max(round(sampled * 20), len(present))
        assert torch.equal(drawn, order.topk(count).indices.sort().values)


def test_a_sampled_step_is_that_of_a_classifier_of_the_drawn_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, (image, text, group) = build(sampled=0.5), batch()
    drawn = torch.unique(torch.cat([group, torch.tensor([0, 10])]))
    monkeypatch.setattr(loss, "_draw", lambda group: drawn)
    value = loss.train()(image, text, group)
    value.backward()
    small = InstanceLoss(dim=6, classes=len(drawn), dropout=0.0)
    small.weight.data, small.bias.data = loss.weight.data[drawn], loss.bias.data[drawn]
    expected = small(image, text, torch.searchsorted(drawn, group))
    expected.backward()
    assert torch.equal(value, expected)
    assert torch.equal(loss.weight.grad[drawn], small.weight.grad)
    left = [row for row in range(11) if row not in drawn.tolist()]
    assert not loss.weight.grad[left].any()
    # At test all classes count.
    whole = build()
    assert torch.equal(loss.eval()(image, text, group), whole(image, text, group))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("cached", [1, 100, 1 << 20])
def test_ranks_are_counted_in_parts_as_at_once(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, cached: int
) -> None:
    monkeypatch.setattr(instance, "CACHED", cached)
    draws = torch.Generator().manual_seed(0)
    # Few values, so that many tie with the target.
    logits = torch.randint(-9, 9, (7, 400), generator=draws).to(dtype)
    target = torch.randint(400, (7,), generator=draws)
    plain = [sum(row >= row[own]).item() - 1 for row, own in zip(logits, target, strict=True)]
    assert instance._others(logits, target).tolist() == plain
