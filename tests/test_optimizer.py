import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqgen import optimizer
from seqgen import step as steps
from seqgen.errors import UsageError

PARAMS = {"w_x_EG": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "b_G": jnp.array([0.1, -0.3])}
GRADS = {"w_x_EG": jnp.array([[0.3, -4.0], [2.0, 0.01]]), "b_G": jnp.array([1.0, -0.2])}


def walk(options, steps=3, schedule_steps=100, scale=1.0):
    """A few updates with constant gradients."""
    chain = optimizer.make(options, schedule_steps)
    params, clip, descend = PARAMS, chain.clip.init(PARAMS), chain.descend.init(PARAMS)
    for step in range(steps):
        grads, clip = chain.clip.update(GRADS, clip, params)
        rate = jnp.float32(scale) * chain.rate(jnp.int32(step))
        updates, descend = chain.descend.update(grads, descend, params, learning_rate=rate)
        params = optax.apply_updates(params, updates)
    return params


def plain(rule, steps=3):
    params, state = PARAMS, rule.init(PARAMS)
    for _ in range(steps):
        updates, state = rule.update(GRADS, state, params)
        params = optax.apply_updates(params, updates)
    return params


@pytest.mark.parametrize(
    ("rule", "peer"),
    [
        ("sgd", optax.sgd(0.1)),
        ("momentum", optax.sgd(0.1, momentum=0.9)),
        ("rmsprop", optax.rmsprop(0.1, decay=0.999, eps=1e-8)),
        ("adam", optax.adam(0.1)),
        ("lion", optax.lion(0.1, b1=0.9, b2=0.999, weight_decay=0.0)),
    ],
)
def test_rules_are_those_of_optax(rule, peer):
    ours = walk(optimizer.Options(rule=rule, learning_rate=0.1))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), ours, plain(peer))


def test_weight_decay_is_decoupled_and_spares_the_bias():
    decayed = walk(optimizer.Options(rule="adamw", learning_rate=0.1, weight_decay=0.5), steps=1)
    without = walk(optimizer.Options(rule="adamw", learning_rate=0.1), steps=1)
    np.testing.assert_array_equal(decayed["b_G"], without["b_G"])
    np.testing.assert_allclose(
        without["w_x_EG"] - decayed["w_x_EG"], 0.1 * 0.5 * PARAMS["w_x_EG"], rtol=1e-5
    )


@pytest.mark.parametrize("field", ["decay_parameters", "frozen"])
def test_a_pattern_that_matches_nothing_is_an_error(field):
    chain = optimizer.make(optimizer.Options(weight_decay=0.1, **{field: "no_such_name"}), 1)
    with pytest.raises(UsageError, match=f"optimizer.{field} 'no_such_name' matches no parameter"):
        chain.init(PARAMS)


def test_what_is_frozen_stays_and_counts_in_no_norm():
    changes = {"rule": "adamw", "weight_decay": 0.5, "decay_parameters": "G$", "clip_norm": 0.5}
    chain = optimizer.make(optimizer.Options(frozen="^w_x", **changes), 100)
    moved, _, logged = steps.descend(chain, GRADS, chain.init(PARAMS), PARAMS, jnp.float32(0.1))
    np.testing.assert_array_equal(moved["w_x_EG"], PARAMS["w_x_EG"])
    alone = optimizer.make(optimizer.Options(**changes), 100)
    own, grads = {"b_G": PARAMS["b_G"]}, {"b_G": GRADS["b_G"]}
    expected, _, logged_alone = steps.descend(alone, grads, alone.init(own), own, jnp.float32(0.1))
    np.testing.assert_allclose(moved["b_G"], expected["b_G"], atol=1e-6)
    assert logged_alone["clipped"] == 1
    for name in ("gradient_norm", "clipped_norm", "clipped"):
        np.testing.assert_allclose(logged[name], logged_alone[name], rtol=1e-6)


def test_clipping_by_global_norm_keeps_the_direction():
    chain = optimizer.make(optimizer.Options(clip_norm=0.5), 1)
    clipped, _ = chain.clip.update(GRADS, chain.clip.init(PARAMS), PARAMS)
    norm = np.sqrt(sum(float((g**2).sum()) for g in GRADS.values()))
    jax.tree.map(
        lambda c, g: np.testing.assert_allclose(c, g * 0.5 / norm, rtol=1e-6), clipped, GRADS
    )


