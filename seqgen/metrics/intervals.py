"""A number measured on a sample, with the interval that holds what it estimates at `LEVEL`."""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from seqgen.errors import UsageError, require
from seqgen.metrics.bootstrap import LEVEL

SIDES = NormalDist().inv_cdf(0.5 + LEVEL / 2)  # standard errors on either side


class Estimate(NamedTuple):
    """What was measured, and its interval."""

    value: float
    low: float
    high: float


def share(hits: int, n: int) -> Estimate:
    """hits / n of independent yes-or-no trials, with the interval of Clopper & Pearson 1934.

    It holds the true share at least as often as it says, for any n: also at 0 and at 1, where the
    bootstrap would claim to be certain.
    """
    if not 0 <= hits <= n or n < 1:
        raise UsageError(f"a share needs 0 <= hits <= n and n at least 1, not {hits} of {n}")
    beta, tail = require("scipy.stats", "data").beta, (1 - LEVEL) / 2
    low = beta.ppf(tail, hits, n - hits + 1) if hits else 0.0
    high = beta.ppf(1 - tail, hits + 1, n - hits) if hits < n else 1.0
    return Estimate(hits / n, float(low), float(high))


def of_refits(value_R: np.ndarray) -> Estimate:
    """The mean of R refits of a model by cross-validation, with Student's interval.

    Refits share most of the examples that they are trained on, so they are more alike than on new
    ones they would be. As tried on one part and trained on R - 1, their variance is therefore
    multiplied by 1 / R + 1 / (R - 1) instead of 1 / R (Nadeau & Bengio 2003).
    """
    refits = len(value_R)
    if refits < 2:
        raise UsageError(f"an interval needs at least 2 refits, not {refits}")
    value, variance = np.mean(value_R), np.var(value_R, ddof=1)
    sides = require("scipy.stats", "data").t.ppf(0.5 + LEVEL / 2, refits - 1)
    error = sides * np.sqrt(variance * (1 / refits + 1 / (refits - 1)))
    return Estimate(float(value), float(value - error), float(value + error))


def over_runs(values: Sequence[float]) -> Estimate:
    """The mean of one number of independent runs, such as seeds, with Student's t interval.

    A single run says nothing of how much runs differ: its interval is endless.
    """
    value_R = np.asarray(values, float)
    n = len(value_R)
    if n < 1:
        raise UsageError("a mean over runs needs a run at least")
    value = float(value_R.mean())
    if n == 1:
        return Estimate(value, -math.inf, math.inf)
    reach = require("scipy.stats", "data").t.ppf(0.5 + LEVEL / 2, n - 1)
    error = float(reach * value_R.std(ddof=1) / math.sqrt(n))
    return Estimate(value, value - error, value + error)


def by_halves(
    statistic: Callable[..., np.ndarray],
    sizes: tuple[int, ...],
    draws: int,
    seed: int,
) -> list[Estimate]:
    """Estimates of each number of a statistic, value ± 1.96 standard errors.

    The standard error is the spread of the statistic over random halves of every set (the delete-d
    jackknife of Shao & Wu 1989 with d = n / 2, where a mean's spread over halves is its standard
    error). An ordinary bootstrap would draw examples twice, and an example drawn twice is its own
    nearest neighbour. The cost is draws + 1 times that of the statistic.

    Args:
      statistic: index arrays, one for each set -> numbers [S].
      sizes: of the sets, 4 at least.
    """
    random = np.random.RandomState(seed)  # its numbers never change (NEP 19)
    value_S = statistic(*(np.arange(size) for size in sizes))
    halves_KS = [
        statistic(*(random.permutation(size)[: size // 2] for size in sizes)) for _ in range(draws)
    ]
    error_S = SIDES * np.std(halves_KS, axis=0, ddof=1)
    return [
        Estimate(float(v), float(v - e), float(v + e))
        for v, e in zip(value_S, error_S, strict=True)
    ]


def shared(estimate: Estimate, error: float) -> Estimate:
    """The same where all runs also share an error, such as that of one test set.

    Runs do not show it by how they differ. It is independent of what they show, so that the squares
    of the two add up.

    Args:
      error: its standard error.
    """
    sides = SIDES * error
    below, above = estimate.value - estimate.low, estimate.high - estimate.value
    low, high = math.hypot(below, sides), math.hypot(above, sides)
    return Estimate(estimate.value, estimate.value - low, estimate.value + high)
