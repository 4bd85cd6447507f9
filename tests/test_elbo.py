"""Bounds on the likelihood, on a linear Gaussian model whose likelihood and posterior are known."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen.errors import UsageError
from seqgen.models import vae
from seqgen.objectives import elbo

B, F, Z, VARIANCE = 6, 4, 2, 0.3
SPEC = {
    "dataset": "test",
    "inputs": {"kind": "vector", "size": F},
    "targets": {"kind": "category", "size": 3, "per": "sequence"},
}
OPTIONS = vae.Options(
    encoder_sizes=(),
    decoder_sizes=(),
    latent_size=Z,
    likelihood="gaussian",
    variance="fixed",
    fixed_variance=VARIANCE,
)
MODEL = vae.make(OPTIONS, SPEC)
WEIGHT_ZF = np.asarray([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.5, -0.5]])  # orthogonal rows
BIAS_F = np.asarray([0.1, -0.2, 0.3, 0.0])
BATCH = {
    "inputs": jax.random.normal(jax.random.key(0), (B, F)),
    "targets": jnp.arange(B) % 3,
    "index_B": jnp.arange(B),
    "weight_B": jnp.ones(B),
}


def parameters(scale=1.0):
    """The model's, its encoder the exact posterior; `scale` moves its means away from it."""
    variance_Z = 1 / (1 + (WEIGHT_ZF**2).sum(1) / VARIANCE)
    kernel_FZ = scale * WEIGHT_ZF.T * variance_Z / VARIANCE
    raw_Z = vae.WIDEST * np.arctanh(np.log(variance_Z) / vae.WIDEST)
    params = {
        "mean": {"kernel": kernel_FZ, "bias": -BIAS_F @ kernel_FZ},
        "log_variance": {"kernel": np.zeros((F, Z)), "bias": raw_Z},
        "decoder": {"MLP_0": {"Dense_0": {"kernel": WEIGHT_ZF, "bias": BIAS_F}}},
    }
    return jax.tree.map(jnp.float32, params)


def log_p_B():
    covariance_FF = WEIGHT_ZF.T @ WEIGHT_ZF + VARIANCE * np.eye(F)
    centred_BF = np.asarray(BATCH["inputs"]) - BIAS_F
    squared_B = np.sum(centred_BF @ np.linalg.inv(covariance_FF) * centred_BF, axis=1)
    return -0.5 * (squared_B + np.linalg.slogdet(2 * math.pi * covariance_FF)[1])


def objective(**options):
    return elbo.make(elbo.Options(**options), MODEL, SPEC)


def mean_loss(options, params, key, step=0):
    clock = (jnp.int32(step), key)
    total, (weight, _, _) = (
        objective(**options).players[0].loss(params, None, {"rows": None}, BATCH, clock)
    )
    return total / weight


@pytest.mark.parametrize("bound", elbo.BOUNDS)
def test_with_the_exact_posterior_every_bound_is_the_likelihood(bound):
    found = mean_loss({"bound": bound, "samples": 3}, parameters(), jax.random.key(1))
    if bound == "elbo":  # its samples differ, the KL does not: exact in the mean alone
        keys = jax.random.split(jax.random.key(2), 4000)
        losses = jax.vmap(lambda key: mean_loss({"samples": 3}, parameters(), key))(keys)
        found, error = losses.mean(), 5 * losses.std() / np.sqrt(len(keys))
        assert abs(found + log_p_B().mean()) < error
    else:
        assert found == pytest.approx(-log_p_B().mean(), rel=1e-4)


@pytest.mark.slow
def test_more_samples_tighten_the_bound():
    params = parameters(scale=0.5)

    def loss(samples):
        how, keys = {"bound": "iwae", "samples": samples}, jax.random.split(jax.random.key(3), 500)
        return float(jax.vmap(lambda key: mean_loss(how, params, key))(keys).mean())

    losses = [loss(samples) for samples in (1, 5, 50, 1000)]
    exact = -log_p_B().mean()
    assert losses[0] > losses[1] + 0.01 > losses[2] + 0.02 and losses[2] > losses[3] > exact - 1e-3
    assert losses[3] == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("beta", [0.3, 1.0])
