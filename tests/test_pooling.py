"""Pooling against what plain Python makes of the real steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import pooling

B, T, D = 3, 6, 4
LENGTHS = (6, 2, 0)
REAL_BT = jnp.arange(T)[None] < jnp.array(LENGTHS)[:, None]
FUNCTIONS = {
    "mean": pooling.mean,
    "largest": pooling.largest,
    "weighted": lambda h_BTD, real_BT: pooling.weighted(h_BTD, real_BT, SCORES_BT),
}
key_h, key_scores = jax.random.split(jax.random.key(0))
H_BTD = jax.random.normal(key_h, (B, T, D))
SCORES_BT = 3 * jax.random.normal(key_scores, (B, T))


def plain(name, row, length):
    h_TD, scores_T = np.asarray(H_BTD)[row, :length], np.asarray(SCORES_BT)[row, :length]
    if length == 0:
        return np.zeros(D)
    if name == "mean":
        return sum(h_TD) / length
    if name == "largest":
        return [max(h_TD[:, unit]) for unit in range(D)]
    weights = np.exp(scores_T) / sum(np.exp(scores_T))
    return sum(weight * h_D for weight, h_D in zip(weights, h_TD, strict=True))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_real_steps_alone_are_pooled(name):
    pooled_BD = FUNCTIONS[name](H_BTD, REAL_BT)
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(pooled_BD[row], plain(name, row, length), rtol=1e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_padding_may_hold_anything_and_has_exactly_zero_gradient(name):
    def total(h_BTD):
        return jnp.sum(jnp.sin(FUNCTIONS[name](h_BTD, REAL_BT)))

    spoilt = jnp.where(REAL_BT[..., None], H_BTD, jnp.nan)
    value, d_h_BTD = jax.value_and_grad(total)(spoilt)
    assert value == total(H_BTD)
    assert np.all(np.asarray(d_h_BTD)[~np.asarray(REAL_BT)] == 0)
    assert np.isfinite(d_h_BTD).all()


def test_extreme_scores_choose_one_step():
    extreme_BT = jnp.full((B, T), -1e30).at[:, 1].set(1e30)
    pooled_BD = pooling.weighted(H_BTD, REAL_BT, extreme_BT)
    np.testing.assert_allclose(pooled_BD[:2], H_BTD[:2, 1])


@pytest.mark.parametrize("kind", pooling.NAMES)
def test_what_padding_holds_does_not_reach_the_parameters(kind):
    module = pooling.Pooling(kind)
    length_B = jnp.array(LENGTHS)
    variables = module.init(jax.random.key(1), H_BTD, length_B)
    spoilt = jnp.where(REAL_BT[..., None], H_BTD, jnp.nan)
    total = lambda v, h: jnp.sum(jnp.sin(module.apply(v, h, length_B)))  # noqa: E731
    clean, bad = (jax.grad(total)(variables, h) for h in (H_BTD, spoilt))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), clean, bad)
    moved = [np.any(leaf != 0) for leaf in jax.tree.leaves(clean)]
    assert all(moved) and len(moved) == (3 if kind == "attention" else 0)
