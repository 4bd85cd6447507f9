"""Scores of anomalies: against scikit-learn, and thresholds that keep their promise."""

import math

import numpy as np
import pytest
from sklearn import metrics

from seqgen.errors import UsageError
from seqgen.metrics import detection


def scores(seed, n=80, m=50, shift=1.0, digits=1):
    random = np.random.RandomState(seed)
    # rounded, so that some are equal
    return np.round(random.randn(n), digits), np.round(random.randn(m) + shift, digits)


@pytest.mark.parametrize("seed", range(3))
def test_auroc_and_average_precision_are_those_of_scikit_learn(seed):
    regular, anomalous = scores(seed)
    labels = np.repeat([0, 1], [len(regular), len(anomalous)])
    both = np.concatenate([regular, anomalous])
    auroc = detection.auroc(regular, anomalous)
    assert auroc.value == pytest.approx(metrics.roc_auc_score(labels, both))
    precision = detection.average_precision(regular, anomalous, draws=200)
    assert precision.value == pytest.approx(metrics.average_precision_score(labels, both))
    for value, low, high in (auroc, precision):
        assert 0 <= low < value < high <= 1


def test_the_intervals_hold_the_true_number():
    normal = 0.5 * (1 + math.erf(0.5))  # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt 2)
    many = scores(0, 100_000, 50_000, digits=9)
    precise = detection.average_precision(*many, draws=2).value
    held = {"auroc": 0, "precision": 0}
    for seed in range(100):
        pair = scores(seed, 100, 50, digits=9)
        auroc = detection.auroc(*pair)
        precision = detection.average_precision(*pair, draws=100)
        held["auroc"] += auroc.low <= normal <= auroc.high
        held["precision"] += precision.low <= precise <= precision.high
    assert all(87 <= count <= 100 for count in held.values()), held


def test_a_perfect_score_is_not_certain():
    found = detection.auroc(np.arange(5.0), np.arange(10.0, 30.0))
    assert found.value == found.high == 1
    # all of 5 trials won: the share of wins may be as low as 0.025^(1/5)
    assert found.low == pytest.approx(0.025**0.2)
    assert detection.auroc(np.arange(10.0, 30.0), np.arange(5.0)).low == 0


@pytest.mark.parametrize("alpha, n", [(0.05, 40), (0.1, 19), (0.3, 100)])
def test_false_alarms_stay_below_alpha(alpha, n):
    random = np.random.RandomState(0)
    rates = []
    for _ in range(1000):
        found = detection.conformal_threshold(random.exponential(size=n), alpha)
        rates.append(math.exp(-found.value))  # of exponential scores, exactly
    assert np.mean(rates) <= alpha + 3 * np.std(rates) / math.sqrt(len(rates))
    assert np.mean(rates) >= alpha - 1 / n - 3 * np.std(rates) / math.sqrt(len(rates))
    inside = np.mean([found.low <= rate <= found.high for rate in rates])
    assert inside == pytest.approx(0.95, abs=0.02)


def test_too_few_examples_raise_no_alarm():
    assert detection.conformal_threshold(np.arange(18.0), 0.05).value == math.inf
    assert detection.conformal_threshold(np.arange(19.0), 0.05).value == 18


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.3, 0.7])
def test_the_rank_does_not_suffer_from_rounding(alpha):
    # (N + 1)(1 - alpha) is a whole number for 9 examples
    found = detection.conformal_threshold(np.arange(1.0, 10.0), alpha)
    assert found.value == round(10 * (1 - alpha))


def test_bad_scores_are_refused():
    with pytest.raises(UsageError, match="NaN"):
        detection.auroc(np.asarray([0, np.nan]), np.zeros(2))
    with pytest.raises(UsageError, match="2 numbers or more"):
        detection.average_precision(np.zeros(1), np.zeros(2))
    with pytest.raises(UsageError, match="alpha"):
        detection.conformal_threshold(np.zeros(4), 1.0)
