"""Are generated samples told from real ones? Kernel and classifier tests, repeated looks, power.

The features are taken as they are: bring them to one scale first. Letters here: N and M examples
of the two sets, F features, J examples of both together, P permutations, S kernels.
"""

import math
from typing import NamedTuple

import numpy as np

from seqgen.errors import UsageError, require
from seqgen.metrics import probe
from seqgen.metrics.intervals import SIDES, Estimate, share
from seqgen.metrics.samples import checked, squared_distances, thinned


class KernelTest(NamedTuple):
    """What a kernel test found."""

    mmd2: Estimate  # squared, unbiased: below 0 by chance where the two sets are alike
    p_value: float
    widths: tuple[float, ...]  # of the kernels, in units of the features
    n: int  # real examples used
    m: int  # generated examples used
    permutations: int


class ClassifierTest(NamedTuple):
    """What a classifier test found."""

    accuracy: Estimate  # on examples it was not trained on; 1/2 where the two sets are alike
    p_value: float
    n: int  # held-out examples, half of them real
    trained_on: int


def kernel(
    real_NF: np.ndarray,
    generated_MF: np.ndarray,
    *,
    most: int = 1000,
    permutations: int = 499,
    seed: int = 0,
) -> KernelTest:
    """The kernel two-sample test (Gretton et al. 2012) with Gaussian kernels of several widths.

        MMD^2 = mean k(x, x') + mean k(y, y') - 2 mean k(x, y),  pairs of one example left out

    The widths are quantiles of the distances in both sets together: the median alone would not see
    inside the tight modes of a mixture. `mmd2` is that of the mean of the kernels, with a jackknife
    interval. The p-value is of the kernel that stands out most, each being measured in standard
    deviations over the permutations (compare MMDAgg, Schrab et al. 2023): permuting leaves widths
    and deviations the same, so it is exact, (1 + as large) / (1 + permutations).

    A level below 1 / (1 + permutations) can't be reached. At most `most` examples of each set are
    used, drawn at random; permutations × (2 most)^2 multiplications for each kernel.
    """
    x_NF, y_MF = checked(least=3, real=real_NF, generated=generated_MF)
    if permutations < 1:
        raise UsageError(f"permutations must be at least 1, not {permutations}")
    random = np.random.RandomState(seed)  # its numbers never change (NEP 19)
    x_NF, y_MF = thinned(x_NF, most, random), thinned(y_MF, most, random)
    n, m = len(x_NF), len(y_MF)
    both_JF = np.concatenate([x_NF, y_MF])
    squares_JJ = squared_distances(both_JF, both_JF)
    widths = probe.widths(squares_JJ)
    first_PJ = np.zeros((1 + permutations, n + m))
    first_PJ[0, :n] = 1  # the sets as they are
    for row_J in first_PJ[1:]:
        row_J[random.permutation(n + m)[:n]] = 1
    mean_JJ, statistics_SP = 0.0, []
    for width in widths:
        kernel_JJ = np.exp(squares_JJ / (-2 * width**2))
        np.fill_diagonal(kernel_JJ, 0)
        statistics_SP.append(_mmd2(kernel_JJ, first_PJ))
        mean_JJ = mean_JJ + kernel_JJ / len(widths)
    highest_P = np.max([_standardised(statistic_P) for statistic_P in statistics_SP], axis=0)
    p_value = np.mean(highest_P >= highest_P[0] - 1e-9)  # the sets as they are count as well
    return KernelTest(_jackknife(mean_JJ, n), float(p_value), widths, n, m, permutations)


def classifier(
    real_NF: np.ndarray, generated_MF: np.ndarray, *, most: int = 1000, seed: int = 0
) -> ClassifierTest:
    """The classifier two-sample test (Lopez-Paz & Oquab 2017): held-out accuracy against chance.

    Half of each set trains, the other half tests, as many real as generated ones. The classifier is
    kernel ridge regression on the labels ±1 (a regularised Fisher discriminant in feature space),
    its kernel and its ridge chosen by the leave-one-out error (`probe.fitted`).

    Under equal distributions the number of right answers is at most as spread as Binomial(n, 1/2)
    (Hoeffding 1956), whatever the classifier: p = P(Binomial(n, 1/2) >= right). The interval is
    that of Clopper & Pearson. At most `most` examples of each set are used, drawn at random; the
    cost is that of eigenvectors of four matrices of most × most.
    """
    x_NF, y_MF = checked(least=4, real=real_NF, generated=generated_MF)
    random = np.random.RandomState(seed)
    half = min(len(x_NF), len(y_MF), most) // 2
    x_NF, y_MF = thinned(x_NF, 2 * half, random), thinned(y_MF, 2 * half, random)
    train_JF = np.concatenate([x_NF[:half], y_MF[:half]])
    test_JF = np.concatenate([x_NF[half:], y_MF[half:]])
    label_J = np.repeat([-1.0, 1.0], half)
    said_J = probe.fitted(train_JF, label_J)(test_JF)
    right, n = int(np.sum((said_J > 0) == (label_J > 0))), len(test_JF)
    p_value = require("scipy.stats", "data").binom.sf(right - 1, n, 0.5)
    return ClassifierTest(share(right, n), float(p_value), n, len(train_JF))


