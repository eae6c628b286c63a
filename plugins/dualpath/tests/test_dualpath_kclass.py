"""K-class loss: its clusters, and that it is instance loss over them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import sklearn
import torch
from threadpoolctl import threadpool_info, threadpool_limits
from torch import Tensor

from harness.api import ParameterError, Reporting, TrainingError
from harness_dualpath.instance import InstanceLoss
from harness_dualpath.kclass import REVISION, KClassLoss, cluster

DIM, CLASSES = 6, 20


def features(seed: int = 0, rows: int = CLASSES, width: int = 8) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def build(**parameters: Any) -> KClassLoss:
    torch.manual_seed(0)
    given = {"dim": DIM, "classes": CLASSES, "train_features": features, "seed": 0, "dropout": 0.0}
    return KClassLoss(**{**given, **parameters})


def unasked() -> Tensor:
    raise AssertionError("features were computed for nothing")


def batch(seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    return torch.randn(7, DIM), torch.randn(7, DIM), torch.randint(0, CLASSES, (7,))


def steps(loss: InstanceLoss) -> list[Tensor]:
    """Train for a few steps, dropout and all; return losses, gradients of the batch, figures and weights."""
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.5, momentum=0.9, nesterov=True, weight_decay=1e-3)
    torch.manual_seed(3)
    kept = []
    for seed in range(5):
        image, text, group = batch(seed)
        optimizer.zero_grad()
        value = loss(image.requires_grad_(), text.requires_grad_(), group)
        value.backward()
        optimizer.step()
        assert image.grad is not None
        assert text.grad is not None
        kept += [value.detach(), image.grad, text.grad, loss.figures()["text_ce"]]
    return [*kept, *(parameter.detach() for parameter in loss.parameters())]


@pytest.mark.parametrize("parameters", [{}, {"bias": False, "text_weight": 0.1, "smoothing": 0.2}])
@pytest.mark.parametrize("every", [{"k": CLASSES}, {"share": 1.0}])
def test_a_class_for_every_image_is_instance_loss_to_the_bit(
    parameters: dict[str, Any], every: dict[str, Any]
) -> None:
    loss = build(train_features=unasked, dropout=0.5, **parameters, **every)
    torch.manual_seed(0)
    instance = InstanceLoss(dim=DIM, classes=CLASSES, dropout=0.5, **parameters)
    assert all(one.equal(other) for one, other in zip(steps(loss), steps(instance), strict=True))
    assert loss.labels.tolist() == list(range(CLASSES))


def test_labels_are_remembered_by_all_that_determines_them_beside_the_features() -> None:
    kept: dict[str, Tensor] = {}
    computed: list[str] = []

    def remember(key: str, compute: Callable[[], Tensor]) -> Tensor:
        if key not in kept:
            computed.append(key)
            kept[key] = compute()
        return kept[key]

    first = build(k=5, remember=remember)
    assert first.labels.equal(build(k=5).labels)
    assert first.labels.equal(cluster(features(), 5, 0))
    (key,) = kept
    assert f"k-means {REVISION}, scikit-learn {sklearn.__version__}, k 5, seed 0, threads 1" == key
    # What is remembered costs no features; loss weights, a matter of the cell, change nothing.
    again = build(k=5, remember=remember, train_features=unasked, dropout=0.5, text_weight=0.1)
    assert again.labels.equal(first.labels)
    for other in ({"k": 6}, {"share": 0.5}, {"k": 5, "seed": 1}, {"k": 5, "threads": 2}):
        build(remember=remember, **other)
    assert len(computed) == len(set(computed)) == 5


@pytest.mark.parametrize("seed", range(3))
def test_fewer_classes_equal_plain_loops(seed: int) -> None:
    loss = build(k=5, seed=seed, image_weight=0.5, text_weight=2.0).requires_grad_(False)
    assert loss.bias is not None
    torch.nn.init.uniform_(loss.bias, -1, 1)
    image, text, group = batch(seed)
    weights, biases = loss.weight.tolist(), loss.bias.tolist()
    total = 0.0
    for factor, rows in ((0.5, image), (2.0, text)):
        for row, number in zip(rows.tolist(), group.tolist(), strict=True):
            products = [sum(w * x for w, x in zip(ws, row, strict=True)) for ws in weights]
            logits = [product + bias for product, bias in zip(products, biases, strict=True)]
            entropy = math.log(sum(map(math.exp, logits))) - logits[int(loss.labels[number])]
            total += factor * entropy / len(group)
    assert loss.weight.shape == (5, DIM)
    assert float(loss(image, text, group)) == pytest.approx(total, rel=1e-5)


def test_gradient_equals_finite_differences() -> None:
    loss = build(k=4).double()
    image, text, group = (t.double().requires_grad_() if t.is_floating_point() else t for t in batch())

    def value(image: Tensor, text: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(
            loss, {"weight": weight, "bias": bias}, (image, text, group)
        )
        return result

    assert torch.autograd.gradcheck(value, (image, text, loss.weight, loss.bias))


@pytest.mark.parametrize("seed", range(4))
def test_every_image_is_in_the_cluster_with_the_nearest_mean(seed: int) -> None:
    rows = features(seed, rows=60)
    labels = cluster(rows, 7, seed).tolist()
    units = [[x / math.hypot(*row) for x in row] for row in rows.tolist()]
    means = {}
    for label in set(labels):
        members = [row for row, own in zip(units, labels, strict=True) if own == label]
        means[label] = [sum(column) / len(members) for column in zip(*members, strict=True)]
    assert set(labels) == set(range(7))
    for row, own in zip(units, labels, strict=True):
        assert math.dist(row, means[own]) <= min(math.dist(row, mean) for mean in means.values()) + 1e-6


def test_images_that_look_alike_are_of_one_class_whatever_the_length_of_their_features() -> None:
    centres = torch.eye(3).repeat_interleave(8, dim=0)
    rows = (centres + 0.01 * features(rows=24, width=3)) * torch.linspace(0.1, 50, 24)[:, None]
    # The start draws images: one of each kind, which not every seed does.
    labels = next(
        found for seed in range(9) if len(set((found := cluster(rows, 3, seed))[::8].tolist())) == 3
    )
    assert labels.tolist() == labels[::8].repeat_interleave(8).tolist()


def test_the_seed_and_no_thread_decides_the_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.cluster import KMeans

    fit, used = KMeans.fit_predict, []

    def watched(self: KMeans, rows: Any) -> Any:
        used.append({pool["num_threads"] for pool in threadpool_info()})
        return fit(self, rows)

    monkeypatch.setattr(KMeans, "fit_predict", watched)
    rows, found = features(rows=1500, width=40), []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(cluster(rows, 150, 3))
            assert threads in {pool["num_threads"] for pool in threadpool_info()}
    assert found[0].equal(found[1])
    assert used == [{1}, {1}]
    cluster(rows, 150, 3, threads=2)
    assert used[2:] == [{2}]
    assert not found[0].equal(cluster(rows, 150, 4))


def test_features_of_maps_are_flattened_and_left_as_they_were() -> None:
    maps = features(width=12).view(CLASSES, 3, 2, 2).double()
    before = maps.clone()
    loss = build(k=5, train_features=lambda: maps)
    assert maps.equal(before)
    assert loss.labels.equal(build(k=5, train_features=lambda: maps.flatten(1).float()).labels)


def test_clustering_leaves_the_random_state_and_the_first_weights_alone() -> None:
    def restless() -> Tensor:
        torch.randn(100)
        return features()

    loss = build(k=5, train_features=restless)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    instance = InstanceLoss(dim=DIM, classes=5)
    assert torch.get_rng_state().equal(state)
    assert loss.weight.equal(instance.weight)


def test_labels_travel_with_the_weights() -> None:
    first, second = build(k=5, seed=1), build(k=5, seed=2)
    assert not first.labels.equal(second.labels)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.labels.equal(first.labels)
    assert second.labels.dtype == torch.int64
    assert second(*batch()).equal(first(*batch()))


def test_what_is_told_of_the_labels_follows_them_and_is_not_stored() -> None:
    first = build(k=10, train_features=lambda: torch.eye(4).repeat(5, 1))
    second = build(k=10)
    assert set(first.state_dict()) == {"weight", "bias", "labels"}
    assert first.figures()["filled"] != second.figures()["filled"]
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.figures() == first.figures()


def test_share_is_a_part_of_the_images() -> None:
    assert [len(build(share=share).weight) for share in (0.26, 0.5, 0.001)] == [5, 10, 2]


def test_figures_tell_of_empty_and_of_large_classes() -> None:
    loss = build(k=10)
    assert isinstance(loss, Reporting)
    loss(*batch())
    sizes = [loss.labels.tolist().count(label) for label in range(10)]
    assert float(loss.figures()["filled"]) == 1.0
    assert float(loss.figures()["largest"]) == pytest.approx(max(sizes) / CLASSES)
    assert {"image_ce", "text_top5"} < loss.figures().keys()
    repeated = build(k=10, train_features=lambda: torch.eye(4).repeat(5, 1))
    assert float(repeated.figures()["filled"]) == pytest.approx(0.4)
    assert float(repeated.figures()["largest"]) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "give one of 'k' and 'share'; they are None and None"),
        ({"k": 3, "share": 0.5}, "give one of 'k' and 'share'; they are 3 and 0.5"),
        ({"k": 1}, "parameter 'k' is 1, not at least 2"),
        ({"k": CLASSES + 1}, "21 pseudo-classes of 20 training images"),
        ({"share": 0.0}, "parameter 'share' is 0.0, not in"),
        ({"share": 1.1}, "parameter 'share' is 1.1, not in"),
        ({"share": 0.5, "classes": 1}, "2 pseudo-classes of 1 training images"),
        ({"k": 3, "dropout": 1.0}, "dropout 1.0"),
        ({"k": 3, "threads": 0}, "parameter 'threads' is 0, not at least 1"),
    ],
)
def test_wrong_parameters_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        build(train_features=unasked, **wrong)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (torch.zeros(3, 4), "features of 3 images, not of 20"),
        (torch.full((CLASSES, 4), math.nan), "NaN or infinite"),
        (torch.ones(CLASSES, 4), "of all 20 train images are equal"),
        (torch.zeros(CLASSES, 4), "of all 20 train images are equal"),
    ],
)
def test_features_that_cannot_be_clustered_are_named(found: Tensor, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        build(k=3, train_features=lambda: found)
