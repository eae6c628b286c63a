"""Canonical correlation analysis: the best linear common space, without a gradient step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NoReturn, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse
import torch
from torch import Tensor, nn

from harness.api import ParameterError, TrainingError, TrainPairs

Floats = npt.NDArray[np.float64]
SPARSE = 0.05  # share of non-zeros up to which blocks are multiplied as sparse matrices
CHUNK = 1024


@runtime_checkable
class Affine(Protocol):
    """An encoder whose embedding is an affine function of its features: what CCA can solve for."""

    def features(self, inputs: Tensor) -> Tensor:
        """Return (batch, width) features of cached features or prepared captions."""
        ...

    def project(self, weight: Tensor, bias: Tensor) -> None:
        """Embed as ``features @ weight + bias`` from now on: (width, dim), (dim,)."""
        ...


class Cca(nn.Module):
    """Solve regularised linear CCA of image and caption features.

    ``max corr(X a, Y b)`` with ``a' (Cxx + r tr(Cxx)/p I) a = 1``, the same for `b`, and each direction
    uncorrelated with those before it. Solved by Cholesky whitening and an eigenproblem of the smaller side.
    A coordinate of either embedding is multiplied with its correlation to the `power`: nearly uncorrelated
    directions are noise (after Gong et al., IJCV 2014, who scale by a power of the eigenvalues).

    Args:
        dim: size of the common embedding; directions beyond the smaller number of features are zero.
        image_regularizer: added to the image covariance, in units of its mean eigenvalue, above 0.
        text_regularizer: the same for the captions.
        power: of the correlation that weighs a coordinate, at least 0.
        pairing: ``caption``: each caption with its image is a pair; ``image``: an image pairs with the mean of
            its captions' features.
        standardize_image: divide image features by their standard deviation.
        standardize_text: the same for the captions.

    Raises:
        ParameterError: if a regulariser is not above 0 or `power` is negative.
    """

    def __init__(
        self,
        *,
        dim: int,
        image_regularizer: float = 1.0,
        text_regularizer: float = 1.0,
        power: float = 1.0,
        pairing: Literal["caption", "image"] = "caption",
        standardize_image: bool = True,
        standardize_text: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("image_regularizer", image_regularizer), ("text_regularizer", text_regularizer)):
            if not value > 0:
                raise ParameterError(f"cca: parameter {name!r} is {value}, not above 0")
        if not power >= 0:
            raise ParameterError(f"cca: parameter 'power' is {power}, not a number from 0")
        self.dim, self.power, self.pairing = dim, power, pairing
        self.regularizers = image_regularizer, text_regularizer
        self.standardize = standardize_image, standardize_text

    def forward(self, image: Tensor, text: Tensor, group: Tensor) -> NoReturn:
        """Refuse: there is nothing to descend.

        Raises:
            TrainingError: always.
        """
        raise TrainingError(
            "cca is solved in closed form and has no gradient", hint="Make it the only loss of its stage."
        )

    @torch.no_grad()
    def fit(self, image: Any, text: Any, train: TrainPairs) -> Mapping[str, float]:
        """Set the affine maps of both encoders.

        Returns:
            ``correlation.1``, ``.8``, ``.64`` ...: the regularised canonical correlations of these places,
            0..1; ``correlation.sum`` over all directions kept; their number ``directions``.

        Raises:
            TrainingError: if an encoder offers no `features` and `project`, or features are NaN or infinite.
        """
        for encoder, what in ((image, "image"), (text, "text")):
            if not isinstance(encoder, Affine):
                raise TrainingError(
                    f"cca needs features(inputs) and project(weight, bias) of the {what} encoder; "
                    f"{type(encoder).__name__} does not offer them",
                    hint="Use the encoder 'timm' with head: affine for images, and 'tfidf', 'mean-words' or "
                    "'fisher-words' for captions.",
                )
        moments = _moments(image, text, train, self.pairing)
        left = _Side(moments.xx, self.regularizers[0], standardize=self.standardize[0])
        right = _Side(moments.yy, self.regularizers[1], standardize=self.standardize[1])
        cross = right.whiten(left.whiten(moments.xy).T).T
        directions = min(self.dim, *cross.shape)
        u, correlation, v = _leading(cross, directions)
        weight = correlation**self.power
        for encoder, side, vectors, mean in (
            (image, left, u, moments.x_mean),
            (text, right, v, moments.y_mean),
        ):
            projection = np.zeros((len(mean), self.dim))
            projection[:, :directions] = side.unwhiten(vectors) * weight
            encoder.project(
                torch.from_numpy(projection).float(), torch.from_numpy(-mean @ projection).float()
            )
        places = [2**n for n in range(0, 31, 3) if 2**n <= directions]
        figures = {f"correlation.{place}": float(correlation[place - 1]) for place in places}
        return figures | {"correlation.sum": float(correlation.sum()), "directions": float(directions)}


class _Moments:
    """Means and covariances over all pairs, float64."""

    def __init__(self, x_mean: Floats, y_mean: Floats, xx: Floats, yy: Floats, xy: Floats) -> None:
        self.x_mean, self.y_mean = x_mean, y_mean
        self.xx, self.yy, self.xy = xx, yy, xy


def _moments(image: Affine, text: Affine, train: TrainPairs, pairing: str) -> _Moments:
    owner = train.caption_image.cpu().numpy()
    x = np.concatenate(list(_blocks(image, train.images(), "image")))
    texts = _blocks(text, train.texts(), "text")
    if pairing == "image":
        texts = _means(texts, owner, len(x))
        owner = np.arange(len(x))
    pairs = len(owner)
    count = np.bincount(owner, minlength=len(x)).astype(np.float64)
    chunks = [slice(start, start + CHUNK) for start in range(0, len(x), CHUNK)]
    x_mean: Floats = np.sum([count[chunk] @ x[chunk] for chunk in chunks], axis=0) / pairs
    xx = np.zeros((x.shape[1], x.shape[1]))
    for chunk in chunks:
        # Centred before the products, which then lose no digits to a large mean.
        centred = x[chunk] - x_mean
        xx += (centred.T * count[chunk]) @ centred
    y_sum = yy = xy = None
    done = 0
    for block in texts:
        images = x[owner[done : done + len(block)]] - x_mean
        done += len(block)
        sparse = np.count_nonzero(block) < SPARSE * block.size
        y: Any = scipy.sparse.csr_array(block.astype(np.float64)) if sparse else block.astype(np.float64)
        square = y.T @ y
        parts = np.asarray(y.sum(axis=0)), square.toarray() if sparse else square, (y.T @ images).T
        if y_sum is None:
            y_sum, yy, xy = parts
        else:
            y_sum, yy, xy = y_sum + parts[0], yy + parts[1], xy + parts[2]
    if done != pairs or y_sum is None or yy is None or xy is None:
        raise TrainingError(f"cca: {done} captions came for {pairs} pairs")
    y_mean = y_sum / pairs
    return _Moments(x_mean, y_mean, xx / pairs, yy / pairs - np.outer(y_mean, y_mean), xy / pairs)


def _means(
    blocks: Iterator[npt.NDArray[np.float32]], owner: npt.NDArray[np.int64], images: int
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the mean of each image's captions, in blocks of images."""
    rows: Any = scipy.sparse.vstack([scipy.sparse.csr_array(block) for block in blocks], format="csr")
    share = 1.0 / np.bincount(owner, minlength=images)
    average = scipy.sparse.csr_array(
        (share[owner], (owner, np.arange(len(owner)))), shape=(images, len(owner))
    )
    means = average @ rows
    for start in range(0, images, CHUNK):
        yield means[start : start + CHUNK].toarray().astype(np.float32)