@pytest.mark.parametrize(("plainly", "samples"), [("iwae", 4), ("elbo", 1)])
def test_the_doubly_reparameterised_gradient_is_the_bounds_in_the_mean(plainly, samples, beta):
    params, draws = parameters(scale=0.7), 6000

    def gradients(bound):
        how = {"bound": bound, "samples": samples, "beta": beta}
        keys = jax.random.split(jax.random.key(4), draws)
        one = jax.grad(lambda p, key: mean_loss(how, p, key))
        return jax.jit(jax.vmap(one, (None, 0)))(params, keys)

    plain, double = gradients(plainly), gradients("dreg")
    flat = jax.tree.leaves_with_path(plain)
    for (path, one), other in zip(flat, jax.tree.leaves(double), strict=True):
        error = 5 * np.sqrt(np.var(one, 0) + np.var(other, 0)) / np.sqrt(draws) + 1e-6
        name = jax.tree_util.keystr(path)
        assert np.all(np.abs(np.mean(one, 0) - np.mean(other, 0)) < error), name
        if "mean" in name and plainly == "iwae":  # with less noise
            assert np.all(np.var(other, 0) < 0.5 * np.var(one, 0))


def test_at_the_exact_posterior_the_encoders_doubly_reparameterised_gradient_is_zero():
    how = {"bound": "dreg", "samples": 4}
    gradient = jax.jit(jax.grad(lambda p: mean_loss(how, p, jax.random.key(5))))(parameters())
    for part in ("mean", "log_variance"):
        for leaf in jax.tree.leaves(gradient[part]):
            np.testing.assert_allclose(leaf, 0, atol=1e-5)


def test_what_is_measured_of_an_example_does_not_depend_on_its_batch():
    made, params = objective(samples=3), {"model": parameters()}
    whole, _ = jax.jit(made.measure)(params, {"rows": None}, BATCH, jax.random.key(0))
    part = jax.tree.map(lambda x: x[2:4], BATCH)
    some, _ = jax.jit(made.measure)(params, {"rows": None}, part, jax.random.key(9))
    assert whole.keys() == objective().reports.keys()
    for name, (value_B, _) in whole.items():
        np.testing.assert_allclose(value_B[2:4], some[name][0], rtol=1e-5)
    np.testing.assert_allclose(
        whole["elbo"][0], -whole["reconstruction"][0] - whole["kl"][0], rtol=1e-5
    )


def test_the_weight_of_the_kl_grows_with_the_clock_and_free_nats_cost_nothing():
    params = parameters()

    def loss(params, step=0, **options):
        return mean_loss(options, params, jax.random.key(6), step)

    none = loss(params, beta=0.0)
    whole = loss(params)
    warm = {"warmup_steps": 10}
    assert loss(params, 0, **warm) == pytest.approx(float(none), rel=1e-5)
    half = (none + whole) / 2
    assert loss(params, 5, **warm) == pytest.approx(float(half), rel=1e-5)
    assert loss(params, 99, **warm) == pytest.approx(float(whole), rel=1e-5)
    kl = float(whole - none)
    free = loss(params, free_bits=2 * kl)
    assert free == pytest.approx(float(none) + Z * 2 * kl, rel=0.1)
    gradient = jax.grad(lambda p: loss(p, free_bits=100.0))(params)
    same = jax.grad(lambda p: loss(p, beta=0.0))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), gradient, same)


