"""Attention against a loop over rows and steps, and what padding may not do to it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen.attention import SCORES, Attention, masked_softmax

B, T, S, D = 3, 4, 5, 6


def given(score):
    key_q, key_v, key_init = jax.random.split(jax.random.key(0), 3)
    query, values = jax.random.normal(key_q, (B, T, D)), jax.random.normal(key_v, (B, S, D))
    attention, length_B = Attention(score, D), jnp.asarray([5, 2, 3])

    def both(module, query, values, length_B):
        return module(query, module.keys(values), values, length_B)

    variables = attention.init(key_init, query, values, length_B, method=both)
    apply = lambda *inputs: attention.apply(variables, *inputs, method=both)  # noqa: E731
    return variables.get("params", {}), apply, (query, values, length_B)


def score_of(params, score, q, v):
    if score == "dot":
        return q @ v
    key = v @ params["to_key"]["kernel"]
    if score == "general":
        return q @ key
    asked = q @ params["to_query"]["kernel"] + params["to_query"]["bias"]
    return (np.tanh(asked + key) @ params["weights"])[0]


@pytest.mark.parametrize("score", SCORES)
def test_attention_is_the_plain_loop(score):
    params, apply, (query, values, length_B) = given(score)
    params = jax.tree.map(np.asarray, params)
    means, weights = apply(query, values, length_B)
    for b in range(B):
        real = np.asarray(values[b, : int(length_B[b])])
        for t in range(T):
            scores = np.array([score_of(params, score, np.asarray(query[b, t]), v) for v in real])
            expected = np.exp(scores - scores.max())
            expected /= expected.sum()
            np.testing.assert_allclose(weights[b, t, : len(real)], expected, rtol=2e-5)
            np.testing.assert_allclose(means[b, t], expected @ real, rtol=2e-5, atol=1e-6)
            assert np.all(weights[b, t, len(real) :] == 0)


@pytest.mark.parametrize("score", SCORES)
def test_padding_has_no_influence_and_no_gradient(score):
    _, apply, (query, values, length_B) = given(score)
    noise = jax.random.normal(jax.random.key(9), (B, 3, D))
    longer = jnp.concatenate([values, noise], axis=1)
    np.testing.assert_allclose(
        apply(query, values, length_B)[0], apply(query, longer, length_B)[0], atol=1e-6
    )
    gradient = jax.grad(lambda v: jnp.sum(jnp.sin(apply(query, v, length_B)[0])))(longer)
    past = jnp.arange(S + 3)[None, :, None] >= length_B[:, None, None]
    assert np.all(np.where(past, gradient, 0) == 0)
    assert np.any(np.where(past, 0, gradient) != 0)


def test_nothing_to_attend_to_is_zero_with_a_finite_gradient():
    def total(score):
        return jnp.sum(jnp.sin(masked_softmax(score, jnp.zeros((2, 3), bool))))

    value, gradient = jax.value_and_grad(total)(jnp.ones((2, 3)))
    assert value == 0
    assert np.all(np.asarray(gradient) == 0)


def test_softmax_survives_any_scores():
    weights = masked_softmax(jnp.asarray([[1e30, -1e30, 0.0]]), jnp.ones((1, 3), bool))
    np.testing.assert_array_equal(weights, [[1, 0, 0]])
