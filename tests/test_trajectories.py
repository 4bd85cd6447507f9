"""Gradients and Jacobian products along a trajectory are those of closed forms and of autodiff."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import trajectories

pytestmark = pytest.mark.usefixtures("float64")
T, B, D = 6, 2, 3


def linear(w_DD):
    """s_t = s_{t-1} W + x_t, whose Jacobian is W.T wherever it goes."""
    return lambda s_BD, x_BD: s_BD @ w_DD + x_BD


def mixed(s_BS, x_BD):
    """A state of two arrays, neither of which goes its own way: a small cell with a memory."""
    c_BD, h_BD = jnp.split(s_BS, 2, axis=-1)
    c_BD = jax.nn.sigmoid(h_BD[:, ::-1]) * c_BD + jnp.sin(x_BD + 2 * h_BD)
    return jnp.concatenate([c_BD, jnp.tanh(c_BD * x_BD)], axis=-1)


def followed(step, size=D, steps=T, seed=0):
    keys = jax.random.split(jax.random.key(seed))
    x_TBD = jax.random.normal(keys[0], (steps, B, D))
    return trajectories.follow(step, x_TBD, 0.3 * jax.random.normal(keys[1], (B, size)))


def whole(vectors):
    return vectors.unit * jnp.exp(vectors.log)[..., None]


@pytest.fixture
def w_DD():
    return 0.7 * jax.random.normal(jax.random.key(7), (D, D))


def test_gradients_of_a_linear_walk_are_powers_of_its_matrix(w_DD):
    path = followed(linear(w_DD))
    direct_TBD = jnp.zeros((T, B, D)).at[-1].set(jnp.asarray([[1.0, -2.0, 0.5], [0.1, 0.0, 3.0]]))
    found_TBD = whole(trajectories.gradients(linear(w_DD), path, direct_TBD))
    for lag in range(T):
        power_DD = np.linalg.matrix_power(np.asarray(w_DD).T, lag)
        np.testing.assert_allclose(found_TBD[T - 1 - lag], direct_TBD[-1] @ power_DD, rtol=1e-10)


def test_gradients_are_those_of_autodiff_through_every_later_step():
    path = followed(mixed, 2 * D)
    weight_TBS = jax.random.normal(jax.random.key(3), (T, B, 2 * D))

    def loss(added_TBS):
        state_BS, total = path.states[0], 0.0
        for t in range(T):
            state_BS = mixed(state_BS, path.inputs[t]) + added_TBS[t]
            total += jnp.sum(weight_TBS[t] * state_BS**2)
        return total

    wanted_TBS = jax.grad(loss)(jnp.zeros((T, B, 2 * D)))
    after_TBS = jnp.concatenate([path.states[1:], path.last[None]])
    found = trajectories.gradients(mixed, path, 2 * weight_TBS * after_TBS)
    np.testing.assert_allclose(whole(found), wanted_TBS, rtol=1e-9)
    log_TB = trajectories.log_norms(found, D)
    np.testing.assert_allclose(
        jnp.exp(log_TB), jnp.linalg.norm(wanted_TBS[..., D:], axis=-1), rtol=1e-9
    )


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_no_number_of_steps_is_too_many(factor):
    steps = 500
    step = linear(factor * jnp.eye(D))
    path = trajectories.follow(step, jnp.zeros((steps, B, D)), jnp.zeros((B, D)))
    direct_TBD = jnp.zeros((steps, B, D)).at[-1].set(1.0)
    found = trajectories.gradients(step, path, direct_TBD)
    lags_T = np.arange(steps)[::-1]
    wanted_T = lags_T * np.log(factor) + np.log(np.sqrt(D))
    np.testing.assert_allclose(found.log, np.stack([wanted_T] * B, 1), rtol=1e-9)
    values_TBD = trajectories.log_singular_values(step, path, D)
    np.testing.assert_allclose(values_TBD[0], steps * np.log(factor), rtol=1e-9)


def test_what_overflowed_is_not_a_number_and_not_nothing():
    path = trajectories.follow(linear(jnp.eye(D)), jnp.ones((T, B, D)), jnp.zeros((B, D)))
    lost = lambda s_BD, x_BD: s_BD * jnp.nan + x_BD  # noqa: E731
    values_TBD = trajectories.log_singular_values(lost, path, D)
    assert np.all(np.isnan(values_TBD[0]))


def test_a_step_that_forgets_all_lets_nothing_through():
    step = lambda s_BD, x_BD: jnp.where(x_BD[:, :1] > 9, 0.0, s_BD) + x_BD  # noqa: E731
    path = trajectories.follow(step, jnp.ones((T, B, D)).at[2].set(10.0), jnp.zeros((B, D)))
    found = trajectories.gradients(step, path, jnp.ones((T, B, D)))
    # ones from every later step, but none from beyond the third
    np.testing.assert_allclose(whole(found)[:, 0, 0], [2, 1, 4, 3, 2, 1])
    values_TBD = trajectories.log_singular_values(step, path, D)
    assert np.all(np.isneginf(values_TBD[:3]))
    np.testing.assert_allclose(values_TBD[3:], 0, atol=1e-12)


def test_singular_values_are_those_of_powers_of_the_matrix(w_DD):
    found_TBD = trajectories.log_singular_values(linear(w_DD), followed(linear(w_DD)), D)
    for lag in range(1, T + 1):
        power_DD = np.linalg.matrix_power(np.asarray(w_DD), lag)
        wanted_D = np.linalg.svd(power_DD, compute_uv=False)
        np.testing.assert_allclose(np.exp(found_TBD[T - lag, 1]), wanted_D, rtol=1e-8)


def test_a_scalar_tanh_walk_has_the_product_of_its_slopes():
    w = 1.4
    step = lambda s_BD, x_BD: jnp.tanh(w * s_BD + x_BD)  # noqa: E731
    x_TBD = jax.random.normal(jax.random.key(1), (T, B, 1))
    path = trajectories.follow(step, x_TBD, jnp.zeros((B, 1)))
    after_TB = np.concatenate([path.states[1:], path.last[None]])[..., 0]
    slopes_TB = w * (1 - after_TB**2)
    wanted_TB = np.cumprod(slopes_TB[::-1], axis=0)[::-1]
    found_TBD = trajectories.log_singular_values(step, path, 1)
    np.testing.assert_allclose(np.exp(found_TBD[..., 0]), wanted_TB, rtol=1e-10)
    means_BK, _ = trajectories.exponents(step, path, jnp.ones((T, B), bool), 1)
    np.testing.assert_allclose(means_BK[:, 0], np.log(slopes_TB).mean(axis=0), rtol=1e-10)


def test_jacobian_products_of_h_are_those_of_autodiff_through_the_whole_state():
    path = followed(mixed, 2 * D)

    def last_h(h_D, start, row):
        s_BS = path.states[start].at[row, D:].set(h_D)
        for t in range(start, T):
            s_BS = mixed(s_BS, path.inputs[t])
        return s_BS[row, D:]

    found_TBD = trajectories.log_singular_values(mixed, path, D)
    for start, row in ((0, 0), (2, 1), (T - 1, 0)):
        matrix_DD = jax.jacobian(last_h)(path.states[start, row, D:], start, row)
        wanted_D = np.linalg.svd(matrix_DD, compute_uv=False)
        np.testing.assert_allclose(np.exp(found_TBD[start, row]), wanted_D, rtol=1e-7)


def test_products_with_vectors_alone_find_the_largest():
    size = 12
    w_DD = jnp.linalg.qr(jax.random.normal(jax.random.key(2), (size, size)))[0]
    w_DD = w_DD * (0.6 ** jnp.arange(size))[None]
    step = lambda s_BD, x_BD: jnp.tanh(s_BD @ w_DD + x_BD)  # noqa: E731
    x_TBD = jax.random.normal(jax.random.key(4), (T, B, size))
    path = trajectories.follow(step, x_TBD, jnp.zeros((B, size)))
    exact_TBD = trajectories.log_singular_values(step, path, size)
    find = jax.jit(
        lambda lag: trajectories.largest_log_singular_values(step, path, size, lag, 4, rounds=6)
    )
    for lag in (1, 3, T):
        wanted_BK, found_BK = exact_TBD[T - lag, :, :3], find(lag)[:, :3]
        np.testing.assert_allclose(found_BK, wanted_BK, atol=0.05)
        assert np.all(found_BK <= wanted_BK + 1e-9)
    np.testing.assert_allclose(find(T)[:, 0], exact_TBD[0, :, 0], atol=1e-3)


def test_exponents_of_an_orthogonal_walk_are_zero():
    w_DD = jnp.linalg.qr(jax.random.normal(jax.random.key(5), (D, D)))[0]
    path = followed(linear(w_DD))
    found_BK, _ = trajectories.exponents(linear(w_DD), path, jnp.ones((T, B), bool), D)
    np.testing.assert_allclose(found_BK, 0, atol=1e-12)


def test_exponents_of_a_linear_walk_are_logarithms_of_its_eigenvalues():
    basis_DD = jnp.asarray([[1.0, 0.3, 0.0], [0.0, 1.0, 0.2], [0.1, 0.0, 1.0]])
    w_DD = basis_DD @ jnp.diag(jnp.asarray([0.5, -1.25, 0.8])) @ jnp.linalg.inv(basis_DD)
    path = followed(linear(w_DD), steps=400)
    real_TB = jnp.ones((400, B), bool).at[200:, 1].set(False)
    found_BK, _ = trajectories.exponents(linear(w_DD), path, real_TB, D)
    np.testing.assert_allclose(found_BK[0], np.log([1.25, 0.8, 0.5]), atol=0.01)
    np.testing.assert_allclose(found_BK[1], found_BK[0], atol=0.01)
    # the volume grows by the determinant, whatever the beginning
    np.testing.assert_allclose(found_BK[0].sum(), np.log(0.5), rtol=1e-9)
