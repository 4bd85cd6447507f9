"""Sets of samples: checked, thinned to a bound, and the distances between their examples.

Letters here: N and M examples of two sets, F features.
"""

import numpy as np

from seqgen.errors import UsageError

SAME = 1e-12  # of |x|^2 + |y|^2: a squared distance below is rounding
CHUNK = 2**20  # distances held at once


def checked(
    least: int = 2, dtype: type | None = np.float64, **sets: np.ndarray
) -> list[np.ndarray]:
    """Each set [N, ...] as [N, F], or a UsageError that names the set and what is wrong.

    dtype: of the sets; None: floats stay as they are, since a large set would be copied.
    """
    arrays = []
    for name, values in sets.items():
        array = np.asarray(values)
        if array.ndim < 2:
            raise UsageError(f"{name} must be examples by features, not of shape {array.shape}")
        if len(array) < least:
            raise UsageError(f"{name} needs at least {least} examples, not {len(array)}")
        kept = dtype is None and np.issubdtype(array.dtype, np.floating)
        wanted = array.dtype if kept else dtype or np.float64
        array = array.reshape(len(array), -1).astype(wanted, copy=False)
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
    return _squares(x_NF - centre_F, y_MF - centre_F)


def _squares(x_NF, y_MF):
    """Squared distances [N, M] of what is centred."""
    sizes_NM = np.sum(x_NF**2, axis=1)[:, None] + np.sum(y_MF**2, axis=1)[None]
    squares_NM = sizes_NM - 2 * (x_NF @ y_MF.T)
    squares_NM[squares_NM < SAME * sizes_NM] = 0
    return squares_NM


def nearest(x_NF: np.ndarray, y_MF: np.ndarray, k: int) -> np.ndarray:
    """How far the k nearest of y are from each of x, in order [N, k]; N M F multiplications.

    They are computed in float64 in blocks of y, which may be many and float32: beside the sets,
    `CHUNK` distances are held, and no copy of y. The k are computed again from the pairs
    themselves: the distance of a copy is exactly 0.
    """
    centre_F = np.mean(y_MF, axis=0, dtype=np.float64)
    x_NF = x_NF.astype(np.float64, copy=False)
    centred_NF, rows = x_NF - centre_F, max(k, CHUNK // len(x_NF))
    square_Nk, near_Nk = np.empty((len(x_NF), 0)), np.empty((len(x_NF), 0), int)
    for start in range(0, len(y_MF), rows):
        square_NB = _squares(centred_NF, y_MF[start : start + rows] - centre_F)
        block_NB, square_NB = _least(square_NB, k)
        near_NX = np.concatenate([near_Nk, start + block_NB], axis=1)
        least_Nk, square_Nk = _least(np.concatenate([square_Nk, square_NB], axis=1), k)
        near_Nk = np.take_along_axis(near_NX, least_Nk, axis=1)
    squares_kN = [np.sum((x_NF - y_MF[near_N]) ** 2, axis=1) for near_N in near_Nk.T]
    return np.sqrt(np.sort(squares_kN, axis=0)).T


def _least(x_NM, k: int):
    """(places [N, k], values [N, k]) of the k least in each row, or of all where M < k."""
    place_Nk = np.argpartition(x_NM, min(k, x_NM.shape[1]) - 1, axis=1)[:, :k]
    return place_Nk, np.take_along_axis(x_NM, place_Nk, axis=1)
