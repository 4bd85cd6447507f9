"""Decay rates are those that were planted, and verdicts follow their thresholds."""

import math

import numpy as np
import pytest

from seqgen import gradient_pictures
from seqgen.metrics import gradients

LENGTH, ROWS = 60, 40


def planted(factor, noise=0.0):
    """Log norms by lag that fall by a factor at each step, from a start of each row's own."""
    random = np.random.RandomState(0)
    start_B = random.normal(size=ROWS)
    return (
        start_B
        + np.log(factor) * np.arange(LENGTH)[:, None]
        + noise * random.normal(size=(LENGTH, ROWS))
    )


def test_a_planted_half_life_is_found():
    found = gradients.decay(planted(0.5 ** (1 / 7), noise=0.5))
    assert abs(found.half_life - 7) < 0.1
    assert abs(found.rate - math.log(0.5) / 7) < 0.002
    assert abs(found.halvings - (LENGTH - 1) / 7) < 0.2
    each_B = gradients.half_lives(planted(0.5 ** (1 / 7)))
    np.testing.assert_allclose(each_B, 7, rtol=1e-9)


def test_what_does_not_fall_has_no_half_life():
    assert gradients.decay(planted(1.01)).half_life == math.inf
    assert gradients.decay(planted(1.0)).halvings == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("sign", [1, -1])
def test_verdicts_change_at_the_threshold(sign):
    def verdict(halvings):
        return gradients.decay(planted(0.5 ** (sign * halvings / (LENGTH - 1)))).verdict

    beyond = "vanishing" if sign > 0 else "exploding"
    assert verdict(gradients.HALVINGS * 0.99) == "stable"
    assert verdict(gradients.HALVINGS * 1.01) == beyond


def test_lags_count_from_each_rows_own_last_step():
    log_TB = np.asarray([[5.0, 1.0], [6.0, 2.0], [7.0, 9.0]])
    real_TB = np.asarray([[1, 1], [1, 1], [1, 0]], bool)
    found = gradients.by_lag(log_TB, real_TB)
    np.testing.assert_array_equal(found, [[7, 2], [6, 1], [5, np.nan]])
    assert gradients.decay(found).rate == pytest.approx(-1)


def test_rows_that_end_early_at_another_level_do_not_bend_the_line():
    log_TB = planted(0.9)
    log_TB[:, ROWS // 2 :] += 5
    log_TB[LENGTH // 2 :, ROWS // 2 :] = np.nan
    assert gradients.decay(log_TB).rate == pytest.approx(math.log(0.9))


def test_rows_that_nothing_passes_are_counted_apart():
    few, many = planted(0.99), planted(0.99)
    few[10:, : ROWS // 4] = -np.inf
    many[10:, : 3 * ROWS // 4] = -np.inf
    assert gradients.decay(few)[3:] == (0.25, "stable")
    assert gradients.decay(many)[3:] == (0.75, "vanishing")
    assert gradient_pictures.spoken(gradients.decay(few)).startswith("half-life")
    told = gradient_pictures.spoken(gradients.decay(many))
    assert told == "nothing arrives at the first step of 75 % of the rows: vanishing"
    nothing = np.full((LENGTH, ROWS), -np.inf)
    assert gradients.decay(nothing).half_life == 0
    assert gradients.decay(nothing).verdict == "vanishing"


def test_what_is_not_finite_has_exploded():
    log_TB = planted(1.0)
    log_TB[30:, 0] = np.inf
    assert gradients.decay(log_TB).verdict == "exploding"
    log_TB[30:, 0] = np.nan
    real_TB = np.ones(log_TB.shape, bool)
    assert gradients.decay(gradients.by_lag(log_TB[::-1], real_TB)).verdict == "exploding"


def test_slopes_tell_closed_from_open():
    x_N = np.asarray([-9.0, -9.0, -9.0, 0.0, 9.0])
    value_N = 1 / (1 + np.exp(-x_N))
    found = gradients.slopes(value_N * (1 - value_N), value_N, 0.25, 0.5)
    assert (found.closed, found.opened) == (0.6, 0.2)
    assert found.histogram[0] == pytest.approx(0.8)
    assert found.histogram[-1] == pytest.approx(0.2)
    assert found.mean == pytest.approx(0.2, abs=1e-3)
