"""Series of sines: their frequencies and phases, found again from the numbers alone."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from seqgen.datasets import sines
from seqgen.errors import UsageError


def series(split="test", **options):
    """All series of an evaluated split [N, T, E]."""
    options = {"batch_size": 500, "test_size": 2000} | options
    dataset = sines.make(sines.Options(**options))
    batch = jax.jit(dataset.batch, static_argnums=1)
    found = [batch({}, split, jnp.int32(i), None) for i in range(dataset.num_batches[split])]
    assert not any(np.any(b["targets"]) for b in found)
    return np.concatenate([np.asarray(b["inputs"])[np.asarray(b["weight_B"]) == 1] for b in found])


def recovered(x_NTE):
    """(frequency in [0, 1/2], phase in [-pi, pi]) of each series, without the formula's own draws.

    A sine s obeys s(t + 1) + s(t - 1) = 2 cos(2 pi eta) s(t); its phase follows from the first two.
    """
    s = 2 * x_NTE.astype(float) - 1
    both = s[:, 2:] + s[:, :-2]
    cosine = np.sum(both * s[:, 1:-1], axis=1) / (2 * np.sum(s[:, 1:-1] ** 2, axis=1))
    np.testing.assert_allclose(both, 2 * cosine[:, None] * s[:, 1:-1], atol=1e-4)
    angle = np.arccos(np.clip(cosine, -1, 1))
    other = (s[:, 1] - s[:, 0] * np.cos(angle)) / np.sin(angle)  # cos(theta)
    return (angle / (2 * np.pi)).ravel(), np.arctan2(s[:, 0], other).ravel()


def test_the_papers_frequencies_and_phases_are_uniform():
    x_NTE = series()
    assert x_NTE.min() >= 0 and x_NTE.max() <= 1 and x_NTE.shape == (2000, 24, 5)
    eta, theta = recovered(x_NTE)
    # eta and 1 - eta give the same values at whole steps, the phase then being turned over
    assert stats.kstest(2 * eta, "uniform").pvalue > 1e-3
    assert stats.kstest(theta / (2 * np.pi) + 0.5, "uniform").pvalue > 1e-3
    # the sine of a uniform phase has the arcsine distribution, at every step
    for t in (0, 7, 23):
        assert stats.kstest(x_NTE[:, t].ravel(), "arcsine").pvalue > 1e-3


def test_the_codes_frequencies_and_phases_are_uniform_and_small():
    s = 2 * series(ranges="code").astype(float) - 1
    theta = np.arcsin(s[:, 0])
    eta = (np.arcsin(s[:, 10]) - theta) / (2 * np.pi * 10)  # 10 steps stay below a quarter turn
    assert stats.kstest((theta / 0.1).ravel(), "uniform").pvalue > 1e-3
    assert stats.kstest((eta * 2 * np.pi / 0.1).ravel(), "uniform").pvalue > 1e-3


def test_the_spectrum_of_a_series_is_one_line_at_its_frequency():
    x_NTE = series(length=256, test_size=100)
    eta, _ = recovered(x_NTE[:, :24])
    window = np.hanning(256)[None, :, None]
    power = np.abs(np.fft.rfft((2 * x_NTE.astype(float) - 1) * window, n=4096, axis=1)) ** 2
    peak = power.argmax(axis=1).ravel() / 4096
    far = (eta > 0.02) & (eta < 0.48)  # from the ends, where a line meets its mirror image
    assert np.abs(peak - eta)[far].max() < 1 / 256
    lines = np.arange(2049)[None, :, None] / 4096
    near = np.abs(lines - peak.reshape(100, 1, 5)) < 4 / 256
    assert (np.sum(power * near, axis=1) / np.sum(power, axis=1)).ravel()[far].min() > 0.99


def test_features_are_independent_of_one_another():
    eta, theta = (x.reshape(2000, 5) for x in recovered(series()))
    for values in (eta, np.cos(theta), np.sin(theta)):
        correlation = np.corrcoef(values.T) - np.eye(5)
        assert np.abs(correlation).max() < 5 / np.sqrt(2000)


def test_series_do_not_depend_on_the_batch_size_and_a_finite_sample_is_apart():
    one, other = (series(batch_size=n, test_size=30, train_size=40) for n in (7, 64))
    assert np.array_equal(one, other)
    train = series("train", batch_size=7, test_size=30, train_size=40)
    assert len(train) == 40
    assert len(np.unique(np.concatenate([one, train]), axis=0)) == 70


def test_a_series_and_its_lines_are_the_same():
    spec = sines.make(sines.Options(length=6, features=3)).spec
    for one in series(length=6, features=3, test_size=50):
        text = sines.decode(spec, one)
        assert [line.count(",") for line in text.splitlines()] == [2] * 6
        back = sines.encode(spec, text)
        assert back.dtype == np.float32 and np.array_equal(back, one)
    text = "0.5,1.0\n0.25,1e-05\n"
    spec = spec | {"length": 2, "inputs": {"kind": "real", "size": 2}}
    assert sines.decode(spec, sines.encode(spec, text)) == text
    assert math.isclose(sines.encode(spec, text)[1, 1], 1e-5, rel_tol=1e-6)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the series has 0 lines, but 2 are needed"),
        ("1,2\n3,4\n5,6", "the series has 3 lines, but 2 are needed"),
        ("1,2\n3", "line 2 of the series has 1 field, but 2 are needed"),
        ("1,2\n3,four", "line 2 of the series has 'four', which is not a number"),
    ],
)
def test_lines_that_are_no_series_are_named(text, sentence):
    spec = sines.make(sines.Options(length=2, features=2)).spec
    with pytest.raises(UsageError, match=sentence):
        sines.encode(spec, text)
