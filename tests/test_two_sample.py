"""Two-sample tests: plain loops, levels that are kept over repeats and looks, power that is met."""

import math

import numpy as np
import pytest
from scipy import stats

from seqgen.errors import UsageError
from seqgen.metrics import two_sample

REPEATS = 200
MOST = stats.binom.ppf(0.999, REPEATS, 0.05)  # rejections at 5 % by chance


def ring(random, n, sigma=0.01):
    angle_N = random.randint(8, size=n) * np.pi / 4
    return np.stack([np.cos(angle_N), np.sin(angle_N)], axis=1) + sigma * random.randn(n, 2)


def plain_mmd2(x_NF, y_MF, widths):
    def kernel(a, b):
        return np.mean([math.exp(-np.sum((a - b) ** 2) / (2 * w**2)) for w in widths])

    n, m = len(x_NF), len(y_MF)
    one = sum(kernel(x_NF[i], x_NF[j]) for i in range(n) for j in range(n) if i != j)
    other = sum(kernel(y_MF[i], y_MF[j]) for i in range(m) for j in range(m) if i != j)
    cross = sum(kernel(x, y) for x in x_NF for y in y_MF)
    return one / (n * (n - 1)) + other / (m * (m - 1)) - 2 * cross / (n * m)


def test_mmd_and_its_interval_are_those_of_a_plain_loop():
    random = np.random.RandomState(0)
    x_NF, y_MF = random.randn(9, 2), random.randn(7, 2) + 0.5
    found = two_sample.kernel(x_NF, y_MF, permutations=9)
    value = plain_mmd2(x_NF, y_MF, found.widths)
    variance = 0.0
    for without in (
        [plain_mmd2(np.delete(x_NF, i, axis=0), y_MF, found.widths) for i in range(9)],
        [plain_mmd2(x_NF, np.delete(y_MF, i, axis=0), found.widths) for i in range(7)],
    ):
        variance += (len(without) - 1) * np.var(without)
    error = stats.norm.ppf(0.975) * math.sqrt(variance)
    assert found.mmd2 == pytest.approx((value, value - error, value + error))


def test_the_median_is_among_the_widths():
    random = np.random.RandomState(1)
    x_NF, y_MF = random.randn(20, 3), random.randn(20, 3)
    both = np.concatenate([x_NF, y_MF])
    far = [np.linalg.norm(both[i] - both[j]) for i in range(40) for j in range(i)]
    found = two_sample.kernel(x_NF, y_MF, permutations=1)
    assert found.widths[-1] == pytest.approx(np.median(far), rel=1e-3)


def p_values(test, draw):
    return np.asarray([test(*draw(np.random.RandomState(seed)), seed) for seed in range(REPEATS)])


def by_kernel(x_NF, y_MF, seed):
    return two_sample.kernel(x_NF, y_MF, permutations=99, seed=seed).p_value


def by_classifier(x_NF, y_MF, seed):
    return two_sample.classifier(x_NF, y_MF, seed=seed).p_value


@pytest.mark.slow
@pytest.mark.parametrize("test", [by_kernel, by_classifier])
@pytest.mark.parametrize("draw", ["normal", "ring"])
def test_equal_distributions_are_told_apart_no_more_often_than_alpha(test, draw):
    pairs = {
        "normal": lambda random: (random.randn(40, 3), random.randn(50, 3)),
        "ring": lambda random: (ring(random, 50), ring(random, 40)),
    }
    rejected = np.sum(p_values(test, pairs[draw]) <= 0.05)
    assert rejected <= MOST
    assert test is by_classifier or rejected >= 1  # a permutation test is exact


@pytest.mark.parametrize("test", [by_kernel, by_classifier])
def test_planted_faults_are_caught(test):
    random = np.random.RandomState(0)
    real, fake = ring(random, 400), ring(random, 400)
    assert test(real, fake, 0) > 0.05
    for wrong in (
        fake[fake[:, 0] > -0.5],  # modes are missing
        ring(random, 400, sigma=0.02),  # the modes are too wide, which the median does not see
        fake + 0.01,
        np.zeros((400, 2)),
    ):
        assert test(real, wrong, 0) <= 0.01
    wide = random.randn(400, 100)
    assert test(wide, random.randn(400, 100) + 0.15, 0) <= 0.01


def test_sets_of_one_value_are_alike():
    same = np.ones((20, 2))
    assert two_sample.kernel(same, same).p_value == 1
    assert two_sample.classifier(same, same).p_value >= 0.5


def test_results_state_what_was_used_and_come_again():
    random = np.random.RandomState(0)
    x_NF, y_MF = random.randn(70, 2), random.randn(90, 2)
    found = two_sample.kernel(x_NF, y_MF, most=30, permutations=9, seed=1)
    assert (found.n, found.m, found.permutations) == (30, 30, 9)
    assert found == two_sample.kernel(x_NF, y_MF, most=30, permutations=9, seed=1)
    sorted_out = two_sample.classifier(x_NF, y_MF, most=30, seed=1)
    assert (sorted_out.n, sorted_out.trained_on) == (30, 30)
    assert sorted_out == two_sample.classifier(x_NF, y_MF, most=30, seed=1)
    low, high = sorted_out.accuracy[1:]
    assert low < sorted_out.accuracy.value < high


@pytest.mark.parametrize("looks", [5, None])
def test_all_looks_together_stay_within_alpha(looks):
    levels = [two_sample.spent(0.05, look, looks) for look in range(1, (looks or 10_000) + 1)]
    assert sum(levels) == pytest.approx(0.05, rel=1e-3)
    assert sum(levels) <= 0.05 * (1 + 1e-9)
    assert two_sample.spent(0.05, 3, looks, tests=2) == pytest.approx(levels[2] / 2)


@pytest.mark.slow
def test_repeated_looks_raise_a_false_alarm_no_more_often_than_alpha():
    levels = [two_sample.spent(0.05, look, 5) for look in range(1, 6)]
    alarms, naive = 0, 0
    for seed in range(100):
        random = np.random.RandomState(seed)
        real = random.randn(40, 2)
        found = [by_classifier(real, random.randn(40, 2), look) for look in range(5)]
        alarms += any(p <= level for p, level in zip(found, levels, strict=True))
        naive += any(p <= 0.05 for p in found)
    most = stats.binom.ppf(0.999, 100, 0.05)
    assert alarms <= most < naive  # without the correction the level is lost


def test_a_look_beyond_the_plan_is_refused():
    with pytest.raises(UsageError, match="look 6 of 5"):
        two_sample.spent(0.05, 6, 5)


@pytest.mark.parametrize("n, accuracy, alpha", [(100, 0.6, 0.05), (37, 0.7, 0.01)])
def test_power_is_the_share_of_rejections(n, accuracy, alpha):
    right = np.random.RandomState(0).binomial(n, accuracy, size=4000)
    p_values = [stats.binomtest(r, n, alternative="greater").pvalue for r in range(n + 1)]
    rejected = np.mean(np.asarray(p_values)[right] <= alpha)
    assert two_sample.power(n, accuracy, alpha) == pytest.approx(rejected, abs=0.025)
    assert two_sample.power(n, 0.5, alpha) <= alpha


def test_the_detectable_accuracy_has_the_wanted_power():
    for n in (20, 100, 1000):
        accuracy = two_sample.detectable(n, 0.05, 0.9)
        assert two_sample.power(n, accuracy, 0.05) == pytest.approx(0.9)
    assert two_sample.detectable(4, 0.05) == math.inf
    assert two_sample.power(4, 0.99, 0.05) == 0
