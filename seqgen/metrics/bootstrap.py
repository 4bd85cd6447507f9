"""How sure a difference between two models is that were measured on the same examples."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Rows = dict[str, np.ndarray]  # name -> [N, 2]: each example's value and weight
DRAWS = 1000
LEVEL = 0.95


class Difference(NamedTuple):
    """The first model's number minus the second's, and the interval that holds it at `LEVEL`."""

    value: float
    low: float
    high: float


def paired(
    first: Rows,
    second: Rows,
    finalize: Callable[[dict[str, float]], dict[str, float]],
    seed: int = 0,
) -> dict[str, Difference]:
    """The difference in each reported number, by the paired bootstrap (Koehn 2004).

    Examples are drawn again with replacement, the same ones for both models, and all numbers are
    computed anew from the sums: so it serves the mean of a loss and the BLEU of a corpus alike.

    Args:
      first, second: of the same N examples in the same order.
      finalize: means over examples -> reported numbers.
    """
    size = len(next(iter(first.values())))
    # RandomState's numbers never change (NEP 19)
    drawn_KN = np.random.RandomState(seed).multinomial(size, np.full(size, 1 / size), DRAWS)
    weights_KN = np.concatenate([np.ones((1, size)), drawn_KN])  # first the examples as they are
    one, other = (_numbers(rows, weights_KN, finalize) for rows in (first, second))
    differences = {name: one[name] - other[name] for name in one}
    tail = 100 * (1 - LEVEL) / 2
    return {
        name: Difference(float(d[0]), *map(float, np.percentile(d[1:], (tail, 100 - tail))))
        for name, d in differences.items()
    }


def _numbers(rows, weights_KN, finalize):
    """name -> the reported number under each weighting of the examples [K]."""
    means = {}
    for name, rows_N2 in rows.items():
        sums_K2 = weights_KN @ rows_N2.astype(np.float64)
        with np.errstate(invalid="ignore"):  # a mean of nothing is NaN
            means[name] = sums_K2[:, 0] / sums_K2[:, 1]
    each = [
        finalize({name: float(m[k]) for name, m in means.items()}) for k in range(len(weights_KN))
    ]
    return {name: np.asarray([numbers[name] for numbers in each]) for name in each[0]}
