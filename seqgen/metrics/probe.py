"""A small classifier without anything to tune: what examples alone let one tell of others.

Kernel ridge regression, its kernel and its ridge chosen by the exact leave-one-out error. The
classifier test (`two_sample.py`) and the claims read samples by it. Letters here: J examples to
learn from, K others, F features, C classes or columns.
"""

import math
from collections.abc import Callable

import numpy as np

from seqgen.errors import UsageError
from seqgen.metrics.samples import checked, squared_distances

QUANTILES = (0.01, 0.1, 0.5)  # of the distances: the widths of the kernels, the last the median
RIDGES = 10.0 ** np.arange(-3, 3)


def fitted(train_JF: np.ndarray, target_JC: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """(others [K, F]) -> what is said of them [K, C]: a regression of the targets.

    Of a linear kernel and Gaussian ones of several widths, and of several ridges, those with the
    least leave-one-out error, which one eigendecomposition gives exactly: so it sees a shift of the
    mean in many dimensions as well as a wrong shape of tight modes. Costs four of J × J.
    """
    squares_JJ = squared_distances(train_JF, train_JF)
    centre_F = train_JF.mean(axis=0)
    scale = max(np.mean(train_JF.var(axis=0)), 1e-300)
    scale *= train_JF.shape[1]  # the kernel of an example with itself is about 1, as for the others

    def linear(x_KF):
        return (x_KF - centre_F) @ (train_JF - centre_F).T / scale

    def gaussian(width, squares_KJ):
        return np.exp(squares_KJ / (-2 * width**2))

    kernels = [(None, linear(train_JF))]
    kernels += [(width, gaussian(width, squares_JJ)) for width in widths(squares_JJ)]
    best = (math.inf, None, None)
    for width, kernel_JJ in kernels:
        value_J, vector_JJ = np.linalg.eigh(kernel_JJ + 1)  # the one is a bias
        for ridge in RIDGES:
            weight_JC, error_JC = left_out(value_J, vector_JJ, target_JC, ridge)
            error = np.mean(error_JC**2)
            if error < best[0]:
                best = (error, width, weight_JC)
    _, width, weight_JC = best

    def said(x_KF: np.ndarray) -> np.ndarray:
        if width is None:
            return (linear(x_KF) + 1) @ weight_JC
        return (gaussian(width, squared_distances(x_KF, train_JF)) + 1) @ weight_JC

    return said


def classes(train_JF: np.ndarray, class_J: np.ndarray, others_KF: np.ndarray) -> np.ndarray:
    """The class of each other example [K], by one against all.

    Where only one class is taught, all are of it.
    """
    train_JF, others_KF = checked(train=train_JF, others=others_KF)
    if len(class_J) != len(train_JF):
        raise UsageError(f"{len(train_JF)} examples, but {len(class_J)} classes of them")
    known_C = np.unique(class_J)
    target_JC = np.where(np.asarray(class_J)[:, None] == known_C[None], 1.0, -1.0)
    return known_C[np.argmax(fitted(train_JF, target_JC)(others_KF), axis=1)]


def detector(
    real_NF: np.ndarray, generated_MF: np.ndarray
) -> Callable[[np.ndarray, np.ndarray], float]:
    """Learns to tell generated from real: (other real, other generated ones) -> accuracy.

    The mean of both accuracies, so that 1/2 is chance whatever the sizes.
    """
    real_NF, generated_MF = checked(real=real_NF, generated=generated_MF)
    train_JF = np.concatenate([real_NF, generated_MF])
    said = fitted(train_JF, np.repeat([-1.0, 1.0], [len(real_NF), len(generated_MF)]))

    def accuracy(real_NF: np.ndarray, generated_MF: np.ndarray) -> float:
        real_NF, generated_MF = checked(real=real_NF, generated=generated_MF)
        return float(np.mean(said(real_NF) <= 0) + np.mean(said(generated_MF) > 0)) / 2

    return accuracy


def widths(squares_JJ: np.ndarray) -> tuple[float, ...]:
    """Of Gaussian kernels, in units of the features, for all pairs' squared distances."""
    squares = squares_JJ[np.triu_indices(len(squares_JJ), 1)]
    squares = squares[squares > 0]  # copies have no width
    if not len(squares):
        return (1.0,)
    return tuple(float(np.sqrt(square)) for square in np.quantile(squares, QUANTILES))


def left_out(
    value_J: np.ndarray, vector_JJ: np.ndarray, target_JC: np.ndarray, ridge: float
) -> tuple[np.ndarray, np.ndarray]:
    """(weights of kernel ridge regression, targets minus their predictions without them).

    With A = K + ridge, K of those eigenvalues and eigenvectors: A^-1 y, and A^-1 y / diag A^-1.
    Targets are [J] or [J, C], and so are both.
    """
    inverse_J = 1 / (np.maximum(value_J, 0) + ridge)
    # the transposes put J last, of one column as of several
    weight_JC = vector_JJ @ (inverse_J * (vector_JJ.T @ target_JC).T).T
    diagonal_J = vector_JJ**2 @ inverse_J
    return weight_JC, (weight_JC.T / diagonal_J).T
