"""Densities and divergences: against SciPy's kind of formulas in NumPy, and against sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import densities

KEYS = jax.random.split(jax.random.key(0), 4)
MEAN_BZ, LOG_VARIANCE_BZ = (jax.random.normal(key, (3, 4)) for key in KEYS[:2])


def test_the_normal_density_is_jax_scipys():
    x_BZ = jax.random.normal(KEYS[2], (3, 4))
    scale_BZ = jnp.exp(LOG_VARIANCE_BZ / 2)
    expected_B = jax.scipy.stats.norm.logpdf(x_BZ, MEAN_BZ, scale_BZ).sum(1)
    found_B = densities.log_normal(x_BZ, MEAN_BZ, LOG_VARIANCE_BZ)
    np.testing.assert_allclose(found_B, expected_B, rtol=1e-5)


def test_the_divergence_from_the_prior_is_its_monte_carlo_estimate():
    noise_KBZ = jax.random.normal(KEYS[3], (200_000, 3, 4))
    z_KBZ = MEAN_BZ[None] + jnp.exp(LOG_VARIANCE_BZ / 2)[None] * noise_KBZ
    log_q_KBZ = jax.scipy.stats.norm.logpdf(noise_KBZ) - LOG_VARIANCE_BZ[None] / 2
    ratio_KBZ = log_q_KBZ - jax.scipy.stats.norm.logpdf(z_KBZ)
    error_BZ = 5 * jnp.std(ratio_KBZ, axis=0) / np.sqrt(len(ratio_KBZ))
    found_BZ = densities.kl_from_standard_normal(MEAN_BZ, LOG_VARIANCE_BZ)
    assert np.all(np.abs(found_BZ - ratio_KBZ.mean(0)) < error_BZ)
    assert float(densities.kl_from_standard_normal(jnp.zeros((1, 1)), jnp.zeros((1, 1)))[0, 0]) == 0


def test_near_the_prior_no_digits_cancel():
    small = 1e-4
    (found,) = densities.kl_from_standard_normal(jnp.zeros((1, 1)), jnp.full((1, 1), small))[0]
    assert found == pytest.approx(small**2 / 4, rel=1e-2)


def test_bits_and_levels_are_the_log_of_their_probabilities():
    logits = jax.random.normal(jax.random.key(9), (2, 3, 5))
    x = jnp.arange(6).reshape(2, 3) % 5
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = [sum(np.log(p[b, i, x[b, i]]) for i in range(3)) for b in range(2)]
    np.testing.assert_allclose(densities.log_categorical(x, logits), expected, rtol=1e-5)
    bits = (logits > 0.3).astype(float)
    p = 1 / (1 + np.exp(-logits))
    expected = np.log(np.where(bits == 1, p, 1 - p)).sum((1, 2))
    np.testing.assert_allclose(densities.log_bernoulli(bits, logits), expected, rtol=1e-5)


def test_sure_and_wrong_is_a_large_number_and_no_nan():
    assert float(densities.log_bernoulli(jnp.zeros((1, 1)), jnp.full((1, 1), 1e4))[0]) == -1e4
    assert float(densities.log_bernoulli(jnp.ones((1, 1)), jnp.full((1, 1), 1e4))[0]) == 0
