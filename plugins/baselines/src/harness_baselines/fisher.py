"""Fisher vectors of a caption's word vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.api import ParameterError
from harness_baselines.fixed import FixedWords
from harness_baselines.mixture import fit_mixture


class FisherWords(FixedWords):
    """Embed a caption as an affine function of its Fisher vector (Klein et al., CVPR 2015, with a GMM).

    A mixture of Gaussians with diagonal covariances is fitted to the vectors of the train words, each distinct word
    once. A caption's Fisher vector is the gradient of its words' log-likelihood in the means and the deviations, in
    units of their Fisher information (Perronnin, Sanchez and Mensink, ECCV 2010, eq. 7-8): over the words x of a
    caption, with the posterior g_k(x) of component k,

        mean_k      = 1 / sqrt(w_k)    sum of  g_k(x) (x - m_k) / s_k
        deviation_k = 1 / sqrt(2 w_k)  sum of  g_k(x) [ (x - m_k)^2 / s_k^2 - 1 ]

    and then, as there, sign(f) |f|^power and length 1. A caption without a known word is zero.

    Args:
        dim: size of the common embedding.
        captions: captions of the train split: its words come from here alone.
        seed: of the run; starts the mixture.
        vectors: ``package`` (GloVe 6B, 50 dimensions, lower-case) or the path of a text file; words without a vector
            are left out. ``None`` draws 50 numbers for every word: vectors that know no meaning.
        components: Gaussians, at least 1.
        pca: principal components of the vectors that are kept, each at variance 1; ``None`` takes vectors as they are.
        power: of the entries, in (0, 1]; 1 leaves them.
        lower: lower-case captions.
        min_count: times that a word must occur in `captions`.
        length: words kept of a caption.

    Raises:
        ParameterError: if a number is out of range, or `vectors` cannot be found.
        TrainingError: if no word is left.
    """

    projection: nn.Linear

    def __init__(
        self,
        *,
        dim: int,
        captions: Sequence[str],
        seed: int,
        vectors: str | None = None,
        components: int = 30,
        pca: int | None = None,
        power: float = 0.5,
        lower: bool = True,
        min_count: int = 1,
        length: int = 64,
    ) -> None:
        super().__init__(
            kind="fisher-words",
            captions=captions,
            vectors=vectors,
            lower=lower,
            min_count=min_count,
            length=length,
        )
        self.posterior: Tensor
        self.share: Tensor
        self.centre: Tensor
        self.deviation: Tensor
        if components < 1:
            raise ParameterError(f"fisher-words: parameter 'components' is {components}, not a number from 1")
        if not 0 < power <= 1:
            raise ParameterError(f"fisher-words: parameter 'power' is {power}, not in (0, 1]")
        self.power = power
        words = self.table[1:].double().numpy()
        if pca is not None:
            words = principal(words, pca)
            self.table = functional.pad(torch.from_numpy(words).float(), (0, 0, 1, 0))
        mixture = fit_mixture(words, components, seed)
        for name, value in (
            ("posterior", np.vstack([np.zeros((1, components)), mixture.posteriors])),
            ("share", mixture.weights),
            ("centre", mixture.means),
            ("deviation", mixture.deviations),
        ):
            self.register_buffer(name, torch.from_numpy(value).float())
        self.projection = nn.Linear(2 * components * self.table.shape[1], dim)

    def features(self, inputs: Tensor) -> Tensor:
        """Return (batch, 2 components width) Fisher vectors of (batch, length) word numbers, of length 1 or 0."""
        ids = inputs[:, : max(1, int((inputs > 0).sum(1).max()))]
        # In float64: the squares below are small differences of large sums.
        words, posterior = self.table[ids].double(), self.posterior[ids].double().transpose(1, 2)
        count = posterior.sum(2, keepdim=True)
        first, second = posterior @ words, posterior @ words.square()
        centre, deviation = self.centre.double(), self.deviation.double()
        weight = self.share.double()[:, None]
        means = (first - count * centre) / deviation / weight.sqrt()
        squares = (second - 2 * centre * first + count * centre.square()) / deviation.square()
        deviations = (squares - count) / (2 * weight).sqrt()
        fisher = torch.cat([means.flatten(1), deviations.flatten(1)], dim=1)
        return functional.normalize(fisher.sign() * fisher.abs() ** self.power, dim=1).float()


def principal(vectors: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """Return the (n, count) leading principal components of (n, width) vectors, each with mean 0 and variance 1.

    Raises:
        ParameterError: if there are not so many that differ from 0.
    """
    centred = vectors - vectors.mean(axis=0)
    variance, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    most = int((variance > 1e-9 * variance.max()).sum())
    if not 1 <= count <= most:
        raise ParameterError(f"fisher-words: parameter 'pca' is {count}, not in 1..{most}")
    axes = axes[:, ::-1][:, :count]
    # Each axis's largest entry is positive: the same signs on every machine.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(count)])
    return np.asarray(centred @ axes / np.sqrt(variance[::-1][:count]))
