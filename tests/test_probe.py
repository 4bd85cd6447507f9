"""The small classifier: its leave-one-out error is exact, and it tells what there is to tell."""

import numpy as np
import pytest
from scipy import stats
from sklearn.kernel_ridge import KernelRidge

from seqgen.errors import UsageError
from seqgen.metrics import probe


def test_the_ridge_is_chosen_by_what_leaving_out_one_example_gives():
    random = np.random.RandomState(0)
    train_JF = np.concatenate([random.randn(8, 2), random.randn(8, 2) + 1])
    label_J, kernel_JJ = np.repeat([-1.0, 1.0], 8), train_JF @ train_JF.T + 1
    value_J, vector_JJ = np.linalg.eigh(kernel_JJ)
    for ridge in (0.1, 10.0):
        errors = probe.left_out(value_J, vector_JJ, label_J, ridge)[1]
        for i in range(16):
            rest = np.delete(np.arange(16), i)
            weight = np.linalg.solve(
                kernel_JJ[np.ix_(rest, rest)] + ridge * np.eye(15), label_J[rest]
            )
            assert errors[i] == pytest.approx(label_J[i] - kernel_JJ[i, rest] @ weight)


def test_several_targets_are_fitted_as_scikit_learn_does():
    """With the width and the ridge that were chosen, found by trying all of them."""
    random = np.random.RandomState(1)
    train_JF, others_KF = random.randn(30, 2), random.randn(11, 2)
    target_JC = np.stack([np.sin(3 * train_JF[:, 0]), train_JF[:, 1] ** 2], axis=1)
    found_KC = probe.fitted(train_JF, target_JC)(others_KF)
    far_JJ = np.linalg.norm(train_JF[:, None] - train_JF[None], axis=-1)
    tried = []
    for width in np.quantile(far_JJ[np.triu_indices(30, 1)] ** 2, probe.QUANTILES) ** 0.5:
        far_KJ = np.linalg.norm(others_KF[:, None] - train_JF[None], axis=-1)
        kernel_JJ, kernel_KJ = (np.exp(-((far / width) ** 2) / 2) + 1 for far in (far_JJ, far_KJ))
        for ridge in probe.RIDGES:
            theirs = KernelRidge(alpha=ridge, kernel="precomputed").fit(kernel_JJ, target_JC)
            tried.append(theirs.predict(kernel_KJ))
    assert min(np.max(np.abs(found_KC - one_KC)) for one_KC in tried) < 1e-6
    straight_JC = train_JF @ [[1.0, 2.0], [3.0, -1.0]]  # for which the linear kernel is chosen
    np.testing.assert_allclose(
        probe.fitted(train_JF, straight_JC)(others_KF),
        others_KF @ [[1.0, 2.0], [3.0, -1.0]],
        atol=0.01,
    )


def squares(random, n):
    """Four clusters, of which those across from each other are one class."""
    corner_N2 = random.randint(0, 2, (n, 2))
    return corner_N2 + 0.1 * random.randn(n, 2), corner_N2.sum(axis=1) % 2


def test_classes_are_told_that_no_straight_line_parts():
    random = np.random.RandomState(0)
    (train, class_J), (others, asked_K) = squares(random, 120), squares(random, 200)
    assert np.mean(probe.classes(train, class_J + 5, others) == asked_K + 5) > 0.99
    shuffled_J = random.permutation(class_J)
    assert abs(np.mean(probe.classes(train, shuffled_J, others) == asked_K) - 0.5) < 0.2
    assert set(probe.classes(train, np.full(120, 3), others)) == {3}
    with pytest.raises(UsageError, match="120 examples, but 119 classes"):
        probe.classes(train, class_J[1:], others)


def test_a_detector_is_as_right_as_the_best_rule_and_half_right_about_the_same():
    random = np.random.RandomState(0)
    real, fake = random.randn(300, 2), random.randn(200, 2) + [2.0, 0.0]
    accuracy = probe.detector(real, fake)
    many, shifted = random.randn(4000, 2), random.randn(1000, 2) + [2.0, 0.0]
    assert accuracy(many, shifted) == pytest.approx(stats.norm.cdf(1), abs=0.03)
    assert accuracy(many, many) == pytest.approx(0.5)  # whatever it says
    assert accuracy(many, many[:1000]) == pytest.approx(0.5, abs=0.03)  # whatever the sizes
