"""The adversarial game: losses against probabilities, penalties on a linear discriminator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import augmentation
from seqgen.errors import UsageError
from seqgen.models import gan, vae
from seqgen.objectives import adversarial

B, F = 5, 3
SPEC = {
    "dataset": "test",
    "inputs": {"kind": "vector", "size": F},
    "targets": {"kind": "category", "size": 3, "per": "sequence"},
}
BATCH = {
    "inputs": jax.random.normal(jax.random.key(0), (B, F)),
    "targets": jnp.arange(B) % 3,
    "index_B": jnp.arange(B),
    "weight_B": jnp.asarray([1.0, 1.0, 0.0, 1.0, 1.0]),
}
LINEAR = gan.Options(encoder_sizes=(), decoder_sizes=(4,), latent_size=2)


def built(model_options=LINEAR, **options):
    options = adversarial.Options(**options)
    assert not list(options.problems())
    made = adversarial.make(options, gan.make(model_options, SPEC), SPEC)
    params, memory = jax.jit(made.init)(jax.random.key(1), BATCH)
    return made, params, memory


def loss(made, params, memory, player, step=0, own=None):
    clock, player = (jnp.int32(step), jax.random.key(2)), made.players[player]
    own = params[player.name] if own is None else own
    total, (weight, _, metrics) = player.loss(own, params, memory, BATCH, clock)
    return total, weight, metrics


def test_losses_are_what_the_papers_have():
    real, fake = np.random.RandomState(0).randn(2, 50)
    p_real, p_fake = (1 / (1 + np.exp(-d)) for d in (real, fake))
    expected = {
        "minimax": (-np.log(p_real) - np.log(1 - p_fake), np.log(1 - p_fake)),
        "non_saturating": (-np.log(p_real) - np.log(1 - p_fake), -np.log(p_fake)),
        "least_squares": (((real - 1) ** 2 + fake**2) / 2, (fake - 1) ** 2 / 2),
        "hinge": (np.maximum(0, 1 - real) + np.maximum(0, 1 + fake), -fake),
        "wasserstein": (fake - real, -fake),
        "relativistic": (
            -np.log(1 / (1 + np.exp(fake - real))),
            -np.log(1 / (1 + np.exp(real - fake))),
        ),
    }
    assert expected.keys() == adversarial.LOSSES.keys()
    for name, wanted in expected.items():
        for found, values in zip(adversarial.LOSSES[name], wanted, strict=True):
            np.testing.assert_allclose(found(real, fake), values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("penalty", "cost"),
    [
        ({"r1": 3.0}, lambda w: 0.5 * 3 * w @ w),
        ({"r2": 3.0}, lambda w: 0.5 * 3 * w @ w),
        ({"gradient_penalty": 10.0}, lambda w: 10 * (np.sqrt(w @ w) - 1) ** 2),
    ],
)
def test_a_linear_discriminator_pays_for_its_weights(penalty, cost):
    made, params, memory = built(**penalty)
    _, weight, metrics = loss(made, params, memory, 0)
    w = np.asarray(params["discriminator"]["score"]["kernel"][:, 0])
    assert weight == 4
    assert float(metrics["penalty"]) / 4 == pytest.approx(float(cost(w)), rel=1e-4)


def test_penalties_shrink_with_the_clock():
    made, params, memory = built(r1=1.0, penalty_steps=10, penalty_end=0.1)

    def penalty(step):
        return float(loss(made, params, memory, 0, step)[2]["penalty"])

    assert penalty(5) == pytest.approx(0.55 * penalty(0), rel=1e-4)
    assert penalty(10) == penalty(99) == pytest.approx(0.1 * penalty(0), rel=1e-4)


@pytest.mark.parametrize("name", adversarial.LOSSES)
def test_each_player_moves_what_is_its_own_towards_its_own_end(name):
    """A short way against its gradient, a player's loss is less; the other's is another's."""
    made, params, memory = built(loss=name, r1=1e-3)
    for number, player in enumerate(made.players):
        own = params[player.name]
        of_own = lambda o, n=number: loss(made, params, memory, n, own=o)[0]  # noqa: E731
        value, gradient = jax.value_and_grad(of_own)(own)
        if name not in ("wasserstein", "relativistic"):  # a bias of all scores cancels there
            assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradient))
        moved = jax.tree.map(lambda p, g: p - 1e-3 * g, own, gradient)
        assert of_own(moved) < value
        was, became = (
            {name: float(value_B @ weight_B) for name, (value_B, weight_B) in found.items()}
            for found, _ in (
                made.measure(p, memory, BATCH, jax.random.key(0))
                for p in (params, params | {player.name: moved})
            )
        )
        assert was.keys() == made.reports.keys()
        if player.name == "generator":
            assert became["d_fake"] > was["d_fake"]
        else:
            assert became["d_real"] - became["d_fake"] > was["d_real"] - was["d_fake"]


