"""A moment of the game, against a linear discriminator whose slopes are known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import config
from seqgen.errors import UsageError
from seqgen.models import gan
from seqgen.objectives import adversarial

POINTS = {
    "dataset": "test",
    "inputs": {"kind": "vector", "size": 2},
    "targets": {"kind": "category", "size": 3, "per": "sequence"},
}
SOLID = POINTS | {"inputs": {"kind": "vector", "size": 3}}
LINEAR = gan.Options(encoder_sizes=(), decoder_sizes=(4,), latent_size=2)


def made(loss, options=LINEAR, spec=POINTS, **how):
    return adversarial.make(adversarial.Options(loss=loss, **how), gan.make(options, spec), spec)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_a_fake_is_pulled_against_the_slope_of_the_generators_loss():
    batch = {"inputs": jnp.zeros((2, 2))}
    params, _ = made("minimax").init(jax.random.key(0), batch)
    params["discriminator"]["score"]["bias"] += 0.7
    w_2 = np.asarray(params["discriminator"]["score"]["kernel"][:, 0])
    real_N2, place_X2 = np.random.RandomState(0).randn(2, 7, 2).astype(np.float32)
    real_N, place_X = real_N2 @ w_2 + 0.7, place_X2 @ w_2 + 0.7
    force = {  # on a fake of score f, along the weights
        "minimax": lambda f: sigmoid(f),
        "non_saturating": lambda f: sigmoid(-f),
        "least_squares": lambda f: 1 - f,
        "hinge": np.ones_like,
        "wasserstein": np.ones_like,
        "relativistic": lambda f: sigmoid(real_N[None] - f[:, None]).mean(axis=1),
    }
    assert force.keys() == adversarial.LOSSES.keys()
    games = {loss: made(loss) for loss in force} | {"tamed": made("hinge", spectral_norm=True)}
    every = jax.jit(lambda p: {n: o.frame(p, real_N2, place_X2) for n, o in games.items()})(params)
    for loss, wanted in force.items():
        found = jax.device_get(every[loss])
        fake_M = found["fake"] @ w_2 + 0.7
        np.testing.assert_allclose(found["pull"], wanted(fake_M)[:, None] * w_2, rtol=1e-4)
        np.testing.assert_allclose(found["field"], sigmoid(place_X), rtol=1e-5)
        np.testing.assert_allclose(found["d_real"], sigmoid(real_N).mean(), rtol=1e-5)
        np.testing.assert_allclose(found["d_fake"], sigmoid(fake_M).mean(), rtol=1e-5)
    field_X = sigmoid((place_X - 0.7) / np.linalg.norm(w_2) + 0.7)
    np.testing.assert_allclose(every["tamed"]["field"], field_X, rtol=1e-4)
    assert len(np.unique(found["fake"], axis=0)) == len(found["fake"])  # of different noise


@pytest.mark.parametrize(
    ("options", "spec"), [(LINEAR, SOLID), (dataclasses.replace(LINEAR, conditional=True), POINTS)]
)
def test_what_is_no_game_in_one_plane_has_no_frames(options, spec):
    assert made("minimax", options, spec).frame is None
    c = config.default(dataset="points", model="gan", objective="adversarial")
    c.model.conditional, c.monitor = options.conditional, None
    config.assemble(c, spec)
    c.record_every = 5
    with pytest.raises(UsageError, match="record_every is for a game of points in the plane"):
        config.assemble(c, spec)
