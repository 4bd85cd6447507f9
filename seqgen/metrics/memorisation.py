"""Does a generator repeat its training set? Distances to it, against those of held-out real data.

Letters here: T training, N held-out real and M generated examples, F features.
"""

from typing import NamedTuple

import numpy as np

from seqgen.errors import UsageError, require
from seqgen.metrics.detection import auroc
from seqgen.metrics.intervals import Estimate, share
from seqgen.metrics.samples import checked, nearest, thinned

NEAR = 0.01  # share of held-out examples that are at least as near to the training set
TRAINED = 60_000  # training examples at most
COPY = 1e-6  # of the training set's spread: what is nearer is the same but for rounding


class Memorisation(NamedTuple):
    """How near generated and held-out real samples are to the training set."""

    closer: Estimate  # P(a generated one is nearer than a held-out one); 1/2 without memorisation
    p_value: float  # that it is so by chance, one-sided
    near: Estimate  # generated ones nearer than all but 1 % of held-out ones: 1 % by chance
    copies: Estimate  # generated ones that are training examples
    copies_held_out: Estimate  # the same of held-out ones: data may repeat themselves
    trained_on: int  # training examples used
    n: int  # held-out examples used
    m: int  # generated examples used


def nearest_neighbours(
    train_TF: np.ndarray,
    held_out_NF: np.ndarray,
    generated_MF: np.ndarray,
    k: int = 5,
    *,
    most: int = 1000,
    most_trained: int = TRAINED,
    seed: int = 0,
) -> Memorisation:
    """The three-sample test for data copying (after Meehan et al. 2020).

    Held-out examples are the measure of how near new ones come: the two sets' nearness is compared
    by the rank test of Mann & Whitney. Nearness is
        (distance to the nearest training example) / (distance to the k-th nearest),
    whose law hardly depends on how dense the data are around a sample: by the plain distance, a
    generator that makes too much of dense regions would look as if it copied. Up to k - 1 copies of
    an example within the training set do not hide that it is repeated.

    The p-value holds for independent samples, which a collapsed generator does not make: look at
    coverage first. At most `most` held-out and generated examples and `most_trained` training ones
    are used, drawn at random; 2 most × most_trained × F multiplications. Copies of training
    examples that are left out go unseen.
    """
    train_TF, held_out_NF, generated_MF = checked(
        dtype=None, train=train_TF, held_out=held_out_NF, generated=generated_MF
    )
    if not 2 <= k <= len(train_TF):
        raise UsageError(f"k must be in [2, {len(train_TF)}], the training examples, not {k}")
    random = np.random.RandomState(seed)  # its numbers never change (NEP 19)
    train_TF = thinned(train_TF, max(most_trained, k), random)
    held_out_NF = thinned(held_out_NF, most, random)
    generated_MF = thinned(generated_MF, most, random)
    some_TF = train_TF[: max(most, k)]  # in random order, and enough for a spread
    same = COPY * np.sqrt(np.sum(some_TF.var(axis=0, dtype=np.float64)))
    held_out_N, copy_N = _nearness(held_out_NF, train_TF, k, same)
    generated_M, copy_M = _nearness(generated_MF, train_TF, k, same)
    n, m = len(held_out_N), len(generated_M)
    ranked = require("scipy.stats", "data").mannwhitneyu(
        generated_M, held_out_N, alternative="less", method="asymptotic"
    )
    limit = np.sort(held_out_N)[int(NEAR * n)]
    return Memorisation(
        auroc(generated_M, held_out_N),
        float(ranked.pvalue),
        share(int(np.sum(generated_M < limit)), m),
        share(int(np.sum(copy_M)), m),
        share(int(np.sum(copy_N)), n),
        len(train_TF),
        n,
        m,
    )


def _nearness(x_NF, train_TF, k: int, same: float):
    """(nearest / k-th nearest distance [N], whether it is a training example [N])."""
    far_Nk = nearest(x_NF, train_TF, k)
    ratio_N = np.divide(
        far_Nk[:, 0], far_Nk[:, -1], out=np.zeros(len(x_NF)), where=far_Nk[:, -1] > 0
    )
    return ratio_N, far_Nk[:, 0] <= same
