"""The autoencoder's squared error; a linear one finds what principal components find."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqgen import decoding
from seqgen.errors import UsageError
from seqgen.models import autoencoder
from seqgen.objectives import reconstruction

N, F, Z = 64, 6, 2
SPEC = {
    "dataset": "test",
    "inputs": {"kind": "vector", "size": F},
    "targets": {"kind": "category", "size": 1, "per": "sequence"},
}
RANDOM = np.random.RandomState(0)
X_NF = np.float32(
    RANDOM.randn(N, F) * [3, 2, 1, 0.5, 0.3, 0.2] @ np.linalg.qr(RANDOM.randn(F, F))[0]
)
BATCH = {"inputs": jnp.asarray(X_NF), "weight_B": jnp.ones(N)}
LINEAR = autoencoder.Options(encoder_sizes=(), decoder_sizes=(), latent_size=Z)


def built(model_options=LINEAR, **options):
    model = autoencoder.make(model_options, SPEC)
    made = reconstruction.make(reconstruction.Options(**options), model, SPEC)
    params, memory = jax.jit(made.init)(jax.random.key(0), BATCH)
    return made, params["model"], memory


def loss(made, own, memory, key=0, batch=BATCH):
    clock = (jnp.int32(0), jax.random.key(key))
    total, (weight, _, _) = made.players[0].loss(own, None, memory, batch, clock)
    return total / weight


def test_a_linear_autoencoder_reaches_the_error_and_the_subspace_of_principal_components():
    made, own, memory = built()
    rate = optax.cosine_decay_schedule(0.03, 3000)
    adam = optax.adam(rate)

    def descend(_, state):
        own, chain = state
        updates, chain = adam.update(jax.grad(lambda p: loss(made, p, memory))(own), chain)
        return optax.apply_updates(own, updates), chain

    own, _ = jax.jit(lambda s: jax.lax.fori_loop(0, 3000, descend, s))((own, adam.init(own)))
    centred_NF = X_NF - X_NF.mean(0)
    _, singular_F, axes_FF = np.linalg.svd(centred_NF, full_matrices=False)
    best = 0.5 * np.sum(singular_F[Z:] ** 2) / N
    assert float(loss(made, own, memory)) == pytest.approx(best, rel=1e-3)
    found_ZF = np.linalg.qr(own["decoder"]["MLP_0"]["Dense_0"]["kernel"].T)[0].T
    cosines = np.linalg.svd(found_ZF @ axes_FF[:Z].T, compute_uv=False)
    np.testing.assert_allclose(cosines, 1, atol=1e-3)


def test_the_error_is_half_the_squared_distance_and_is_measured_without_noise():
    made, own, memory = built(noise=0.5)
    model = autoencoder.make(LINEAR, SPEC)
    again = model.apply({"params": own}, BATCH["inputs"])
    expected_N = 0.5 * np.sum((X_NF - np.asarray(again)) ** 2, axis=1)
    measured, _ = made.measure({"model": own}, memory, BATCH, jax.random.key(0))
    np.testing.assert_allclose(measured["loss"][0], expected_N, rtol=1e-4)
    first, second = (float(loss(made, own, memory, key)) for key in range(2))
    assert first != second
    quiet, _, _ = built()
    assert float(loss(quiet, own, memory)) == pytest.approx(expected_N.mean(), rel=1e-4)


def test_padding_of_a_series_counts_nothing():
    spec = SPEC | {"inputs": {"kind": "real", "size": 2}, "length": 5}
    options = autoencoder.Options(
        encoder="recurrent",
        decoder="recurrent",
        encoder_sizes=(6,),
        decoder_sizes=(6,),
        latent_size=3,
    )
    model = autoencoder.make(options, spec)
    made = reconstruction.make(reconstruction.Options(), model, spec)
    x = jax.random.normal(jax.random.key(1), (3, 5, 2))
    batch = {"inputs": x, "length_B": jnp.asarray([5, 2, 3]), "weight_B": jnp.ones(3)}
    params, memory = jax.jit(made.init)(jax.random.key(0), batch)
    value = lambda b: made.measure(params, memory, b, jax.random.key(0))[0]["loss"][0]  # noqa: E731
    other = batch | {"inputs": x.at[1, 2:].set(9.0).at[2, 3:].set(-9.0)}
    np.testing.assert_allclose(value(batch), value(other), rtol=1e-5)
    assert np.all(np.asarray(value(batch)) > 0)


def test_what_compresses_nothing_is_refused():
    with pytest.raises(UsageError, match="latent_size=6 compresses nothing"):
        autoencoder.make(autoencoder.Options(latent_size=F), SPEC)


def test_new_examples_have_the_mean_and_the_covariance_of_the_latent_vectors_seen():
    made, own, memory = built()
    loss_of = jax.jit(made.players[0].loss)
    for batch in np.split(X_NF, 2):  # the second weighs more than the first
        examples = {"inputs": jnp.asarray(batch), "weight_B": jnp.ones(N // 2)}
        clock = (jnp.int32(0), jax.random.key(0))
        _, (_, memory, _) = loss_of(own, None, memory, examples, clock)
    model = autoencoder.make(LINEAR, SPEC)
    z_NZ = np.asarray(model.apply({"params": own}, X_NF, method="encode"))
    share = reconstruction.KEPT / (1 + reconstruction.KEPT)
    weight_N = np.repeat([share, 1 - share], N // 2) / (N // 2)
    # through a linear decoder the moments of what is made are known
    decoded = np.asarray(model.apply({"params": own}, np.eye(Z + 1, Z, -1), method="decode"))
    centre_F, axes_ZF = decoded[0], decoded[1:] - decoded[0]
    spread_ZZ = np.cov(z_NZ.T, aweights=weight_N, bias=True)
    keys_M = jax.random.split(jax.random.key(1), 20_000)
    options = decoding.Options(temperature=2.0)
    drawn_MF = jax.jit(partial(made.generate, options=options))({"model": own}, memory, keys_M, {})
    mean_F = centre_F + weight_N @ z_NZ @ axes_ZF
    scale = np.sqrt(np.trace(spread_ZZ) / Z)
    np.testing.assert_allclose(np.mean(drawn_MF, axis=0), mean_F, atol=0.05 * scale)
    spread_FF = 4 * axes_ZF.T @ spread_ZZ @ axes_ZF
    np.testing.assert_allclose(np.cov(drawn_MF.T), spread_FF, atol=0.05 * np.abs(spread_FF).max())
