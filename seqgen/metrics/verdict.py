"""What is known of a generator after a look at its samples: one word, and what it rests on.

Letters here: T training, N held-out real and M generated examples, F features.
"""

import math
from typing import NamedTuple

import numpy as np

from seqgen.errors import UsageError
from seqgen.metrics import coverage, memorisation, two_sample
from seqgen.metrics.samples import checked

COLLAPSED = "collapsed"
MEMORISED = "memorised"
TOLD_APART = "told apart"
ALIKE = "indistinguishable"
TESTS = 3  # kernel, classifier, memorisation
LEAST = 12  # examples of each set
ALPHA = 0.05  # of all looks together
POWER = 0.8  # with which is noticed what is said to be
MOST = 1000  # examples of each set that a test uses
PERMUTATIONS = 1999  # at most: below a level of 1 / 2000 the classifier is alone


class Verdict(NamedTuple):
    """A look at a generator's samples."""

    word: str  # one of the four above
    sentence: str  # the word with its n and its numbers
    level: float  # of each of the tests at this look
    kernel: two_sample.KernelTest
    classifier: two_sample.ClassifierTest
    neighbours: coverage.Neighbours
    memorisation: memorisation.Memorisation


def judged(
    train_TF: np.ndarray,
    held_out_NF: np.ndarray,
    generated_MF: np.ndarray,
    *,
    look: int,
    looks: int | None = None,
    alpha: float = ALPHA,
    power: float = POWER,
    least_coverage: float = 0.8,
    most: int = MOST,
    seed: int = 0,
) -> Verdict:
    """Collapsed, memorised, told apart or indistinguishable, the first of these that holds.

    - Collapsed: the intervals of coverage and of recall are all below `least_coverage`, of as many
      generated examples as real ones: more would cover more. What is merely wrong leaves the data
      uncovered too, but spreads around them, which recall shows. It comes first, as samples that
      are all alike can look like copies.
    - Memorised: the nearest-neighbour test rejects, and surely more than 1 % of samples are as near
      to the training set as 1 % of held-out data are, or surely more are copies of training
      examples than held-out data are.
    - Told apart: the kernel test or the classifier test against held-out data rejects.
    - Indistinguishable: none of that, at n held-out examples of the classifier test; what would
      have been noticed with the stated power is in the sentence.
    An honest sampler is told apart or called memorised at any of the looks with a probability of at
    most alpha. The cost is that of the four parts, each bounded by `most`.

    Args:
      look: the number of this look, from 1.
      looks: how many are planned, or None for no end (`two_sample.spent`).
    """
    if not 0 < power < 1:
        raise UsageError(f"power must be in (0, 1), not {power}")
    train_TF, held_out_NF, generated_MF = checked(
        LEAST, None, train=train_TF, held_out=held_out_NF, generated=generated_MF
    )
    level = two_sample.spent(alpha, look, looks, TESTS)
    how = {"most": most, "seed": seed}
    permutations = min(PERMUTATIONS, math.ceil(2 / level))
    kernel = two_sample.kernel(held_out_NF, generated_MF, permutations=permutations, **how)
    classifier = two_sample.classifier(held_out_NF, generated_MF, **how)
    alike = min(most, len(held_out_NF), len(generated_MF))
    neighbours = coverage.neighbours(held_out_NF, generated_MF, most=alike, seed=seed)
    copied = memorisation.nearest_neighbours(train_TF, held_out_NF, generated_MF, **how)
    found = (level, kernel, classifier, neighbours, copied)
    n = classifier.n
    if max(neighbours.coverage.high, neighbours.recall.high) < least_coverage:
        covered = f"{100 * neighbours.coverage.value:.1f} % of n={neighbours.n} real examples"
        return Verdict(COLLAPSED, f"{COLLAPSED}: {covered} have samples nearby", *found)
    if copied.p_value <= level and copied.near.low > memorisation.NEAR:
        share = f"{100 * copied.near.value:.1f} % of n={copied.m} samples are nearer to the"
        reason = f"{share} training set than {100 * (1 - memorisation.NEAR):.0f} % of held-out data"
        return Verdict(MEMORISED, f"{MEMORISED}: {reason}", *found)
    if copied.p_value <= level and copied.copies.low > copied.copies_held_out.high:
        share = f"{100 * copied.copies.value:.1f} % of n={copied.m} samples are training examples"
        reason = f"{share}, of held-out data {100 * copied.copies_held_out.value:.1f} %"
        return Verdict(MEMORISED, f"{MEMORISED}: {reason}", *found)
    if min(kernel.p_value, classifier.p_value) <= level:
        right = f"a classifier is right on {100 * classifier.accuracy.value:.1f} % of n={n}"
        reason = f"{right}, p={classifier.p_value:.2g}; kernel test p={kernel.p_value:.2g}"
        return Verdict(TOLD_APART, f"{TOLD_APART}: {reason}", *found)
    least = two_sample.detectable(n, level, power)
    noticed = f"a classifier right on {100 * least:.1f} % would be noticed with power {power}"
    reason = noticed if least < 1 else "too few examples to notice anything"
    return Verdict(ALIKE, f"{ALIKE} at n={n}: {reason}", *found)


def noticed(held_out: int, look: int) -> float:
    """The least accuracy of a classifier that `judged` would notice at a look without an end.

    held_out: examples, and at least as many generated ones.
    """
    n = min(held_out, MOST) // 2 * 2  # half of each set is tried
    return two_sample.detectable(n, two_sample.spent(ALPHA, look, None, TESTS), POWER)
