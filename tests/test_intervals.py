"""Intervals hold what they estimate as often as they say; bad input is answered in a sentence."""

import numpy as np
import pytest
from scipy import stats

from seqgen.errors import UsageError
from seqgen.metrics import intervals, samples


@pytest.mark.parametrize("hits, n", [(0, 20), (3, 20), (20, 20), (517, 1000)])
def test_the_interval_of_a_share_is_that_of_scipy(hits, n):
    theirs = stats.binomtest(hits, n).proportion_ci(intervals.LEVEL, method="exact")
    found = intervals.share(hits, n)
    assert found.value == hits / n
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))


def test_the_interval_of_halves_is_that_of_a_mean():
    x_N = np.random.RandomState(0).randn(400)
    (found,) = intervals.by_halves(lambda some_N: np.mean(x_N[some_N])[None], (400,), 2000, seed=0)
    error = 1.96 * x_N.std(ddof=1) / np.sqrt(400)
    assert found.value == pytest.approx(x_N.mean())
    assert (found.low, found.high) == pytest.approx(
        (x_N.mean() - error, x_N.mean() + error), abs=0.1 * error
    )


def test_the_interval_of_refits_is_students_widened_by_what_they_share():
    value_R = np.random.RandomState(0).randn(5)
    students = stats.ttest_1samp(value_R, 0).confidence_interval(intervals.LEVEL)
    found = intervals.of_refits(value_R)
    assert found.value == pytest.approx((students.low + students.high) / 2)
    wider = np.sqrt((1 / 5 + 1 / 4) * 5)
    assert found.high - found.low == pytest.approx(wider * (students.high - students.low))
    with pytest.raises(UsageError, match="at least 2 refits, not 1"):
        intervals.of_refits(value_R[:1])


def test_the_interval_of_refits_holds_what_new_data_would_have_given():
    """Of least squares of noise, tried on the part that was left out; new data show the truth."""

    def errors(random):
        x_RNF, y_RN = random.randn(5, 12, 4), random.randn(5, 12)
        for tried in range(5):
            rest = np.delete(np.arange(5), tried)
            fitted_F = np.linalg.lstsq(x_RNF[rest].reshape(48, 4), y_RN[rest].ravel())[0]
            yield np.mean((y_RN[tried] - x_RNF[tried] @ fitted_F) ** 2)

    every = np.asarray([list(errors(np.random.RandomState(seed))) for seed in range(400)])
    found = [intervals.of_refits(error_R) for error_R in every]
    assert np.mean([low <= every.mean() <= high for _, low, high in found]) >= 0.95


def test_the_interval_over_runs_is_students():
    values = [0.3, 0.5, 0.45, 0.9]
    theirs = stats.ttest_1samp(values, 0).confidence_interval(intervals.LEVEL)
    found = intervals.over_runs(values)
    assert found == pytest.approx((np.mean(values), theirs.low, theirs.high))
    assert intervals.over_runs([2.0]) == (2.0, -np.inf, np.inf)
    assert intervals.over_runs([2.0, 2.0]) == (2.0, 2.0, 2.0)
    with pytest.raises(UsageError, match="needs a run"):
        intervals.over_runs([])


def test_more_hits_than_trials_are_refused():
    with pytest.raises(UsageError, match="not 3 of 2"):
        intervals.share(3, 2)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_squared_distances_are_those_of_a_plain_loop(offset):
    random = np.random.RandomState(0)
    x_NF, y_MF = offset + random.randn(7, 3), offset + random.randn(5, 3)
    y_MF[2] = x_NF[4]
    plain = [[np.sum((x - y) ** 2) for y in y_MF] for x in x_NF]
    found = samples.squared_distances(x_NF, y_MF)
    np.testing.assert_allclose(found, plain, rtol=1e-9, atol=1e-12)
    assert found[4, 2] == 0


def test_no_example_is_away_from_itself():
    x_NF = np.random.RandomState(0).randn(40, 50) + 3
    found = samples.squared_distances(x_NF, x_NF)
    assert np.all(np.diag(found) == 0)
    assert np.all(found >= 0)


def test_nearest_in_pieces_is_a_sort_of_all(monkeypatch):
    random = np.random.RandomState(0)
    x_NF, y_MF = random.randn(11, 3), random.randn(300, 3)
    x_NF, y_MF = (30 + x_NF).astype(np.float32), (30 + y_MF).astype(np.float32)
    y_MF[3] = x_NF[6]
    pairs_NM = [[np.linalg.norm(x - y) for y in y_MF.astype(float)] for x in x_NF.astype(float)]
    plain = np.sort(pairs_NM, axis=1)[:, :9]
    monkeypatch.setattr(samples, "CHUNK", 11 * 13)  # blocks of 13, the last of one
    found = samples.nearest(x_NF, y_MF, 9)
    np.testing.assert_allclose(found, plain)
    assert found[6, 0] == 0


@pytest.mark.parametrize(
    "bad, said",
    [
        (np.zeros((1, 2)), "fake needs at least 2 examples, not 1"),
        (np.zeros((4, 3)), "fake has 3 features, but real has 2"),
        (np.full((4, 2), np.nan), "fake has values that are not finite"),
        (np.zeros(4), r"not of shape \(4,\)"),
    ],
)
def test_bad_samples_are_named(bad, said):
    with pytest.raises(UsageError, match=said):
        samples.checked(real=np.zeros((4, 2)), fake=bad)


def test_pictures_become_rows_of_features():
    (found,) = samples.checked(real=np.arange(24).reshape(2, 3, 4, 1))
    assert found.shape == (2, 12)
    assert found.dtype == np.float64


def test_thinning_draws_each_example_once():
    x_NF = np.arange(10.0)[:, None]
    found = samples.thinned(x_NF, 6, np.random.RandomState(0))
    assert len(np.unique(found)) == 6
    assert set(found.ravel()) <= set(x_NF.ravel())


def test_an_error_that_runs_share_is_counted_beside_their_own():
    """Against many sets of runs, each with an error of its own besides."""
    random = np.random.RandomState(0)
    hits = alone = 0
    for _ in range(2000):
        found = intervals.over_runs(random.randn(20) + random.randn())
        alone += found.low <= 0 <= found.high
        wide = intervals.shared(found, 1.0)
        hits += wide.low <= 0 <= wide.high
    assert 0.935 < hits / 2000 < 0.97
    assert alone / 2000 < 0.5
