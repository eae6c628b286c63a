"""K-class loss: pseudo-classes of images that look alike, in place of one class an image."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import version

import torch
from torch import Tensor

from harness.api import ParameterError, TrainingError
from harness_dualpath.instance import InstanceLoss

ITERATIONS = 50
"""Of k-means at most; it settled after 2 to 31 on Flickr8k."""
REVISION = 1
"""Of how labels follow from features; rises when they change."""


def compute_anew(key: str, compute: Callable[[], Tensor]) -> Tensor:
    """Remember nothing."""
    return compute()


class KClassLoss(InstanceLoss):
    """Classify images and captions as `InstanceLoss` does, with k-means clusters as classes (Zheng et al., Table 5).

    Clustered are the pretrained features of the train images under the test view, pooled, at length 1; the paper does
    not tell its own. Lloyd's algorithm starts from k images that the seed draws and runs in one thread, so that every
    machine finds the same clusters; runs over the same features with the same k and seed share them. 6,000 images of
    1,280 features in 3,000 classes took 1.2 seconds of one core. (The k-means++ start took 50, for a sum of squares 5 %
    lower.) With as many classes as images nothing is clustered and the loss is instance loss, to the bit.

    Args:
        dim: size of the common embedding; given by the harness.
        classes: number of training images; given by the harness.
        train_features: computes (classes, ...) features of the train images; given by the harness.
        seed: the run's seed; given by the harness.
        k: number of pseudo-classes, from 2 to `classes`.
        remember: keeps labels by a key; given by the harness.
        share: the same as a part of the number of images, in (0, 1], rounded, at least 2; instead of `k`.
        threads: of k-means, at least 1. More are faster and add up the means in an order of their own: an image that
            lies between two clusters may then be of either.
        dropout, bias, image_weight, text_weight, smoothing: as of `InstanceLoss`.

    Raises:
        ParameterError: if a number is out of its range, or not one of `k` and `share` is given.
        TrainingError: if the features cannot be clustered.
    """

    labels: Tensor
    """(classes,) int64: the pseudo-class of each training image; stored with the weights."""
    # Counted once and not in each step: a GPU that counts is waited for.
    filled: Tensor
    largest: Tensor

    def __init__(
        self,
        *,
        dim: int,
        classes: int,
        train_features: Callable[[], Tensor],
        seed: int,
        remember: Callable[[str, Callable[[], Tensor]], Tensor] = compute_anew,
        k: int | None = None,
        share: float | None = None,
        threads: int = 1,
        dropout: float = 0.75,
        bias: bool = True,
        image_weight: float = 1.0,
        text_weight: float = 1.0,
        smoothing: float = 0.0,
    ) -> None:
        k = _number(k, share, classes)
        if threads < 1:
            raise ParameterError(f"k-class loss: parameter 'threads' is {threads}, not at least 1")
        super().__init__(
            dim=dim,
            classes=k,
            dropout=dropout,
            bias=bias,
            image_weight=image_weight,
            text_weight=text_weight,
            smoothing=smoothing,
        )
        if k == classes:
            labels = torch.arange(classes)
        else:

            def compute() -> Tensor:
                return cluster(_checked(train_features(), classes), k, seed, threads)

            with torch.random.fork_rng(devices=[]):
                labels = remember(_key(k, seed, threads), compute)
        self.register_buffer("labels", labels)
        for name, part in _of_classes(labels, k).items():
            self.register_buffer(name, part, persistent=False)
        self.register_load_state_dict_post_hook(_describe)  # type: ignore[no-untyped-call]

    def forward(self, image: Tensor, text: Tensor, group: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            image, text: (batch, dim) embeddings.
            group: (batch,) int64: the training image of each pair.
        """
        return super().forward(image, text, self.labels[group])

    def figures(self) -> Mapping[str, Tensor]:
        """Return those of `InstanceLoss` over the pseudo-classes, and two of the pseudo-classes themselves.

        ``filled`` is the part of them that holds an image: below 1 where features repeat. ``largest`` is the part of
        the images that is in the largest.
        """
        return {**super().figures(), "filled": self.filled, "largest": self.largest}


def _of_classes(labels: Tensor, k: int) -> dict[str, Tensor]:
    """Describe `k` pseudo-classes by their images."""
    sizes = torch.bincount(labels, minlength=k)
    return {"filled": (sizes > 0).float().mean(), "largest": sizes.max() / len(labels)}


def _describe(loss: KClassLoss, _: object) -> None:
    """Describe the labels that were loaded with the weights."""
    for name, part in _of_classes(loss.labels, len(loss.weight)).items():
        getattr(loss, name).copy_(part)


def cluster(features: Tensor, k: int, seed: int, threads: int = 1) -> Tensor:
    """Return the (n,) int64 k-means cluster, 0..k-1, of each row of (n, width) finite features, at length 1.

    Where fewer than `k` rows differ, some clusters stay empty.

    Raises:
        TrainingError: if all rows are equal.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    rows = torch.nn.functional.normalize(features).numpy()
    # tol=0: until nothing changes.
    means = KMeans(
        k, init="random", n_init=1, max_iter=ITERATIONS, tol=0, random_state=seed % 2**32, copy_x=False
    )
    with threadpool_limits(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = torch.from_numpy(means.fit_predict(rows)).long()
    if (labels == labels[0]).all():
        raise TrainingError(
            f"k-class loss: the features of all {len(labels)} train images are equal: there is nothing to cluster",
            hint="Does the image encoder have pretrained weights?",
        )
    return labels


def _key(k: int, seed: int, threads: int) -> str:
    """Name all that determines the labels, beside the features."""
    return (
        f"k-means {REVISION}, scikit-learn {version('scikit-learn')}, k {k}, seed {seed}, threads {threads}"
    )


def _number(k: int | None, share: float | None, classes: int) -> int:
    """Return the number of pseudo-classes."""
    if (k is None) == (share is None):
        raise ParameterError(f"k-class loss: give one of 'k' and 'share'; they are {k} and {share}")
    if share is not None:
        if not 0 < share <= 1:
            raise ParameterError(f"k-class loss: parameter 'share' is {share}, not in (0, 1]")
        k = max(2, round(share * classes))
    assert k is not None
    if k < 2:
        raise ParameterError(f"k-class loss: parameter 'k' is {k}, not at least 2")
    if k > classes:
        raise ParameterError(
            f"k-class loss: {k} pseudo-classes of {classes} training images",
            hint="Lower k, or set share in its place: a part of the number of images.",
        )
    return k


def _checked(features: Tensor, classes: int) -> Tensor:
    """Return the features as (classes, width) float32 on the CPU."""
    if len(features) != classes:
        raise TrainingError(f"k-class loss: got features of {len(features)} images, not of {classes}")
    features = features.detach().flatten(1).float().cpu()
    if not features.isfinite().all():
        raise TrainingError("k-class loss: features of train images are NaN or infinite")
    return features