def test_clipping_by_value_bounds_each_element():
    chain = optimizer.make(optimizer.Options(clip_value=0.25), 1)
    clipped, _ = chain.clip.update(GRADS, chain.clip.init(PARAMS), PARAMS)
    jax.tree.map(
        lambda c, g: np.testing.assert_array_equal(c, np.clip(g, -0.25, 0.25)), clipped, GRADS
    )


def test_adaptive_clipping_bounds_units_relative_to_their_weights():
    chain = optimizer.make(optimizer.Options(clip_adaptive=0.01), 1)
    clipped, _ = chain.clip.update(GRADS, chain.clip.init(PARAMS), PARAMS)
    by_unit = np.linalg.norm(clipped["w_x_EG"], axis=0) / np.linalg.norm(PARAMS["w_x_EG"], axis=0)
    assert np.all(by_unit <= 0.01 * 1.001)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"schedule": "constant"}, {0: 1.0, 50: 1.0, 500: 1.0}),
        ({"schedule": "constant", "warmup_steps": 10}, {0: 0.1, 4: 0.5, 9: 1.0, 10: 1.0}),
        ({"schedule": "cosine"}, {0: 1.0, 50: 0.5, 100: 0.0, 400: 0.0}),
        ({"schedule": "cosine", "warmup_steps": 20}, {19: 1.0, 20: 1.0, 60: 0.5, 100: 0.0}),
        ({"schedule": "linear", "final_scale": 0.2}, {0: 1.0, 50: 0.6, 100: 0.2, 300: 0.2}),
        ({"schedule": "step", "decay_every": 30}, {29: 1.0, 30: 0.5, 60: 0.25, 90: 0.125}),
        ({"schedule": "step", "decay_at": (3, 40)}, {0: 1, 2: 1, 3: 0.5, 39: 0.5, 40: 0.25}),
    ],
)
def test_schedules_pass_through_their_known_points(changes, expected):
    rate = optimizer.make(optimizer.Options(learning_rate=3.0, **changes), 100).rate
    for step, scale in expected.items():
        np.testing.assert_allclose(rate(jnp.int32(step)), 3.0 * scale, atol=1e-6)


def test_a_plateau_scales_the_step_itself():
    options = optimizer.Options(rule="sgd", learning_rate=0.1)
    moved, half = walk(options, steps=1), walk(options, steps=1, scale=0.5)
    jax.tree.map(
        lambda p, m, h: np.testing.assert_allclose(h - p, (m - p) / 2, rtol=1e-4),
        PARAMS,
        moved,
        half,
    )


def test_the_learning_rate_may_be_traced():
    """What lets it become a lane of one compiled program."""

    def final(rate):
        return walk(optimizer.Options(rule="adam", learning_rate=rate))

    several = jax.vmap(final)(jnp.array([0.1, 0.01]))
    alone = final(0.01)
    jax.tree.map(lambda s, a: np.testing.assert_allclose(s[1], a, rtol=1e-6), several, alone)


def test_problems_name_the_choices():
    problems = " ".join(optimizer.Options(rule="adamm", schedule="cosin").problems())
    assert "did you mean 'adam'" in problems
    assert "did you mean 'cosine'" in problems
    for neither_or_both in ({}, {"decay_every": 2, "decay_at": (3,)}):
        problems = optimizer.Options(schedule="step", **neither_or_both).problems()
        assert "either optimizer.decay_every or optimizer.decay_at" in " ".join(problems)


@pytest.mark.parametrize("steps", [(0, 5), (-2,), (4, 3), (3, 3)])
def test_steps_of_decay_increase_from_one_on(steps):
    options = optimizer.Options(schedule="step", decay_at=steps)
    (problem,) = options.problems("players.critic.")
    assert problem == (
        f"players.critic.decay_at must be steps from 1 on, in increasing order, not {steps}"
    )
    increasing = optimizer.Options(schedule="step", decay_at=(1, 2, 9))
    assert not list(increasing.problems())