def spent(alpha: float, look: int, looks: int | None = None, tests: int = 1) -> float:
    """The level of one of so many tests at a look (the first is 1), so that all stay within alpha.

    With planned looks each has alpha / looks (Bonferroni); looks without an end have
    alpha / (look (look + 1)), which adds up to alpha.
    """
    if not 0 < alpha < 1 or look < 1 or tests < 1 or (looks is not None and look > looks):
        raise UsageError(
            f"no level for look {look} of {looks or 'any number'} with {tests} tests at {alpha}"
        )
    return alpha / tests / (looks or look * (look + 1))


def power(n: int, accuracy: float, alpha: float) -> float:
    """P(the classifier test rejects at alpha) where its classifier is right with that accuracy.

    Args:
      n: held-out examples.
    """
    return float(require("scipy.stats", "data").binom.sf(_needed(n, alpha) - 1, n, accuracy))


def detectable(n: int, alpha: float, wanted: float = 0.8) -> float:
    """The least accuracy that the classifier test detects at alpha with the wanted power.

    A test that did not reject says: told apart less often than this, with that power. It is
    infinite where n examples are too few to reject at all.
    """
    needed = _needed(n, alpha)
    if needed > n:
        return math.inf
    # P(Binomial(n, a) >= c) is the distribution function of Beta(c, n - c + 1) at a
    return float(require("scipy.stats", "data").beta.ppf(wanted, needed, n - needed + 1))


def _needed(n: int, alpha: float) -> int:
    """The least number of right answers at which the classifier test rejects."""
    binom = require("scipy.stats", "data").binom
    return int(binom.isf(alpha, n, 0.5)) + 1


def _mmd2(kernel_JJ, first_PJ):
    """Unbiased MMD^2 of each choice of the first set [P]; the kernel's diagonal is 0."""
    n = int(first_PJ[0].sum())
    m = len(kernel_JJ) - n
    inside_P = np.sum((first_PJ @ kernel_JJ) * first_PJ, axis=1)
    cross_P = first_PJ @ kernel_JJ.sum(axis=1) - inside_P
    outside_P = kernel_JJ.sum() - 2 * cross_P - inside_P
    return inside_P / (n * (n - 1)) + outside_P / (m * (m - 1)) - 2 * cross_P / (n * m)


def _standardised(value_P):
    """In standard deviations from the mean; 0 where the differences are no more than rounding."""
    spread = np.std(value_P)
    return (value_P - np.mean(value_P)) / spread if spread > 1e-12 else np.zeros_like(value_P)


def _jackknife(kernel_JJ, n: int) -> Estimate:
    """Unbiased MMD^2 and its interval, by leaving out each example once."""
    m = len(kernel_JJ) - n
    own_N, own_M = kernel_JJ[:n, :n].sum(axis=1), kernel_JJ[n:, n:].sum(axis=1)
    cross_NM = kernel_JJ[:n, n:]
    one, other, cross = own_N.sum(), own_M.sum(), cross_NM.sum()
    (value,) = _mmd2(kernel_JJ, (np.arange(n + m) < n).astype(float)[None])
    variance = 0.0
    for size, sums, total, across in ((n, own_N, one, 1), (m, own_M, other, 0)):
        without = (total - 2 * sums) / ((size - 1) * (size - 2))
        rest = n * m // size
        without = without - 2 * (cross - cross_NM.sum(axis=across)) / ((size - 1) * rest)
        variance += (size - 1) * np.var(without)
    error = SIDES * math.sqrt(variance)
    return Estimate(float(value), float(value - error), float(value + error))
