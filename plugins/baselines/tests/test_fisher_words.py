"""Fisher vectors against the gradient of the likelihood, scikit-image, and mixtures whose parts are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.api import ParameterError
from harness_baselines.cca import Affine
from harness_baselines.fisher import FisherWords, principal
from harness_baselines.mixture import fit_mixture

WORDS = [f"{first}{second}" for first in "abcdefgh" for second in "klmnopqr"]
CAPTIONS = (*(" ".join(WORDS[i * 7 % 60 : i * 7 % 60 + 5]) for i in range(40)), " ".join(WORDS))


def encoder(**params):
    torch.manual_seed(0)
    values = {"dim": 4, "captions": CAPTIONS, "seed": 1, "components": 3, "length": 70}
    return FisherWords(**values | params)


def batch(built, captions=CAPTIONS):
    return torch.stack([built.prepare(caption, training=False) for caption in captions])


def log_likelihood(x, weight, mean, deviation):
    """Return the log-likelihood of (words, width) under a mixture, as it is written in textbooks."""
    density = torch.distributions.Normal(mean, deviation).log_prob(x[:, None, :]).sum(2)
    return (weight.log() + density).logsumexp(1).sum()


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_it_is_the_gradient_of_the_likelihood(power):
    built = encoder(power=power)
    weight, mean, deviation = (
        getattr(built, name).double().requires_grad_() for name in ("share", "centre", "deviation")
    )
    rows = {word: number for number, word in enumerate(built.vocabulary.words, start=1)}
    for caption, features in zip(CAPTIONS, built.features(batch(built)), strict=True):
        x = built.table[[rows[word] for word in caption.split()]].double()
        by_mean, by_deviation = torch.autograd.grad(
            log_likelihood(x, weight, mean, deviation), [mean, deviation]
        )
        # In units of the root of the Fisher information: w / s^2 of a mean, 2 w / s^2 of a deviation.
        root = weight.sqrt()[:, None] / deviation
        whole = torch.cat([(by_mean / root).flatten(), (by_deviation / (2**0.5 * root)).flatten()])
        expected = whole.sign() * whole.abs() ** power
        torch.testing.assert_close(features.double(), expected / expected.norm(), atol=2e-4, rtol=0)


def test_it_is_that_of_scikit_image():
    feature = pytest.importorskip("skimage.feature")
    mixture = pytest.importorskip("sklearn.mixture")
    built = encoder(power=1.0)
    judge = mixture.GaussianMixture(3, covariance_type="diag")
    judge.weights_, judge.means_ = built.share.double().numpy(), built.centre.double().numpy()
    judge.covariances_ = built.deviation.double().numpy() ** 2
    judge.precisions_cholesky_ = 1 / np.sqrt(judge.covariances_)
    rows = {word: number for number, word in enumerate(built.vocabulary.words, start=1)}
    for caption, features in zip(CAPTIONS[::8], built.features(batch(built, CAPTIONS[::8])), strict=True):
        words = built.table[[rows[word] for word in caption.split()]].double().numpy()
        theirs = feature.fisher_vector(words, judge)
        means, deviations = np.split(theirs[3:], 2)  # the first three are of the weights
        expected = np.concatenate([means, -deviations])  # whose sign it has the other way round
        np.testing.assert_allclose(features, expected / np.linalg.norm(expected), atol=2e-4)


def test_lengths_padding_and_captions_without_a_known_word():
    built, longer = encoder(length=6), encoder(length=90)
    some = [*CAPTIONS[:3], "ak", ""]
    features = built.features(batch(built, some))
    torch.testing.assert_close(features.norm(dim=1), torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0]))
    torch.testing.assert_close(features, longer.features(batch(longer, some)))
    assert features.dtype == torch.float32
    assert features.shape == (5, 2 * 3 * 50)
    alone = built.features(batch(built, some[:1]))
    torch.testing.assert_close(alone, features[:1])
    assert torch.equal(built.features(batch(built, ["xyzzy"])), torch.zeros(1, 300))


def test_cca_sets_the_map():
    built = encoder()
    assert isinstance(built, Affine)
    weight, bias = torch.randn(300, 4), torch.randn(4)
    built.project(weight, bias)
    torch.testing.assert_close(built(batch(built)), built.features(batch(built)) @ weight + bias)


def test_the_seed_decides_and_the_state_holds_the_mixture():
    first, again, other = encoder(), encoder(), encoder(seed=2)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert not torch.equal(first.centre, other.centre)
    other.load_state_dict(first.state_dict())
    assert torch.equal(first(batch(first)), other(batch(other)))
    assert {name for name, _ in first.named_parameters()} == {"projection.weight", "projection.bias"}
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    fit_mixture(np.random.default_rng(0).standard_normal((30, 2)), 2, 0)
    assert torch.equal(torch.rand(1), expected)
    assert (np.random.get_state()[1] == before).all()


def test_a_mixture_finds_the_parts_it_was_drawn_from():
    random = np.random.default_rng(0)
    means, deviations = np.array([[5.0, 0.0], [-5.0, 1.0]]), np.array([[0.5, 2.0], [1.0, 0.2]])
    drawn = np.concatenate(
        [
            m + d * random.standard_normal((n, 2))
            for m, d, n in zip(means, deviations, (3000, 1000), strict=True)
        ]
    )
    mixture = fit_mixture(drawn, 2, seed=5)
    order = np.argsort(-mixture.weights)
    np.testing.assert_allclose(mixture.weights[order], [0.75, 0.25], atol=0.02)
    np.testing.assert_allclose(mixture.means[order], means, atol=0.15)
    floor = 0.01 * drawn.var(axis=0).mean()  # is added to each variance
    np.testing.assert_allclose(mixture.deviations[order], np.sqrt(deviations**2 + floor), atol=0.1)
    np.testing.assert_allclose(mixture.posteriors.sum(1), 1.0)
    assert (mixture.posteriors[:3000, order[0]] > 0.5).mean() > 0.99


def test_a_component_of_equal_vectors_divides_by_no_zero():
    drawn = np.concatenate([np.zeros((20, 2)), np.random.default_rng(0).standard_normal((20, 2)) + 9])
    mixture = fit_mixture(drawn, 2, seed=0)
    assert mixture.deviations.min() > 0.1


def test_principal_components_have_variance_one():
    random = np.random.default_rng(0)
    drawn = random.standard_normal((500, 4)) @ random.standard_normal((4, 4)) + 3
    drawn = np.hstack([drawn, drawn[:, :1]])  # five coordinates, four of them free
    found = principal(drawn, 3)
    np.testing.assert_allclose(found.mean(0), 0.0, atol=1e-9)
    np.testing.assert_allclose(np.cov(found.T, bias=True), np.eye(3), atol=1e-9)
    decomposition = pytest.importorskip("sklearn.decomposition")
    theirs = decomposition.PCA(3, whiten=True, svd_solver="full").fit_transform(drawn)
    for ours, other in zip(found.T, theirs.T, strict=True):
        assert abs(np.corrcoef(ours, other)[0, 1]) == pytest.approx(1.0, abs=1e-9)
    assert encoder(pca=5).features(batch(encoder(pca=5))).shape == (41, 2 * 3 * 5)
    for wrong in (0, 5):
        with pytest.raises(ParameterError, match=rf"parameter 'pca' is {wrong}, not in 1\.\.4"):
            principal(drawn, wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"components": 0}, {"components": 65}, {"power": 0.0}, {"power": 1.5}, {"pca": 51}, {"length": 0}],
)
def test_numbers_out_of_range_are_named(wrong):
    with pytest.raises(ParameterError, match=f"fisher-words: parameter '{next(iter(wrong))}'"):
        encoder(**wrong)
