"""The largest singular value against a decomposition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import spectral


@pytest.mark.parametrize("shape", [(256, 256), (40, 3), (3, 40)])
def test_the_norm_and_its_slope_are_those_of_the_decomposition(shape):
    w_EF = np.random.RandomState(0).randn(*shape).astype(np.float32)
    found, slope_EF = jax.jit(jax.value_and_grad(spectral.norm))(w_EF)
    exact = np.linalg.svd(w_EF, compute_uv=False)[0]
    assert 0.95 * exact < found < exact * (1 + 1e-5)
    assert np.linalg.norm(slope_EF) == pytest.approx(1, rel=1e-4)
    assert np.sum(slope_EF * w_EF) == pytest.approx(float(found), rel=1e-4)


def test_the_slope_is_the_derivative_where_one_singular_value_leads():
    left, right = (np.linalg.qr(np.random.RandomState(s).randn(5, 5))[0] for s in range(2))
    w_EF = np.float32(left @ np.diag([3, 1, 0.5, 0.2, 0.1]) @ right)
    slope_EF = jax.grad(spectral.norm)(w_EF)
    np.testing.assert_allclose(slope_EF, np.outer(left[:, 0], right[0]), atol=1e-5)


def test_weights_are_normalised_and_nothing_else():
    random = np.random.RandomState(0)
    params = {
        "Conv_0": {"kernel": random.randn(3, 3, 2, 4), "bias": random.randn(4)},
        "layer": {"w_x_EG": random.randn(5, 8), "w_h_DG": random.randn(2, 8), "b_G": np.ones(8)},
        "empty": {"kernel": np.zeros((3, 3))},
    }
    made = jax.jit(spectral.normalised)(jax.tree.map(jnp.float32, params))
    for layer, name in (("Conv_0", "kernel"), ("layer", "w_x_EG"), ("layer", "w_h_DG")):
        w_EF = np.asarray(made[layer][name]).reshape(-1, params[layer][name].shape[-1])
        assert np.linalg.svd(w_EF, compute_uv=False)[0] == pytest.approx(1, abs=0.03)
        ratio = made[layer][name] / params[layer][name]
        np.testing.assert_allclose(ratio, np.full(ratio.shape, np.mean(ratio)), rtol=1e-4)
    np.testing.assert_allclose(made["Conv_0"]["bias"], params["Conv_0"]["bias"], rtol=1e-6)
    np.testing.assert_array_equal(made["layer"]["b_G"], 1)
    assert np.all(np.isfinite(made["empty"]["kernel"]))