def test_free_nats_are_those_of_the_mean_over_the_real_examples():
    kl_BZ = np.asarray([[0.0, 1.0], [3.0, 1.2], [0.0, 2.0], [50.0, 50.0]])
    mean_BZ = np.sqrt(2 * kl_BZ)  # with variance one
    posterior = elbo.Posterior(mean_BZ, 0 * mean_BZ, mean_BZ[None])
    batch = {
        "inputs": jnp.zeros((4, F)),
        "targets": jnp.zeros(4, int),
        "weight_B": jnp.asarray([1.0, 1.0, 1.0, 0.0]),
    }

    def cost(free_bits):
        options = elbo.Options(free_bits=free_bits)
        args = (MODEL, parameters(), batch, posterior)
        found = [elbo._bound(options, *args, weight)[0] for weight in (0.0, 1.0)]
        return np.mean((found[0] - found[1])[:3])

    # means 1 and 1.4: where each example had free nats of its own, 2 would cost 2.33 + 2 of them
    assert cost(2.0) == pytest.approx(2.0 + 2.0, rel=1e-4)
    assert cost(1.2) == pytest.approx(1.2 + 1.4, rel=1e-4)
    assert cost(None) == pytest.approx(1.0 + 1.4, rel=1e-4)


@pytest.mark.parametrize("variance", vae.VARIANCES)
@pytest.mark.parametrize("size", [0.0, 1e6])
def test_no_input_gives_a_nan(variance, size):
    options = dataclasses.replace(OPTIONS, variance=variance, encoder_sizes=(5,))
    made = elbo.make(elbo.Options(), vae.make(options, SPEC), SPEC)
    batch = BATCH | {"inputs": size * BATCH["inputs"]}
    params, memory = jax.jit(made.init)(jax.random.key(0), batch)
    params["model"]["log_variance"]["kernel"] += 1e6

    def loss(own):
        clock = (jnp.int32(0), jax.random.key(1))
        return made.players[0].loss(own, params, memory, batch, clock)[0]

    value, gradient = jax.jit(jax.value_and_grad(loss))(params["model"])
    assert np.isfinite(value)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


PICTURES = SPEC | {"inputs": {"kind": "image", "shape": [4, 4, 1]}}


@pytest.mark.parametrize("likelihood", ["bernoulli", "categorical"])
def test_a_conditional_model_is_told_the_class(likelihood):
    options = vae.Options(latent_size=2, conditional=True, likelihood=likelihood, levels=3)
    model = vae.make(options, PICTURES)
    x, z_BZ = jnp.ones((B, 4, 4, 1)), jnp.zeros((B, 2))
    label_B = jnp.arange(B) % 3
    variables = jax.jit(model.init)(jax.random.key(0), x, label_B)
    decode = jax.jit(lambda z, label: model.apply(variables, z, label, method="decode"))
    made = decode(z_BZ, label_B)
    assert made.shape == x.shape and np.all((made >= 0) & (made <= 1))
    np.testing.assert_allclose(made[0], made[3], rtol=1e-5)
    assert np.any(made[0] != made[1])


def test_bits_are_drawn_with_the_pixels_probabilities_the_fixed_ones_always_alike():
    x = jnp.broadcast_to(jnp.asarray([0.0, 0.3, 1.0])[None], (20_000, 3))
    batch = {"inputs": x, "index_B": jnp.arange(len(x))}
    once = elbo.fixed_bits(batch)
    assert set(np.unique(once)) == {0.0, 1.0}
    np.testing.assert_allclose(once.mean(0), x[0], atol=0.02)
    later = jax.tree.map(lambda a: a[50:60], batch)
    np.testing.assert_array_equal(elbo.fixed_bits(later), once[50:60])
    first, second = (elbo.drawn(jax.random.key(k), x) for k in range(2))
    assert np.any(first != second)


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="latent_size=4 compresses nothing"):
        vae.make(dataclasses.replace(OPTIONS, latent_size=F), SPEC)
    with pytest.raises(UsageError, match="likelihood=bernoulli is for numbers in"):
        vae.make(dataclasses.replace(OPTIONS, likelihood="bernoulli"), SPEC)
    with pytest.raises(UsageError, match="binarization is for pictures"):
        objective(binarization="dynamic")
    assert list(elbo.Options(bound="iwae", free_bits=0.1).problems())
    problems = " ".join(elbo.Options(bound="elbow", samples=0).problems())
    assert "did you mean 'elbo'" in problems and "samples" in problems
    one_class = SPEC | {"targets": SPEC["targets"] | {"size": 1}}
    with pytest.raises(UsageError, match="conditional needs classes"):
        vae.make(dataclasses.replace(OPTIONS, conditional=True), one_class)
