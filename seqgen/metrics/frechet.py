"""The Fréchet distance between the Gaussians that two sets of features would be.

Letters here: N real and M generated examples, F features.
"""

from typing import NamedTuple

import numpy as np

from seqgen.errors import UsageError
from seqgen.metrics.intervals import Estimate, by_halves
from seqgen.metrics.samples import checked

NAME = "fd-"  # then the features, and how many examples
WIDEST = 2048  # features: the cost grows with their cube


class Frechet(NamedTuple):
    """A distance in the unit of the features squared; smaller is better."""

    name: str  # such as "fd-pixels, n=2500": never comparable between names
    distance: Estimate
    n: int  # real examples
    m: int  # generated examples


def distance(
    real_NF: np.ndarray,
    generated_MF: np.ndarray,
    features: str,
    draws: int = 20,
    seed: int = 0,
) -> Frechet:
    """|mu - mu'|^2 + tr(C + C' - 2 (C^1/2 C' C^1/2)^1/2) (Heusel et al. 2017).

    Few examples make it too large, by an amount that goes like 1 / n and that the interval does not
    know of: compare only at one n. The interval is that of `by_halves`; the cost is draws + 1 times
    (N + M) F^2 + F^3.

    Args:
      features: what they are, such as "pixels", for the name.
    """
    x_NF, y_MF = checked(least=4, real=real_NF, generated=generated_MF)
    if x_NF.shape[1] > WIDEST:
        raise UsageError(
            f"the Fréchet distance takes at most {WIDEST} features, not {x_NF.shape[1]}"
        )

    def between(some_N, others_M):
        return np.asarray([of_gaussians(*_fitted(x_NF[some_N]), *_fitted(y_MF[others_M]))])

    n, m = len(x_NF), len(y_MF)
    (found,) = by_halves(between, (n, m), draws, seed)
    size = f"n={n}" if n == m else f"n={n} against {m}"
    found = found._replace(low=max(0.0, found.low))
    return Frechet(f"{NAME}{features}, {size}", found, n, m)


def of_gaussians(
    mean_F: np.ndarray, covariance_FF: np.ndarray, other_F: np.ndarray, other_FF: np.ndarray
) -> float:
    """The squared 2-Wasserstein distance between two Gaussians, in float64.

    The product of two covariances is not symmetric and its root may come out complex; that of
    C^1/2 C' C^1/2 has the same trace, and eigenvalues that are not negative but for rounding.
    """
    value_F, vector_FF = np.linalg.eigh(covariance_FF)
    root_FF = (vector_FF * np.sqrt(np.maximum(value_F, 0))) @ vector_FF.T
    product_FF = root_FF @ other_FF @ root_FF
    shared_F = np.linalg.eigvalsh((product_FF + product_FF.T) / 2)
    traces = np.trace(covariance_FF) + np.trace(other_FF)
    squares = np.sum((mean_F - other_F) ** 2)
    found = squares + traces - 2 * np.sum(np.sqrt(np.maximum(shared_F, 0)))
    return max(float(found), 0.0)  # in this order NaN stays NaN


def _fitted(x_NF):
    mean_F = x_NF.mean(axis=0)
    away_NF = x_NF - mean_F
    return mean_F, away_NF.T @ away_NF / (len(x_NF) - 1)
