"""How well a score tells anomalous from regular examples, and where to raise an alarm.

Larger scores mean more anomalous. Letters here: N regular and M anomalous examples.
"""

import math
from typing import NamedTuple

import numpy as np

from seqgen.errors import UsageError, require
from seqgen.metrics.bootstrap import LEVEL
from seqgen.metrics.intervals import SIDES, Estimate


class Threshold(NamedTuple):
    """Alarm where a score is above `value`."""

    value: float  # infinite where there are too few examples for any alarm
    alpha: float
    n: int
    low: float  # where the false-alarm rate of this very threshold lies at `LEVEL`
    high: float


def auroc(regular_N: np.ndarray, anomalous_M: np.ndarray) -> Estimate:
    """P(anomalous > regular) + P(equal) / 2, with the interval of DeLong et al. 1988.

    Each example's share of won comparisons gives the variance,
        Var = var_M(share below) / M + var_N(share above) / N.
    Where all comparisons are won, or lost, that is 0; the interval is then that of as many
    independent trials as the smaller set has examples. Costs a sort.
    """
    regular_N, anomalous_M = _scores(regular_N, anomalous_M)
    won_M, won_N = _below(regular_N, anomalous_M), 1 - _below(anomalous_M, regular_N)
    value = float(np.mean(won_M))
    error = SIDES * math.sqrt(
        np.var(won_M, ddof=1) / len(won_M) + np.var(won_N, ddof=1) / len(won_N)
    )
    if value in (0.0, 1.0):
        error = 1 - ((1 - LEVEL) / 2) ** (1 / min(len(won_M), len(won_N)))
    return Estimate(value, max(0.0, value - error), min(1.0, value + error))


def average_precision(
    regular_N: np.ndarray, anomalous_M: np.ndarray, draws: int = 500, seed: int = 0
) -> Estimate:
    """sum over thresholds of precision × gain in recall, without interpolation.

    A score that says nothing has M / (N + M), so the number is comparable at one share of anomalous
    examples only. The interval is that of a bootstrap within the two sets: draws × (N + M).
    """
    regular_N, anomalous_M = _scores(regular_N, anomalous_M)
    # thresholds from the highest score down
    _, place = np.unique(-np.concatenate([anomalous_M, regular_N]), return_inverse=True)
    sizes = (len(anomalous_M), len(regular_N))
    places = place[: sizes[0]], place[sizes[0] :]
    random = np.random.RandomState(seed)  # its numbers never change (NEP 19)
    numbers = [_area(places, [np.ones(size) for size in sizes])]
    for _ in range(draws):
        weights = [random.multinomial(size, np.full(size, 1 / size)) for size in sizes]
        numbers.append(_area(places, weights))
    tail = 100 * (1 - LEVEL) / 2
    return Estimate(numbers[0], *map(float, np.percentile(numbers[1:], (tail, 100 - tail))))


def conformal_threshold(regular_N: np.ndarray, alpha: float) -> Threshold:
    """The threshold that a new regular score exceeds with a probability of at most alpha.

    It is the ceil((N + 1)(1 - alpha))-th smallest score (split conformal prediction, Vovk et al.
    2005; Lei et al. 2018). The guarantee holds for any score that was made without these N
    examples, on average over their draws. Given these very N it is a draw of Beta(N + 1 - k, k),
    k the rank, whose interval comes with it.
    """
    (scores_N,) = _scores(regular_N)
    if not 0 < alpha < 1:
        raise UsageError(f"alpha must be in (0, 1), not {alpha}")
    n = len(scores_N)
    rank = math.ceil((n + 1) * (1 - alpha) - 1e-9)  # 0.9 * 10 is 9 in spite of rounding
    if rank > n:
        return Threshold(math.inf, alpha, n, 0.0, 0.0)
    tail, beta = (1 - LEVEL) / 2, require("scipy.stats", "data").beta
    low, high = (float(beta.ppf(p, n + 1 - rank, rank)) for p in (tail, 1 - tail))
    return Threshold(float(np.partition(scores_N, rank - 1)[rank - 1]), alpha, n, low, high)


def _scores(*sets) -> list[np.ndarray]:
    arrays = [np.asarray(scores, np.float64) for scores in sets]
    for array in arrays:
        if array.ndim != 1 or len(array) < 2:
            raise UsageError(f"scores must be 2 numbers or more, not of shape {array.shape}")
        if np.any(np.isnan(array)):
            raise UsageError("scores must be numbers, not NaN")
    return arrays


def _below(x_N, y_M):
    """The share of x below each of y, equal ones counted half [M]."""
    x_N = np.sort(x_N)
    return (np.searchsorted(x_N, y_M, "left") + np.searchsorted(x_N, y_M, "right")) / 2 / len(x_N)


def _area(places, weights) -> float:
    size = 1 + max(place.max() for place in places)
    hits, alarms = (
        np.cumsum(np.bincount(place, weight, size))
        for place, weight in zip(places, weights, strict=True)
    )
    gains = np.diff(hits, prepend=0)
    return float(np.sum(gains * hits / np.maximum(hits + alarms, 1)) / hits[-1])
