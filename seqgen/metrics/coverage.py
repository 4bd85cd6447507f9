"""How much of the data a generator makes, and how much of what it makes is like the data.

Letters here: N real and M generated examples, F features, C centres of a mixture.
"""

import math
from typing import NamedTuple

import numpy as np

from seqgen.errors import UsageError
from seqgen.metrics.bootstrap import LEVEL
from seqgen.metrics.intervals import Estimate, by_halves, share
from seqgen.metrics.samples import checked, squared_distances, thinned

REACH = 3.0  # sigmas from its centre within which a sample is of high quality


class Neighbours(NamedTuple):
    """Shares that lie in balls around examples, each out to its k-th nearest of its own set."""

    precision: Estimate  # of the generated ones, in some real ball
    recall: Estimate  # of the real ones, in some generated ball
    density: Estimate  # real balls around a generated one / k; may exceed 1
    coverage: Estimate  # of the real balls, with a generated one inside
    k: int
    n: int  # real examples used
    m: int  # generated examples used


class Modes(NamedTuple):
    """What of a mixture with known centres is generated."""

    captured: int  # modes that are nearest to a sample of high quality at least
    modes: int
    high_quality: Estimate  # share of samples
    reverse_kl: Estimate  # nats; 0 where all modes get the same, ln(modes / k) for k of them
    n: int


def neighbours(
    real_NF: np.ndarray,
    generated_MF: np.ndarray,
    k: int = 5,
    *,
    most: int = 1000,
    draws: int = 50,
    seed: int = 0,
) -> Neighbours:
    """Precision and recall of Kynkäänniemi et al. 2019, density and coverage of Naeem et al. 2020.

    With B(x) the closed ball around x out to its k-th nearest neighbour in its own set:
        precision = mean over y of [y in some B(x)]       recall = mean over x of [x in some B(y)]
        density = mean over y of #{x: y in B(x)} / k      coverage = mean over x of [some y in B(x)]
    Equal distributions have a density of about 1 and a coverage of about 1 - (n / (n + m))^k. At
    most `most` examples of each set are used, drawn at random; draws + 1 times their square.
    """
    x_NF, y_MF = checked(least=4, real=real_NF, generated=generated_MF)
    random = np.random.RandomState(seed)  # its numbers never change (NEP 19)
    x_NF, y_MF = thinned(x_NF, most, random), thinned(y_MF, most, random)
    n, m = len(x_NF), len(y_MF)
    if not 1 <= k < min(n, m) // 2:
        raise UsageError(f"k must be at least 1 and below half of {min(n, m)} examples, not {k}")
    real_NN, generated_MM = squared_distances(x_NF, x_NF), squared_distances(y_MF, y_MF)
    between_NM = squared_distances(x_NF, y_MF)

    def shares(some_N, others_M):
        return _shares(
            real_NN[np.ix_(some_N, some_N)],
            generated_MM[np.ix_(others_M, others_M)],
            between_NM[np.ix_(some_N, others_M)],
            k,
        )

    found = by_halves(shares, (n, m), draws, seed)
    bounds = (1.0, 1.0, math.inf, 1.0)
    found = [
        Estimate(value, max(0.0, low), min(bound, high))
        for (value, low, high), bound in zip(found, bounds, strict=True)
    ]
    return Neighbours(*found, k, n, m)


def modes(
    generated_NF: np.ndarray,
    centres_CF: np.ndarray,
    sigma: float,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Modes:
    """Modes, high quality and reverse KL of a mixture of equal, round Gaussians (Lin et al. 2018).

    A sample belongs to the nearest centre and is of high quality within 3 sigma of it: of the data
    themselves a share of 1 - exp(-4.5) = 98.9 % in two dimensions. With p the shares of the modes
    among the samples of high quality,
        reverse KL = KL(p, uniform) = ln C - H(p),
    finite for any p, and NaN where no sample is of high quality. Sampling alone makes it about
    (C - 1) / 2n, which the bootstrap (reflected at the value) takes off its interval.
    """
    x_NF, centres_CF = checked(generated=generated_NF, centres=centres_CF)
    if not sigma > 0:
        raise UsageError(f"sigma must be above 0, not {sigma}")
    squares_NC = squared_distances(x_NF, centres_CF)
    good_N = squares_NC.min(axis=1) <= (REACH * sigma) ** 2
    size = len(centres_CF)
    counts_C = np.bincount(squares_NC.argmin(axis=1)[good_N], minlength=size)
    good = int(good_N.sum())
    quality = share(good, len(x_NF))
    if not good:
        nothing = Estimate(math.nan, math.nan, math.nan)
        return Modes(0, size, quality, nothing, len(x_NF))
    value = float(_from_uniform(counts_C))
    random = np.random.RandomState(seed)
    drawn_K = _from_uniform(random.multinomial(good, counts_C / good, draws))
    tail = 100 * (1 - LEVEL) / 2
    low, high = (2 * value - np.percentile(drawn_K, p) for p in (100 - tail, tail))
    # a value of sampling noise alone may lie above its own reflected interval
    kl = Estimate(value, max(0.0, float(low)), min(math.log(size), max(value, float(high))))
    return Modes(int(np.count_nonzero(counts_C)), size, quality, kl, len(x_NF))


def _shares(real_NN, generated_MM, between_NM, k: int) -> np.ndarray:
    """precision, recall, density, coverage, from squared distances."""
    # the nearest of all is the example itself
    radius_N = np.partition(real_NN, k, axis=1)[:, k]
    radius_M = np.partition(generated_MM, k, axis=1)[:, k]
    in_real_NM = between_NM <= radius_N[:, None]
    in_generated_NM = between_NM <= radius_M[None, :]
    return np.asarray(
        [
            in_real_NM.any(axis=0).mean(),
            in_generated_NM.any(axis=1).mean(),
            in_real_NM.sum(axis=0).mean() / k,
            in_real_NM.any(axis=1).mean(),
        ]
    )


def _from_uniform(counts_XC):
    """KL(shares, uniform) in nats [...]; 0 ln 0 is 0."""
    shares_XC = counts_XC / counts_XC.sum(axis=-1, keepdims=True)
    logs_XC = np.log(shares_XC, out=np.zeros_like(shares_XC), where=shares_XC > 0)
    return np.log(counts_XC.shape[-1]) + np.sum(shares_XC * logs_XC, axis=-1)
