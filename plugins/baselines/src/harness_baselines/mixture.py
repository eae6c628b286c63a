"""A mixture of Gaussians over word vectors."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.api import ParameterError

Floats = npt.NDArray[np.float64]
FLOOR = 0.01
"""Least variance of a component, in units of the mean variance of the vectors' coordinates.

A component that holds a few equal words would divide by almost nothing.
"""
ITERATIONS = 200


@dataclass(frozen=True, eq=False, kw_only=True)
class Mixture:
    """Gaussians with diagonal covariances.

    Attributes:
        weights: (components,) shares, which sum to 1.
        means: (components, width).
        deviations: (components, width) standard deviations, above 0.
        posteriors: (vectors, components) shares of each vector that each component accounts for.
    """

    weights: Floats
    means: Floats
    deviations: Floats
    posteriors: Floats


def fit_mixture(vectors: Floats, components: int, seed: int) -> Mixture:
    """Fit a mixture by expectation-maximisation from k-means, the same for the same seed.

    Args:
        vectors: (vectors, width), finite.

    Raises:
        ParameterError: if there are fewer distinct vectors than components.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    distinct = len(np.unique(vectors, axis=0))
    if distinct < components:
        raise ParameterError(
            f"fisher-words: parameter 'components' is {components}, and the train words have {distinct} vectors",
            hint="Lower 'components' of the text encoder.",
        )
    floor = FLOOR * float(vectors.var(axis=0).mean())
    model = GaussianMixture(
        components,
        covariance_type="diag",
        reg_covar=floor or FLOOR,
        max_iter=ITERATIONS,
        random_state=seed % 2**32,
    )
    # One thread: sums in another order would end elsewhere.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(vectors)
        posteriors = model.predict_proba(vectors)
    return Mixture(
        weights=model.weights_,
        means=model.means_,
        deviations=np.sqrt(model.covariances_),
        posteriors=posteriors,
    )
