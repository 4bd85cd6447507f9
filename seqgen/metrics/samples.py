"""Sets of samples: checked, thinned to a bound, and the distances between their examples.

Letters here: N and M examples of two sets, F features.
"""

import numpy as np

from seqgen.errors import UsageError

SAME = 1e-12  # of |x|^2 + |y|^2: a squared distance below is rounding
CHUNK = 2**20  # distances held at once


def checked(least: int = 2, **sets: np.ndarray) -> list[np.ndarray]:
    """Each set [N, ...] as float64 [N, F], or a UsageError that names the set and what is wrong."""
    arrays = []
    for name, values in sets.items():
        array = np.asarray(values)
        if array.ndim < 2:
            raise UsageError(f"{name} must be examples by features, not of shape {array.shape}")
        if len(array) < least:
            raise UsageError(f"{name} needs at least {least} examples, not {len(array)}")
        array = array.reshape(len(array), -1).astype(np.float64)
        if not np.all(np.isfinite(array)):
            raise UsageError(f"{name} has values that are not finite")
        if arrays and array.shape[1] != arrays[0].shape[1]:
            first = next(iter(sets))
            raise UsageError(
                f"{name} has {array.shape[1]} features, but {first} has {arrays[0].shape[1]}"
            )
        arrays.append(array)
    return arrays


def thinned(x_NF: np.ndarray, most: int, random: np.random.RandomState) -> np.ndarray:
    """So many of the examples at most, drawn without replacement; in random order."""
    return x_NF[random.permutation(len(x_NF))[:most]]


def squared_distances(x_NF: np.ndarray, y_MF: np.ndarray) -> np.ndarray:
    """|x - y|^2 of all pairs [N, M], by one matrix product.

    |x|^2 + |y|^2 - 2 x·y cancels where x is near y: so both are centred first, and what is then no
    more than rounding is 0.
    """
    centre_F = y_MF.mean(axis=0)
    x_NF, y_MF = x_NF - centre_F, y_MF - centre_F
    sizes_NM = np.sum(x_NF**2, axis=1)[:, None] + np.sum(y_MF**2, axis=1)[None]
    squares_NM = sizes_NM - 2 * (x_NF @ y_MF.T)
    squares_NM[squares_NM < SAME * sizes_NM] = 0
    return squares_NM


def nearest(x_NF: np.ndarray, y_MF: np.ndarray, k: int) -> np.ndarray:
    """How far the k nearest of y are from each of x, in order [N, k]; N M F multiplications.

    These distances are computed again from the pairs themselves: that of a copy is exactly 0.
    """
    rows = max(1, CHUNK // len(y_MF))
    found = []
    for start in range(0, len(x_NF), rows):
        some_NF = x_NF[start : start + rows]
        near_Nk = np.argpartition(squared_distances(some_NF, y_MF), k - 1, axis=1)[:, :k]
        squares_kN = [np.sum((some_NF - y_MF[near_N]) ** 2, axis=1) for near_N in near_Nk.T]
        found.append(np.sqrt(np.sort(squares_kN, axis=0)).T)
    return np.concatenate(found)
