"""How a model uses its latent vector: active units, the posteriors of all data, and its paths."""

import math
from typing import NamedTuple

import numpy as np

ACTIVE = 0.01  # variance of a unit's posterior mean over the data (Burda et al. 2016)
EXAMPLES = 2000  # at most, since every sample is held against every posterior


class Aggregate(NamedTuple):
    """The KL of an example's posterior from the prior, in two parts (Hoffman and Johnson 2016).

    Both are estimated with one sample of each posterior, in nats.
    """

    kl: float  # of the mixture of all posteriors from the prior
    mutual_information: float  # of the number of the example and z: at most log n
    n: int


def active_units(mean_NZ: np.ndarray) -> np.ndarray:
    """Whether each latent number says something of the example, [Z]."""
    return np.var(np.asarray(mean_NZ, np.float64), axis=0) > ACTIVE


def aggregate(mean_NZ: np.ndarray, log_variance_NZ: np.ndarray, seed: int = 0) -> Aggregate:
    """Of posteriors N(mean, exp(log_variance)) and a standard normal prior; `EXAMPLES` at most."""
    # RandomState's numbers never change (NEP 19)
    random = np.random.RandomState(seed)
    chosen = random.permutation(len(mean_NZ))[:EXAMPLES]
    mean_NZ, log_variance_NZ = (
        np.asarray(x, np.float64)[chosen] for x in (mean_NZ, log_variance_NZ)
    )
    z_NZ = mean_NZ + np.exp(0.5 * log_variance_NZ) * random.randn(*mean_NZ.shape)
    # the 2 pi of all three densities cancel
    own_N = -0.5 * np.sum((z_NZ - mean_NZ) ** 2 * np.exp(-log_variance_NZ) + log_variance_NZ, 1)
    prior_N = -0.5 * np.sum(z_NZ**2, 1)
    mixture_N = np.asarray([_log_mixture(z_Z, mean_NZ, log_variance_NZ) for z_Z in z_NZ])
    return Aggregate(
        kl=float(np.mean(mixture_N - prior_N)),
        mutual_information=float(np.mean(own_N - mixture_N)),
        n=len(mean_NZ),
    )


def abruptness(path_SF: np.ndarray) -> float:
    """The largest step of a path of examples relative to the mean step, of S - 1 steps.

    1 where it goes on evenly, S - 1 where it stands still but for one jump; NaN for a path that
    never moves.
    """
    path_SF = np.asarray(path_SF, np.float64).reshape(len(path_SF), -1)
    step_S = np.linalg.norm(np.diff(path_SF, axis=0), axis=1)
    return float(step_S.max() / step_S.mean()) if step_S.any() else math.nan


def _log_mixture(z_Z, mean_NZ, log_variance_NZ):
    log_q_N = -0.5 * np.sum((z_Z - mean_NZ) ** 2 * np.exp(-log_variance_NZ) + log_variance_NZ, 1)
    highest = log_q_N.max()
    return highest + np.log(np.mean(np.exp(log_q_N - highest)))
