"""The paper's test features: a caption embedded at every place that fits, summed."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses

import harness_dualpath.text as module
from harness_dualpath.text import TextCNN, every_start, shifted

CAPTIONS = ["a dog runs over the grass", "two dogs play", "", "the man sees a dog and a red ball " * 2, "dog"]
LENGTH = 12


def encoder(**parameters: object) -> TextCNN:
    """Build a small one whose output depends on where the words stand."""
    torch.manual_seed(0)
    given: dict[str, object] = {
        "dim": 8,
        "captions": CAPTIONS,
        "width": 0.0625,
        "length": LENGTH,
        "embedding_dim": 16,
        "blocks": [2, 1, 1],
        "test_position": "all",
    }
    model = TextCNN(**{**given, **parameters})  # type: ignore[arg-type]
    model.embedding.weight.data *= 4
    model.embedding_bias.data.uniform_(-1, 1)
    return model.eval()


def prepared(model: TextCNN) -> torch.Tensor:
    return torch.stack([model.prepare(caption, training=False) for caption in CAPTIONS])


def looped(model: TextCNN, ids: torch.Tensor) -> torch.Tensor:
    """Embed each caption alone at each place, with an encoder that has one place, and add."""
    model.test_position = "left"
    rows = []
    for row in ids:
        words = row[row > 0].tolist()
        total = torch.zeros(8)
        for start in range(LENGTH - len(words) + 1):
            placed = [0] * start + words + [0] * (LENGTH - len(words) - start)
            total += model(torch.tensor([placed]))[0]
        rows.append(total)
    model.test_position = "all"
    return torch.stack(rows)


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("before_relu", [False, True])
@pytest.mark.parametrize("at_once", [1, 7, 256])
def test_features_of_all_shifts_equal_an_explicit_loop(
    mask: bool, before_relu: bool, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHIFTED", at_once)
    model = encoder(mask=mask, test_before_relu=before_relu)
    ids = prepared(model)
    with torch.no_grad():
        found, expected = model(ids), looped(model, ids)
    assert found.shape == (len(CAPTIONS), 8)
    assert torch.allclose(found, expected, atol=1e-4)
    assert (found.min() < 0) == before_relu
    # Captions differ, and so do sum and single place: the comparison above says something.
    unit = F.normalize(found, dim=1)
    assert torch.pdist(unit).min() > 1e-3
    model.test_position = "left"
    if not mask:
        assert (F.normalize(model(ids), dim=1) - unit).norm(dim=1)[0] > 1e-2


def test_no_more_captions_are_embedded_at_once_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHIFTED", 5)
    model, sizes = encoder(), list[int]()
    model.embedding.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    ids = prepared(model)
    model(ids)
    assert max(sizes) == 5
    assert sum(sizes) == int((LENGTH - (ids > 0).sum(dim=1) + 1).sum())


def test_every_start_is_listed_once() -> None:
    caption, start = every_start(torch.tensor([3, 0, 4]), 4)
    assert list(zip(caption.tolist(), start.tolist(), strict=True)) == [
        *((0, 0), (0, 1)),
        *((1, k) for k in range(5)),
        (2, 0),
    ]


def test_gradients_reach_the_words_through_the_sum() -> None:
    model = encoder()
    model(prepared(model)).sum().backward()
    assert model.embedding.weight.grad is not None
    assert model.embedding.weight.grad.abs().sum() > 0


def test_training_has_one_random_place_whatever_the_test_has() -> None:
    summing, single = encoder(), encoder(test_position="left")
    ids = prepared(summing)
    single.load_state_dict(summing.state_dict())
    outputs = []
    for model in (summing, single):
        torch.manual_seed(3)
        outputs.append(model.train()(ids))
    assert torch.equal(*outputs)


def test_the_test_view_is_named_where_it_is_not_a_single_one() -> None:
    assert encoder().test_view == "all shifts"
    for position in ("left", "centre"):
        assert not hasattr(encoder(test_position=position), "test_view")


def test_a_word_at_an_end_that_the_stride_passes_over_has_a_finite_feature() -> None:
    """The last of an even number of places is seen by no 2-word convolution of stride 2; a mask must not mind."""
    model = encoder(mask=True, test_position="left")
    ids = torch.zeros(LENGTH, LENGTH, dtype=torch.int64).fill_diagonal_(1)
    for training in (False, True):
        assert torch.isfinite(model.train(training)._embedded(ids)).all()


def test_a_caption_that_fills_the_frame_has_one_place() -> None:
    model = encoder()
    ids = torch.randint(1, len(model.vocabulary) + 1, (3, LENGTH))
    with torch.no_grad():
        summed = model(ids)
        model.test_position = "left"
        assert torch.allclose(summed, model(ids), atol=1e-6)
        assert torch.equal(shifted(ids, torch.zeros(3, dtype=torch.int64)), ids)
