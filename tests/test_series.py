"""Scores of series: none where nothing can be told, that of closed forms where there are such."""

import json

import numpy as np
import pytest

from seqgen import likeness
from seqgen.errors import UsageError
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.metrics import series
from seqgen.metrics.intervals import Estimate

QUICK = {"refits": 3, "steps": 80}
SHAPE = N, T, E = 240, 8, 2
INNOVATION, KEPT = 0.1, 0.9  # of x_t = kept * x_{t-1} + innovation * noise
FOLDED = np.sqrt(2 / np.pi)  # mean of |noise|


def autoregression(seed, kept=KEPT):
    """Stationary from the first step on; its deviation is the same whatever is kept."""
    noise_TNE = np.random.RandomState(seed).randn(T, N, E)
    deviation = INNOVATION / np.sqrt(1 - KEPT**2)
    x_TNE = [deviation * noise_TNE[0]]
    for noise_NE in noise_TNE[1:]:
        x_TNE.append(kept * x_TNE[-1] + deviation * np.sqrt(1 - kept**2) * noise_NE)
    return 3 + np.stack(x_TNE, axis=1)


def told(generated):
    return series.discriminative(autoregression(0), generated, **QUICK)


def test_equal_distributions_are_not_told_apart():
    found = told(autoregression(1))
    assert found.n == N and len(found.accuracies) == 3
    assert found.score.low == 0 <= found.score.value < found.score.high
    assert found.score.value < 0.1


@pytest.mark.parametrize(
    "generated",
    [
        np.full(SHAPE, 3.0),  # the mean, and nothing else
        autoregression(1, kept=0.0),  # each step is as it should be, from one to the next it is not
    ],
    ids=["constant", "without memory"],
)
def test_what_is_wrong_is_told_apart(generated):
    found = told(generated)
    assert found.score.value > 0.4 and found.score.low > 0.3
    assert found.score.value <= found.score.high <= 0.5


@pytest.mark.slow
def test_errors_of_a_forecaster_are_those_of_the_process():
    real = autoregression(0)
    same = series.predictive(real, autoregression(1), **QUICK)
    best = INNOVATION * FOLDED
    assert same.of_real.value == pytest.approx(best, rel=0.15)
    assert same.score.value == pytest.approx(best, rel=0.15)
    broken = series.predictive(real, autoregression(1, kept=0.0), **QUICK)
    assert broken.of_real == same.of_real
    # without memory the mean is all that can be said of the next step
    assert broken.score.value == pytest.approx(best / np.sqrt(1 - KEPT**2), rel=0.15)
    assert broken.score.low > same.score.high


def test_no_refit_is_tried_on_what_it_was_trained_on():
    trained_RN, tried_RN = series._parts(12, 4)
    for trained_N, tried_N in zip(trained_RN, tried_RN, strict=True):
        assert sorted([*trained_N, *tried_N]) == list(range(12))
    assert sorted(tried_RN.ravel()) == list(range(12))


@pytest.mark.parametrize(
    ("generated", "refits", "said"),
    [
        (np.zeros((9, 4, 2)), 5, "generated needs at least 10 examples, not 9"),
        (np.zeros((10, 3, 2)), 5, "generated has series of 3 steps by 2 features, but real of 4"),
        (np.zeros((10, 8)), 5, "generated must be series by steps by features"),
        (np.full((10, 4, 2), np.inf), 5, "generated has values that are not finite"),
        (np.zeros((10, 4, 2)), 1, "refits must be at least 2"),
    ],
)
def test_sets_that_do_not_fit_are_named(generated, refits, said):
    with pytest.raises(UsageError, match=said):
        series.discriminative(np.zeros((10, 4, 2)), generated, refits=refits)


def test_of_long_series_windows_from_the_first_step_to_the_last_are_read(monkeypatch):
    clock_NTE = np.broadcast_to(np.arange(20.0)[None, :, None], (12, 20, 1))
    real, generated = series._sets(3, 12, 8, 0, real=clock_NTE, generated=100 + clock_NTE)
    np.testing.assert_array_equal(generated, 100 + real)
    assert real.shape == (12, 8, 1) and np.all(np.diff(real, axis=1) == 1)
    # a row for each part, of which none has a time of its own
    np.testing.assert_array_equal(real[:, 0, 0].reshape(3, 4), [[0, 4, 8, 12]] * 3)
    (whole,) = series._sets(3, 12, 20, 0, real=clock_NTE)
    np.testing.assert_array_equal(whole, clock_NTE)
    read = []  # by the networks
    for name in ("_accuracies", "_errors"):
        monkeypatch.setattr(series, name, lambda *given: read.append(given[-1]) or np.zeros(3))
    for score in (series.discriminative, series.predictive):
        assert score(clock_NTE, 100 + clock_NTE, refits=3, longest=8).length == 8
    assert {x_NTE.shape[1] for x_NTE in read} == {8}


def test_a_single_step_has_no_next_one():
    with pytest.raises(UsageError, match="no next one"):
        series.predictive(np.zeros((10, 1, 2)), np.zeros((10, 1, 2)))


def test_an_evaluation_has_the_scores_of_series_with_their_intervals(monkeypatch):
    apart = series.Discriminative(Estimate(0.2, 0.125, 0.25), (0.7, 0.7), N, T)
    ahead = series.Predictive(
        Estimate(3.0, 2.0, 4.0), Estimate(2.0, 1.0, 3.0), (3.0,), (2.0,), N, T
    )
    monkeypatch.setattr(series, "discriminative", lambda *sets: apart)
    monkeypatch.setattr(series, "predictive", lambda *sets: ahead)
    real, made = autoregression(0), autoregression(1)
    own, interrupt = {"inputs": {"kind": "real", "size": E}}, Interrupt()
    found = likeness.of_series(own, real, made, interrupt)
    assert found.metrics == {
        "discriminative_score": apart.score.value,
        "predictive_score": ahead.score.value,
        "predictive_score_of_real": ahead.of_real.value,
    }
    assert found.metrics.keys() <= likeness.REPORTS.keys()
    stored = json.loads(json.dumps(found.facts))["series"]
    assert stored["discriminative"]["score"] == list(apart.score)
    assert stored["predictive"]["of_real"] == list(ahead.of_real)
    assert stored["discriminative"]["n"] == stored["predictive"]["n"] == N
    assert found.sentence == f"discriminative score 0.200, 0.125 to 0.250 by 2 refits, n={N}"
    longer = likeness.of_series(own, *(np.tile(x, (1, 2, 1)) for x in (real, made)), interrupt)
    assert longer.sentence == f"{found.sentence}, windows of {T} of {2 * T} steps"
    other = {"inputs": {"kind": "vector", "size": 2}}
    assert likeness.of_series(other, real[:, 0], made[:, 0], interrupt) == ({}, {}, "")
    interrupt.requested = "SIGTERM"
    monkeypatch.setattr(series, "predictive", None)  # is not come to
    with pytest.raises(Interrupted):
        likeness.of_series(own, real, made, interrupt)