def _blocks(encoder: Affine, batches: Iterator[Tensor], what: str) -> Iterator[npt.NDArray[np.float32]]:
    for batch in batches:
        block = encoder.features(batch).float().cpu().numpy()
        if not np.isfinite(block).all():
            raise TrainingError(f"cca: the {what} encoder's features are NaN or infinite")
        yield block


class _Side:
    """The whitening of one side: ``(C + r I) = L L'``, after each feature was divided by `scale`."""

    def __init__(self, covariance: Floats, regularizer: float, *, standardize: bool) -> None:
        size = len(covariance)
        deviation = np.sqrt(np.diag(covariance).clip(min=0.0))
        # A feature that never changes carries nothing; dividing by its zero would.
        usable = deviation > 1e-6 * deviation.max(initial=0.0)
        self.scale = np.where(usable, deviation, 1.0) if standardize else np.ones(size)
        scaled = covariance / np.outer(self.scale, self.scale)
        mean = np.trace(scaled) / size
        if not mean > 0:
            raise TrainingError("cca: the features of one side are the same for all train pairs")
        scaled[np.diag_indices(size)] += regularizer * mean
        try:
            self.factor = scipy.linalg.cholesky(scaled, lower=True, overwrite_a=True, check_finite=False)
        except scipy.linalg.LinAlgError as error:
            raise TrainingError(
                f"cca: a covariance of {size} features is singular: {error}",
                hint="Raise 'image_regularizer' or 'text_regularizer'.",
            ) from error

    def whiten(self, rows: Floats) -> Floats:
        """Return ``L^-1 (rows / scale)`` of (features, anything)."""
        whitened: Floats = scipy.linalg.solve_triangular(self.factor, rows / self.scale[:, None], lower=True)
        return whitened

    def unwhiten(self, vectors: Floats) -> Floats:
        """Return directions in the original features of (features, directions) in the whitened ones."""
        original: Floats = scipy.linalg.solve_triangular(self.factor, vectors, lower=True, trans="T")
        return original / self.scale[:, None]


def _leading(cross: Floats, count: int) -> tuple[Floats, Floats, Floats]:
    """Return the leading singular triplets of the whitened cross-covariance, values falling."""
    if cross.shape[0] > cross.shape[1]:
        v, correlation, u = _leading(cross.T, count)
        return u, correlation, v
    size = len(cross)
    _, vectors = scipy.linalg.eigh(cross @ cross.T, subset_by_index=(size - count, size - 1))
    u = vectors[:, ::-1]
    # Each direction's largest entry is positive: the same signs on every machine.
    u = u * np.sign(u[np.abs(u).argmax(axis=0), np.arange(count)])
    v = cross.T @ u
    correlation = np.linalg.norm(v, axis=0)
    return u, correlation, v / np.where(correlation > 1e-12, correlation, 1.0)
