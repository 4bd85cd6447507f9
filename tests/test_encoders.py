"""Encoders of pictures: their shapes, and that no row knows of another."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import encoders

B, H, W, C = 3, 12, 10, 3
X_BHWC = jax.random.uniform(jax.random.key(0), (B, H, W, C))
FEATURES = {"conv": (B, 3, 3, 12), "mlp": (B, 12)}


def built(name):
    encoder = encoders.make(name, (8, 12))
    return jax.jit(encoder.apply), jax.jit(encoder.init)(jax.random.key(1), X_BHWC)


@pytest.mark.parametrize("name", encoders.NAMES)
def test_a_row_is_what_it_is_alone_and_every_parameter_and_pixel_matters(name):
    encode, variables = built(name)
    together = encode(variables, X_BHWC)
    assert together.shape == FEATURES[name]
    np.testing.assert_allclose(together[1], encode(variables, X_BHWC[1:2])[0], atol=1e-5)
    total = lambda v, x: jnp.sum(jnp.sin(3 * encode(v, x)))  # noqa: E731
    d_variables, d_x = jax.jit(jax.grad(total, (0, 1)))(variables, X_BHWC)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(d_variables))
    assert np.mean(np.asarray(d_x) != 0) > 0.95


def test_the_map_keeps_where_things_are():
    encode, variables = built("conv")
    corner = X_BHWC.at[:, :2, :2].set(0)
    changed = np.abs(np.asarray(encode(variables, corner) - encode(variables, X_BHWC)))
    changed = changed.mean((0, 3))
    assert changed[0, 0] > 3 * changed[2, 2]  # where the normalisation alone has changed it


def test_a_convolution_is_the_plain_sum_over_its_window():
    encode, variables = built("conv")
    conv = partial(jax.tree.map, np.asarray)(variables["params"])
    kernel = conv["Conv_0"]["kernel"]
    first = encoders.make("conv", (8,)).apply(
        {"params": {name: conv[name] for name in ("Conv_0", "GroupNorm_0")}}, X_BHWC
    )
    # SAME padding of an even side by a stride of 2: one row of zeros behind
    x = np.pad(2 * np.asarray(X_BHWC) - 1, ((0, 0), (0, 1), (0, 1), (0, 0)))
    plain = np.zeros((B, H // 2, W // 2, 8))
    for i in range(H // 2):
        for j in range(W // 2):
            window = x[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            plain[:, i, j] = np.einsum("bhwc,hwcd->bd", window, kernel)
    centred = plain - plain.mean((1, 2), keepdims=True)  # eight groups of one channel
    scaled = centred / np.sqrt((centred**2).mean((1, 2), keepdims=True) + 1e-6)
    np.testing.assert_allclose(first, np.maximum(scaled, 0), atol=1e-4)
