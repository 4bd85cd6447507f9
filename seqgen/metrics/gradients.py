"""How far an error reaches back in time: decay rates, half-lives and verdicts. NumPy arrays.

Norms are natural logarithms: -inf where nothing arrives, as behind a unit without slope, and nan
where a row has no such step. `trajectories.py` measures them.
"""

import math
from typing import NamedTuple

import numpy as np

# So many halvings over all steps of a row make a verdict of vanishing, so many doublings one of
# exploding. After ten, less than a thousandth of the error reaches the first step, which is below
# the noise of any mini-batch's gradient (1,000 examples still have 3 %); an error that has grown a
# thousandfold is all that is left of a gradient whose norm is clipped.
HALVINGS = 10.0

# A unit or gate is saturated where the slope of its function is below this share of the largest
# that the function has: |tanh| > 0.95, a sigmoid below 0.026 or above 0.974, a relu that is off.
SATURATED = 0.1
BINS = 20  # of a histogram of slopes, from zero to the largest


class Decay(NamedTuple):
    """The slope of log norms against the number of steps before the last."""

    rate: float  # nats per step back; below zero where the error vanishes
    half_life: float  # steps in which it halves; infinite where it does not fall
    halvings: float  # over all steps of a row; below zero where the error grows
    blocked: float  # share of the rows in which nothing arrives at the first step
    verdict: str  # vanishing, stable or exploding


def by_lag(log_TB: np.ndarray, real_TB: np.ndarray) -> np.ndarray:
    """Each row's real steps from its last one back, nan behind its first: [T, B].

    What is no number at a real step has overflown, and is inf here.
    """
    log_TB, real_TB = np.asarray(log_TB, float), np.asarray(real_TB, bool)
    found_TB = np.full(log_TB.shape, np.nan)
    for row in range(log_TB.shape[1]):
        steps = log_TB[real_TB[:, row], row][::-1]
        found_TB[: len(steps), row] = np.where(np.isnan(steps), np.inf, steps)
    return found_TB


def decay(log_TB: np.ndarray) -> Decay:
    """The decay of log norms that begin with each row's last step, as from `by_lag`.

    One slope by least squares for all rows, each of them at a level of its own: of rows of one
    length that of the line through their means. Steps at which nothing arrives have no part in it,
    but where that is so at the first step of more than half of the rows, the error vanishes. Where
    a norm is not finite, it has exploded.
    """
    lengths_B = np.sum(~np.isnan(log_TB), axis=0)
    if not lengths_B.any():  # no row has any error
        return Decay(-math.inf, 0.0, math.inf, 1.0, "vanishing")
    if np.isposinf(log_TB).any():
        return Decay(math.inf, math.inf, -math.inf, 0.0, "exploding")
    rows_B = np.flatnonzero(lengths_B)
    blocked = float(np.mean(np.isneginf(log_TB[lengths_B[rows_B] - 1, rows_B])))
    finite_TB = np.isfinite(log_TB)
    lag_TB = np.where(finite_TB, np.arange(len(log_TB))[:, None], np.nan)
    known_TB = np.where(finite_TB, log_TB, np.nan)
    several_B = finite_TB.sum(axis=0) > 1
    if not several_B.any():  # rows of one step, or nothing gets past the last
        if blocked > 0.5:
            return Decay(-math.inf, 0.0, math.inf, blocked, "vanishing")
        return Decay(0.0, math.inf, 0.0, blocked, "stable")
    lag_TB, known_TB = lag_TB[:, several_B], known_TB[:, several_B]
    away_TB, high_TB = (x - means(x, axis=0)[None] for x in (lag_TB, known_TB))
    rate = float(np.nansum(away_TB * high_TB) / np.nansum(away_TB**2))
    halvings = -rate * float(lengths_B[rows_B].mean() - 1) / math.log(2)
    verdict = "stable"
    if halvings > HALVINGS or blocked > 0.5:
        verdict = "vanishing"
    elif halvings < -HALVINGS:
        verdict = "exploding"
    half_life = -math.log(2) / rate if rate < 0 else math.inf
    return Decay(rate, half_life, halvings, blocked, verdict)


def means(log: np.ndarray, axis: int = 1) -> np.ndarray:
    """Means over rows of what is finite, nan where nothing is."""
    finite = np.isfinite(log)
    total = np.sum(np.where(finite, log, 0), axis=axis)
    counts = np.sum(finite, axis=axis)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)


def half_lives(log_TB: np.ndarray) -> np.ndarray:
    """The half-life of each row by itself, [B]."""
    return np.asarray([decay(log_TB[:, [row]]).half_life for row in range(log_TB.shape[1])])


class Slopes(NamedTuple):
    """How steep a gate is where its pre-activations are, in shares of the largest slope."""

    mean: float
    closed: float  # share that is saturated at or below the value of the function at zero
    opened: float  # above it
    histogram: np.ndarray  # shares of BINS bins from 0 to 1, the last of them open


def slopes(slope_N: np.ndarray, value_N: np.ndarray, largest: float, at_zero: float) -> Slopes:
    """Of one gate: its slopes and values at N places, the largest slope there is, its value at 0.

    A slope below zero counts as its size.
    """
    share_N = np.abs(np.asarray(slope_N, float)) / largest
    flat_N, low_N = share_N < SATURATED, np.asarray(value_N) <= at_zero
    counts, _ = np.histogram(np.minimum(share_N, 1.0), BINS, (0.0, 1.0))
    return Slopes(
        float(share_N.mean()),
        float(np.mean(flat_N & low_N)),
        float(np.mean(flat_N & ~low_N)),
        counts / counts.sum(),
    )