def test_what_is_measured_of_an_example_does_not_depend_on_its_batch():
    made, params, memory = built(gan.Options(encoder_sizes=(4,), decoder_sizes=(4,), latent_size=2))
    whole, _ = made.measure(params, memory, BATCH, jax.random.key(0))
    part = jax.tree.map(lambda x: x[3:], BATCH)
    some, _ = made.measure(params, memory, part, jax.random.key(1))
    for name, (value_B, weight_B) in whole.items():
        np.testing.assert_allclose(value_B[3:], some[name][0], rtol=1e-5)
        assert float(value_B[2]) == float(weight_B[2]) == 0


def test_a_conditional_generator_is_told_the_class():
    options = gan.Options(encoder_sizes=(4,), decoder_sizes=(4,), latent_size=2, conditional=True)
    model = gan.make(options, SPEC)
    z_BZ, label_B = jnp.zeros((B, 2)), jnp.arange(B) % 3
    variables = jax.jit(model.init)(jax.random.key(0), z_BZ, label_B)
    made = model.apply(variables, z_BZ, label_B, method="generate")
    np.testing.assert_allclose(made[0], made[3], rtol=1e-5)
    assert np.any(made[0] != made[1])


def test_a_conditional_discriminator_projects_the_features_on_those_of_the_class():
    options = gan.Options(encoder_sizes=(), decoder_sizes=(), latent_size=2, conditional=True)
    model = gan.make(options, SPEC)
    x_BF, label_B = np.asarray(BATCH["inputs"]), np.asarray(BATCH["targets"])
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((B, 2)), label_B)
    own = variables["params"]
    of_class_BF = np.asarray(own["projection"]["kernel"]).T[label_B]
    w_F = np.asarray(own["score"]["kernel"])[:, 0]
    found = model.apply(variables, x_BF, label_B, method="discriminate")
    np.testing.assert_allclose(found, np.sum(x_BF * (w_F + of_class_BF), axis=1), rtol=1e-5)


def test_all_that_is_shown_in_training_is_changed_and_nothing_that_is_measured(monkeypatch):
    """All black, real and fake can't be told apart, by either player."""
    monkeypatch.setitem(augmentation.CHANGES, "cutout", lambda key, x_HWC: 0 * x_HWC)
    spec = SPEC | {"inputs": {"kind": "image", "shape": [3, 2, 1]}}
    options = adversarial.Options(augment=("brightness", "cutout"))
    made = adversarial.make(options, gan.make(LINEAR, spec), spec)
    batch = BATCH | {"inputs": jax.random.uniform(jax.random.key(0), (B, 3, 2, 1))}
    params, memory = jax.jit(made.init)(jax.random.key(1), batch)
    for player in made.players:
        own, clock = params[player.name], (jnp.int32(0), jax.random.key(2))
        total, (weight, _, _) = player.loss(own, params, memory, batch, clock)
        assert float(total) / float(weight) == pytest.approx(np.log(2), rel=1e-5)
    measured, _ = made.measure(params, memory, batch, jax.random.key(0))
    assert abs(float(measured["loss"][0][0]) - np.log(2)) > 1e-3


def test_what_does_not_fit_is_refused():
    model = vae.make(vae.Options(latent_size=2, likelihood="gaussian"), SPEC)
    with pytest.raises(UsageError, match="needs a model of two players"):
        adversarial.make(adversarial.Options(), model, SPEC)
    with pytest.raises(UsageError, match="objective.augment=cutout is for pictures"):
        built(augment=("cutout",))
    options = adversarial.Options(loss="hing", updates=0, r1=-1.0, augment=("cut",))
    problems = " ".join(options.problems())
    for word in ("'hinge'", "objective.updates", "objective.r1", "augment 'cut'"):
        assert word in problems


def test_a_linear_discriminator_of_spectral_norm_1_has_the_slope_1():
    made, params, memory = built(spectral_norm=True, r1=1.0)
    _, weight, metrics = loss(made, params, memory, 0)
    assert float(metrics["penalty"] / weight) == pytest.approx(0.5, rel=1e-4)
    longer = jax.tree.map(lambda w: 7 * w, params["discriminator"])
    _, _, of_longer = loss(made, params, memory, 0, own=longer)
    assert float(of_longer["penalty"] / weight) == pytest.approx(0.5, rel=1e-4)
