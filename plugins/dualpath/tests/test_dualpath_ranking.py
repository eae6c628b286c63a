"""Ranking loss against plain loops: every kind of negative, masks of equal groups, gradients, errors."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from harness.api import Mining, ParameterError, Reporting, TrainingError
from harness_dualpath import ranking
from harness_dualpath.instance import InstanceLoss
from harness_dualpath.ranking import RankingLoss

DIM = 5
KINDS = ("random", "hardest", "mined")


def batch(size: int = 6, seed: int = 0, groups: list[int] | None = None) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    group = torch.tensor(groups) if groups else torch.arange(size)
    return torch.randn(size, DIM), torch.randn(size, DIM), group


def cosine(a: list[float], b: list[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def hinge(margin: float, positive: float, negative: float) -> float:
    return max(0.0, margin - (positive - negative))


def choices(anchor: int, group: list[int], rows: range) -> list[int]:
    return [row for row in rows if group[row] != group[anchor]]


def hardest_oracle(image: Tensor, text: Tensor, group: Tensor, margin: float) -> float:
    """Compute the loss of hardest negatives by its definition: the largest hinge of all negatives."""
    images, texts, groups = image.tolist(), text.tolist(), group.tolist()
    total = 0.0
    for a in range(len(groups)):
        own, others = cosine(images[a], texts[a]), choices(a, groups, range(len(groups)))
        total += max(hinge(margin, own, cosine(images[a], texts[n])) for n in others)
        total += max(hinge(margin, own, cosine(images[n], texts[a])) for n in others)
    return total / len(groups)


def drawn_oracle(image: Tensor, text: Tensor, group: Tensor, margin: float) -> tuple[Tensor, float]:
    """Return every value that randomly drawn negatives can give, and their expectation."""
    images, texts, groups = image.tolist(), text.tolist(), group.tolist()
    terms = []
    for a in range(len(groups)):
        own, others = cosine(images[a], texts[a]), choices(a, groups, range(len(groups)))
        terms.append([hinge(margin, own, cosine(images[a], texts[n])) for n in others])
        terms.append([hinge(margin, own, cosine(images[n], texts[a])) for n in others])
    values = torch.tensor([sum(one) / len(groups) for one in product(*terms)])
    return values, sum(sum(term) / len(term) for term in terms) / len(groups)


@pytest.mark.parametrize("groups", [None, [3, 1, 3, 0, 1, 7]], ids=["all differ", "images twice"])
@pytest.mark.parametrize("seed", range(4))
def test_hardest_negatives_equal_plain_loops(groups: list[int] | None, seed: int) -> None:
    image, text, group = batch(seed=seed, groups=groups)
    for margin in (0.2, 1.0):
        value = RankingLoss(margin=margin, negatives="hardest")(image, text, group)
        assert float(value) == pytest.approx(hardest_oracle(image, text, group, margin), rel=1e-5)


@pytest.mark.parametrize("groups", [[0, 1, 2], [4, 4, 1, 2]], ids=["all differ", "an image twice"])
def test_random_negatives_are_drawn_evenly_from_other_images(groups: list[int]) -> None:
    image, text, group = batch(len(groups), seed=2, groups=groups)
    loss = RankingLoss(margin=0.5)
    possible, expected = drawn_oracle(image, text, group, 0.5)
    torch.manual_seed(0)
    values = torch.stack([loss(image, text, group) for _ in range(1000)])
    apart = (values[:, None] - possible).abs()
    assert apart.min(1).values.max() < 1e-5
    assert (apart.min(0).values < 1e-5).float().mean() > 0.5
    assert float(values.mean()) == pytest.approx(expected, rel=0.02)


def mined_terms(
    loss: RankingLoss, seed: int, groups: list[int], candidate_groups: list[int]
) -> tuple[float, list[list[float]], Tensor]:
    """Run the two calls of a step; return its loss, the terms it may be made of, and the rows that were mined.

    The first list holds the sum over the hardest candidates, the others the wrong images of each anchor.
    """
    image, text, group = batch(len(groups), seed=seed, groups=groups)
    candidates, theirs = torch.randn(len(candidate_groups), DIM), torch.tensor(candidate_groups)
    rows = loss.mine(image, group, candidates, theirs)
    torch.manual_seed(seed)
    value = float(loss(image, text, group, candidates[rows]))
    images, texts, wrong = image.tolist(), text.tolist(), candidates.tolist()
    count = len(groups) // 2
    terms, hardest = [], 0.0
    for a in range(count):
        own = cosine(images[a], texts[a])
        cosines = [cosine(images[a], row) for row, g in zip(wrong, theirs, strict=True) if g != groups[a]]
        hardest += max(hinge(loss.margin, own, one) for one in cosines)
        rest = choices(a, groups, range(count, len(groups))) or choices(a, groups, range(count))
        terms.append([hinge(loss.margin, own, cosine(images[n], texts[a])) for n in rest])
    return value * count, [[hardest], *terms], rows


@pytest.mark.parametrize(
    "groups", [[5, 4, 3, 2, 1, 0], [5, 4, 4, 4, 5, 0]], ids=["all differ", "images twice"]
)
@pytest.mark.parametrize("seed", range(4))
def test_mined_negatives_equal_plain_loops(groups: list[int], seed: int) -> None:
    loss = RankingLoss(margin=0.7, negatives="mined", candidates=9)
    value, terms, rows = mined_terms(loss, seed, groups, [5, 5, 4, 4, 3, 9, 9, 8, 0])
    assert rows.shape == (3,)
    assert rows.dtype == torch.int64
    assert any(value == pytest.approx(sum(one), rel=1e-5) for one in product(*terms))


def test_wrong_images_of_mined_negatives_are_drawn_from_all_the_rest() -> None:
    image, text, group = batch(8)
    loss, drawn = RankingLoss(negatives="mined", margin=3.0), torch.zeros(8, dtype=torch.int64)
    torch.manual_seed(0)
    for _ in range(200):
        images = image.clone().requires_grad_()
        loss(images, text, group, torch.randn(4, DIM)).backward()
        assert images.grad is not None
        drawn += images.grad.abs().sum(1) > 0
    # An anchor's own image always has a gradient, one of the rest where it is drawn: 1 - (3/4)^4 of the time.
    assert drawn[:4].tolist() == [200] * 4
    assert all(100 < count < 175 for count in drawn[4:].tolist())


def test_where_all_are_anchors_wrong_images_are_drawn_from_them() -> None:
    image, text, group = batch(3)
    loss, mined = RankingLoss(negatives="mined", anchors=1.0, margin=0.5), torch.zeros(3, DIM)
    pairs = list(zip(image.tolist(), text.tolist(), strict=True))
    terms = [[hinge(0.5, cosine(*pair), 0.0)] for pair in pairs]
    for a, (picture, caption) in enumerate(pairs):
        wrong = [pairs[n][0] for n in choices(a, [0, 1, 2], range(3))]
        terms.append([hinge(0.5, cosine(picture, caption), cosine(other, caption)) for other in wrong])
    possible = torch.tensor([sum(one) / 3 for one in product(*terms)])
    values = torch.stack([loss(image, text, group, mined) for _ in range(40)])
    assert (values[:, None] - possible).abs().min(1).values.max() < 1e-5


def test_only_mined_negatives_ask_for_candidates() -> None:
    losses = {kind: RankingLoss(negatives=kind, candidates=7) for kind in KINDS}  # type: ignore[arg-type]
    assert all(isinstance(loss, Mining) and isinstance(loss, Reporting) for loss in losses.values())
    assert [losses[kind].candidates for kind in KINDS] == [0, 0, 7]
    assert RankingLoss(negatives="mined").candidates == 256
    assert RankingLoss(candidates=0).candidates == 0


@pytest.mark.parametrize(
    ("anchors", "size", "count"), [(0.5, 32, 16), (0.1, 4, 1), (1.0, 5, 5), (0.3, 10, 3), (0.5, 2, 1)]
)
def test_anchors_are_the_first_of_the_batch(anchors: float, size: int, count: int) -> None:
    image, text, group = batch(size)
    loss = RankingLoss(negatives="mined", anchors=anchors)
    candidates, theirs = torch.randn(11, DIM), torch.arange(100, 111)
    rows = loss.mine(image, group, candidates, theirs)
    cosines = torch.nn.functional.cosine_similarity(image[:count, None], candidates[None], dim=2)
    assert rows.tolist() == cosines.argmax(1).tolist()
    assert loss(image, text, group, candidates[rows]).isfinite()


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_equals_finite_differences(kind: Any) -> None:
    loss = RankingLoss(margin=0.4, negatives=kind)
    image, text, group = batch(groups=[0, 1, 2, 1, 4, 5])
    inputs = [image.double(), text.double(), *([torch.randn(3, DIM).double()] if kind == "mined" else [])]

    def value(image: Tensor, text: Tensor, *mined: Tensor) -> Tensor:
        torch.manual_seed(3)
        result: Tensor = loss(image, text, group, *mined)
        return result

    assert torch.autograd.gradcheck(value, [part.requires_grad_() for part in inputs])


def test_gradients_of_a_weighted_sum_are_the_sum_of_its_parts() -> None:
    image, text, group = (t.requires_grad_() if t.is_floating_point() else t for t in batch())
    ranking = RankingLoss(negatives="hardest")
    instance = InstanceLoss(dim=DIM, classes=6, dropout=0.0, text_weight=0.1)

    def gradients(term: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(term, (image, text))

    parts = [gradients(ranking(image, text, group)), gradients(instance(image, text, group))]
    whole = gradients(2 * ranking(image, text, group) + instance(image, text, group))
    for total, first, second in zip(whole, *parts, strict=True):
        torch.testing.assert_close(total, 2 * first + second)
        assert total.abs().min() > 0


@pytest.mark.parametrize("groups", [None, [0, 1, 1, 3, 4, 0]])
def test_hardest_negatives_do_not_depend_on_the_order_of_the_batch(groups: list[int] | None) -> None:
    image, text, group = batch(groups=groups)
    loss, order = RankingLoss(negatives="hardest"), torch.randperm(6)
    torch.testing.assert_close(loss(image[order], text[order], group[order]), loss(image, text, group))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 3])
def test_a_batch_without_negatives_is_named(kind: Any, size: int) -> None:
    image, text, group = batch(groups=[2] * 6)
    loss, mined = RankingLoss(negatives=kind), [text[: max(1, round(size / 2))]] if kind == "mined" else []
    with pytest.raises(TrainingError, match=r"pair 1 of the batch has no negative.*same training image"):
        loss(image[:size], text[:size], group[:size], *mined)


def test_candidates_of_the_own_image_alone_are_named() -> None:
    image, text, group = batch(groups=[1, 2, 2, 2])
    with pytest.raises(TrainingError, match="pair 2 of the batch has no negative: all 4 pairs or captions"):
        RankingLoss(negatives="mined").mine(image[:4], group, text[:4], torch.full((4,), 2))


@pytest.mark.parametrize("mined", [[], [torch.zeros(2, DIM)]])
def test_mined_negatives_need_what_was_mined(mined: list[Tensor]) -> None:
    with pytest.raises(TrainingError, match=f"each of 3 anchors, and got {len(mined) * 2}"):
        RankingLoss(negatives="mined")(*batch(), *mined)


@pytest.mark.parametrize(
    "wrong",
    [
        {"margin": 0.0},
        {"margin": math.nan},
        {"margin": math.inf},
        {"negatives": "hard"},
        {"anchors": 0.0},
        {"anchors": 1.5},
        {"candidates": -1},
        {"candidates": 0, "negatives": "mined"},
    ],
)
def test_wrong_parameters_are_named(wrong: dict[str, Any]) -> None:
    name, value = next(iter(wrong.items()))
    with pytest.raises(ParameterError, match=f"parameter '{name}' is {value!r}"):
        RankingLoss(**wrong)


@pytest.mark.parametrize("kind", [*KINDS, "instance"])
def test_a_loss_reads_nothing_back_from_its_device(kind: str) -> None:
    # A fake tensor has no numbers: what reads one, where a GPU would have to be waited for, fails.
    with FakeTensorMode(), torch.device("cuda"):
        made = InstanceLoss(classes=9, dim=DIM) if kind == "instance" else RankingLoss(negatives=kind)
        loss: Any = made.train()
        image, text = (torch.ones(6, DIM, device="cuda") for _ in "it")
        group, more = torch.arange(6, device="cuda"), []
        if kind == "mined":
            candidates = torch.ones(20, DIM, device="cuda")
            more = [candidates[loss.mine(image, group, candidates, torch.arange(20, device="cuda"))]]
        assert loss(image, text, group, *more).device.type == "cuda"
        assert {figure.device.type for figure in loss.figures().values()} == {"cuda"}


def test_without_negatives_the_loss_is_nan_where_no_error_can_be_told_in_time() -> None:
    # As a GPU has it, where reading what is lacking back would stop every step.
    scores, allowed = torch.tensor([[0.1, 0.9], [0.3, 0.2]]), torch.tensor([[True, True], [True, False]])
    chosen = ranking._highest(scores, allowed)
    assert chosen.tolist() == [1, 0]
    rows = ranking._rows(torch.eye(2, requires_grad=True), torch.tensor([1, -1]))
    assert rows[0].tolist() == [0.0, 1.0]
    assert rows[1].isnan().all()
