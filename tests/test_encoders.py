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
    encoder = encoders.make(name, (8, 12), jax.nn.relu, normalize=True)
    return jax.jit(encoder.apply), jax.jit(encoder.init)(jax.random.key(1), X_BHWC)


@pytest.mark.parametrize("name", encoders.OF_PICTURES)
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


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("sides", [(12, 10), (7, 9), (1, 2)])
def test_the_product_is_the_convolution(sides, stride):
    x_BHWC = jax.random.normal(jax.random.key(2), (B, *sides, C))
    kernel = jax.random.normal(jax.random.key(3), (3, 3, C, 5))
    plain = partial(
        jax.lax.conv_general_dilated,
        window_strides=(stride, stride),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    np.testing.assert_allclose(
        encoders.by_patches(x_BHWC, kernel, (stride, stride), "SAME"),
        plain(x_BHWC, kernel),
        rtol=1e-4,
        atol=1e-4,
    )
