"""CCA against a second solution, scikit-learn, and data whose correlations are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from harness.api import ClosedFormLoss, ParameterError, TrainingError
from harness_baselines import cca
from harness_baselines.cca import Affine, Cca


class Side(nn.Module):
    """An encoder whose features are its inputs."""

    def __init__(self, width, dim):
        super().__init__()
        self.map = nn.Linear(width, dim)

    def features(self, inputs):
        return inputs

    @torch.no_grad()
    def project(self, weight, bias):
        self.map.weight.copy_(weight.T)
        self.map.bias.copy_(bias)

    def forward(self, batch):
        return self.map(batch)


@dataclass
class Pairs:
    x: torch.Tensor
    y: torch.Tensor
    caption_image: torch.Tensor
    batch: int = 37

    def images(self):
        return iter(self.x.split(self.batch))

    def texts(self):
        return iter(self.y.split(self.batch))


def pairs(x, y, owner):
    return Pairs(
        torch.from_numpy(x).float(), torch.from_numpy(y).float(), torch.from_numpy(np.asarray(owner))
    )


def solved(data, dim, **params):
    image, text = Side(data.x.shape[1], dim), Side(data.y.shape[1], dim)
    figures = Cca(dim=dim, **params).fit(image, text, data)
    with torch.no_grad():
        return image(data.x).double().numpy(), text(data.y).double().numpy(), figures


def correlated(n=4000, correlations=(0.95, 0.7, 0.3), noise=3, seed=0):
    """Draw pairs of mixed Gaussian features with the given canonical correlations, and further noise."""
    random = np.random.default_rng(seed)
    hidden = random.standard_normal((n, len(correlations)))
    strength = np.sqrt(correlations)
    sides = []
    for width in (len(correlations) + noise, len(correlations) + noise + 2):
        own = random.standard_normal((n, width))
        k = len(correlations)
        own[:, :k] = strength * hidden + np.sqrt(1 - strength**2) * own[:, :k]
        sides.append(own @ random.standard_normal((width, width)) + random.standard_normal(width) * 5)
    return pairs(*sides, np.arange(n))


TINY = {"image_regularizer": 1e-9, "text_regularizer": 1e-9}


def test_known_correlations_are_found():
    image, text, figures = solved(correlated(), 3, power=0.0, **TINY)
    found = [np.corrcoef(image[:, k], text[:, k])[0, 1] for k in range(3)]
    assert found == pytest.approx([0.95, 0.7, 0.3], abs=0.03)
    assert figures["correlation.1"] == pytest.approx(found[0], abs=1e-4)
    assert figures["correlation.sum"] == pytest.approx(sum(found), abs=1e-3)
    assert figures["directions"] == 3
    for side in (image, text):
        np.testing.assert_allclose(np.cov(side.T, bias=True), np.eye(3), atol=1e-3)
        np.testing.assert_allclose(side.mean(0), 0.0, atol=1e-3)
    between = (image - image.mean(0)).T @ (text - text.mean(0)) / len(image)
    np.testing.assert_allclose(between, np.diag(found), atol=1e-3)


def test_the_correlations_are_those_of_scikit_learn():
    decomposition = pytest.importorskip("sklearn.cross_decomposition")
    data = correlated(n=600)
    _, _, figures = solved(data, 2, power=0.0, **TINY)
    a, b = decomposition.CCA(n_components=2, tol=1e-10, max_iter=5000).fit_transform(
        data.x.numpy(), data.y.numpy()
    )
    theirs = [abs(np.corrcoef(a[:, k], b[:, k])[0, 1]) for k in range(2)]
    assert figures["correlation.1"] == pytest.approx(theirs[0], abs=1e-4)
    assert figures["correlation.sum"] == pytest.approx(sum(theirs), abs=1e-3)


def straightforward(data, dim, power, image_regularizer, text_regularizer, standardize):
    """Solve with symmetric inverse square roots and a full singular value decomposition, over explicit pairs."""
    x, y = data.x.double().numpy()[data.caption_image.numpy()], data.y.double().numpy()
    x, y = x - x.mean(0), y - y.mean(0)
    x, y = (side / side.std(0) if scaled else side for side, scaled in zip((x, y), standardize, strict=True))

    def inverse_root(side, regularizer):
        covariance = side.T @ side / len(side)
        values, vectors = np.linalg.eigh(covariance)
        return (vectors / np.sqrt(values + regularizer * values.mean())) @ vectors.T

    left, right = inverse_root(x, image_regularizer), inverse_root(y, text_regularizer)
    u, c, v = np.linalg.svd(left @ (x.T @ y / len(x)) @ right, full_matrices=False)
    return x @ left @ u[:, :dim] * c[:dim] ** power, y @ right @ v[:dim].T * c[:dim] ** power, c[:dim]


@pytest.mark.parametrize("standardize", [(True, False), (False, True), (True, True), (False, False)])
@pytest.mark.parametrize(
    ("power", "regularizers"), [(1.0, (1.0, 1.0)), (2.0, (0.1, 3.0)), (0.0, (0.5, 0.01))]
)
@pytest.mark.parametrize("widths", [(6, 9), (9, 6)])
def test_another_way_to_solve_it_agrees(standardize, power, regularizers, widths):
    random = np.random.default_rng(1)
    captions = random.integers(1, 8, 90)  # an image with more captions counts for more
    owner = np.repeat(np.arange(90), captions)
    x = random.standard_normal((90, widths[0])) * np.arange(1, widths[0] + 1) + 10
    y = x[owner] @ random.standard_normal(widths) + 20 * random.standard_normal((len(owner), widths[1]))
    data = pairs(x, y, owner)
    image, text, figures = solved(
        data,
        4,
        power=power,
        image_regularizer=regularizers[0],
        text_regularizer=regularizers[1],
        standardize_image=standardize[0],
        standardize_text=standardize[1],
    )
    left, right, correlation = straightforward(data, 4, power, *regularizers, standardize)
    # Signs are free, but the same on both sides.
    signs = np.sign((text * right).sum(0))
    np.testing.assert_allclose(text, right * signs, atol=2e-3 * np.abs(right).max())
    np.testing.assert_allclose(image[owner], left * signs, atol=2e-3 * np.abs(left).max())
    assert figures["correlation.1"] == pytest.approx(correlation[0], rel=1e-5)
    assert figures["correlation.sum"] == pytest.approx(correlation.sum(), rel=1e-5)


def test_sparse_and_dense_products_agree(monkeypatch):
    random = np.random.default_rng(2)
    y = random.random((300, 40)) * (random.random((300, 40)) < 0.03)
    y[:, 0] += 0.01 * random.random(300)
    x = y @ random.standard_normal((40, 7)) + 0.1 * random.standard_normal((300, 7))
    data = pairs(x, y, np.arange(300))
    monkeypatch.setattr(cca, "SPARSE", 1.0)
    sparse = solved(data, 5)
    monkeypatch.setattr(cca, "SPARSE", 0.0)
    dense = solved(data, 5)
    np.testing.assert_allclose(sparse[0], dense[0], atol=1e-5)
    np.testing.assert_allclose(sparse[1], dense[1], atol=1e-5)
    assert sparse[2] == pytest.approx(dense[2])


def test_directions_beyond_the_features_are_zero():
    image, text, figures = solved(correlated(), 20)
    assert figures["directions"] == 6
    assert not image[:, 6:].any()
    assert not text[:, 6:].any()
    assert np.isfinite(image).all()


def test_features_that_never_change_do_no_harm():
    data = correlated()
    plain = solved(data, 3)[2]
    data.x = torch.cat([data.x, torch.full((len(data.x), 1), 7.25)], dim=1)
    image, _, figures = solved(data, 3)
    assert np.isfinite(image).all()
    assert figures["correlation.sum"] == pytest.approx(plain["correlation.sum"], abs=0.1)


def test_a_solution_is_repeated_to_the_bit():
    first, second = solved(correlated(), 3), solved(correlated(), 3)
    assert first[2] == second[2]
    np.testing.assert_array_equal(first[0], second[0])


def test_no_step_is_taken():
    loss = Cca(dim=2)
    assert isinstance(loss, ClosedFormLoss)
    assert isinstance(Side(2, 2), Affine)
    with pytest.raises(TrainingError, match="closed form"):
        loss(torch.ones(2, 2), torch.ones(2, 2), torch.arange(2))


def test_what_cannot_be_solved_is_said():
    data = correlated(n=50)
    with pytest.raises(TrainingError, match="of the text encoder; Linear does not offer them") as caught:
        Cca(dim=2).fit(Side(6, 2), nn.Linear(8, 2), data)
    assert "'timm' with head: affine" in caught.value.hint
    assert "'tfidf'" in caught.value.hint
    broken = correlated(n=50)
    broken.x[3, 1] = torch.nan
    with pytest.raises(TrainingError, match="image encoder's features are NaN or infinite"):
        solved(broken, 2)
    constant = correlated(n=50)
    constant.y[:] = 1.0
    with pytest.raises(TrainingError, match="the same for all train pairs"):
        solved(constant, 2)
    short = correlated(n=50)
    short.y = short.y[:40]
    with pytest.raises(TrainingError, match="40 captions came for 50 pairs"):
        solved(short, 2)


@pytest.mark.parametrize("wrong", [{"image_regularizer": 0.0}, {"text_regularizer": -1.0}, {"power": -0.5}])
def test_numbers_out_of_range_are_named(wrong):
    with pytest.raises(ParameterError, match=f"cca: parameter '{next(iter(wrong))}'"):
        Cca(dim=2, **wrong)


def test_pairing_by_image_takes_the_mean_of_its_captions():
    random = np.random.default_rng(3)
    owner = np.repeat(np.arange(40), random.integers(1, 6, 40))
    x, y = random.standard_normal((40, 5)), random.standard_normal((len(owner), 4))
    means = np.stack([y[owner == image].mean(0) for image in range(40)])
    whole, _, figures = solved(pairs(x, y, owner), 3, pairing="image")
    plain, _, expected = solved(pairs(x, means, np.arange(40)), 3)
    assert whole == pytest.approx(plain, abs=1e-5)
    assert figures == pytest.approx(expected, abs=1e-6)
    each, _, _ = solved(pairs(x, y, owner), 3)
    assert np.abs(each - whole).max() > 1e-3
