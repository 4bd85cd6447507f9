"""Encoders of pictures: their shapes, and that no row knows of another."""

import math
from functools import partial

import flax.linen as nn
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


def derivatives(f, *args):
    """The value, first derivatives, and second ones, of a curved function of f's result."""
    total = lambda args: jnp.sum(jnp.sin(f(*args)))  # noqa: E731

    def slope(args):
        return sum(jnp.sum(jnp.cos(leaf)) for leaf in jax.tree.leaves(jax.grad(total)(args)))

    return jax.jit(lambda args: (f(*args), jax.grad(total)(args), jax.grad(slope)(args)))(args)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("sides", [(6, 4), (5, 7), (1, 2)])
def test_the_product_is_the_convolution_and_so_are_its_derivatives(sides, stride):
    x_BHWC = jax.random.normal(jax.random.key(2), (B, *sides, C))
    kernel = jax.random.normal(jax.random.key(3), (3, 3, C, 5)) / 5
    plain = partial(
        jax.lax.conv_general_dilated,
        window_strides=(stride, stride),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    ours = lambda x, kernel: encoders.by_patches(x, kernel, (stride, stride), "SAME")  # noqa: E731
    got, wanted = derivatives(ours, x_BHWC, kernel), derivatives(plain, x_BHWC, kernel)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), got, wanted)


@pytest.mark.parametrize("channels", [16, 6])
def test_normalisation_of_groups_is_that_of_flax_and_so_are_its_derivatives(channels):
    x_BHWC = 1 + jax.random.normal(jax.random.key(4), (B, 3, 5, channels))
    theirs = nn.GroupNorm(math.gcd(channels, encoders.GROUPS), param_dtype=float)
    variables = theirs.init(jax.random.key(5), x_BHWC)
    ours = encoders.GroupNorm()
    jax.tree.map(np.testing.assert_array_equal, ours.init(jax.random.key(5), x_BHWC), variables)
    variables = jax.tree.map(lambda leaf: leaf + jnp.arange(0.0, 1, 1 / channels), variables)
    got, wanted = (derivatives(norm.apply, variables, x_BHWC) for norm in (ours, theirs))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), got, wanted)


def test_a_stored_encoder_still_loads():
    _, variables = built("conv")
    names = {jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(variables)}
    norms = {f"['params']['GroupNorm_{i}']['{name}']" for i in (0, 1) for name in ("bias", "scale")}
    assert names == norms | {f"['params']['Conv_{i}']['kernel']" for i in (0, 1)}
