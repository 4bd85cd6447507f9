"""The objective and its metrics against sums written out by hand."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special, stats

from seqgen.errors import UsageError
from seqgen.metrics import Meaning, described
from seqgen.metrics import likelihood as metrics
from seqgen.objectives import likelihood

B, T, V = 3, 4, 5


class Fixed(nn.Module):
    """A model whose outputs are its inputs, scaled by one parameter."""

    per: str

    @nn.compact
    def __call__(self, inputs, carry=None, length_B=None, *, train=False):
        scale = self.param("scale", nn.initializers.ones, ())
        return carry, scale * (inputs if self.per == "step" else inputs[:, -1])

    def initial_carry(self, batch_size):
        return jnp.zeros((batch_size, 1))


def objective(kind="category", per="step", size=V, **facts):
    spec = facts | {
        "inputs": {"kind": "real", "size": size},
        "targets": {"kind": kind, "size": size, "per": per},
        "streamed": False,
    }
    return likelihood.make(likelihood.Options(), Fixed(per), spec)


def batch(**changes):
    key_x, key_y = jax.random.split(jax.random.key(0))
    return {
        "inputs": jax.random.normal(key_x, (B, T, V)),
        "targets": jax.random.randint(key_y, (B, T), 0, V),
        "weight_B": jnp.ones(B),
    } | changes


def measured(o, examples):
    params, memory = o.init(jax.random.key(1), examples)
    values, _ = o.measure(params, memory, examples, jax.random.key(2))
    return jax.device_get(values)


def nats(examples, row, step):
    logits = np.asarray(examples["inputs"])[row, step]
    return -logits[int(examples["targets"][row, step])] + math.log(np.exp(logits).sum())


def test_steps_count_by_length_mask_and_weight():
    examples = batch(
        length_B=jnp.array([4, 2, 3]),
        mask_BT=jnp.array([[1.0, 0, 1, 1], [1, 1, 1, 1], [0, 1, 1, 0]]),
        weight_B=jnp.array([1.0, 1.0, 0.0]),
    )
    counted = [[0, 2, 3], [0, 1], []]
    values_B, weights_B = measured(objective(), examples)["loss"]
    for row, steps in enumerate(counted):
        np.testing.assert_allclose(
            values_B[row], sum(nats(examples, row, s) for s in steps), rtol=1e-5
        )
        assert weights_B[row] == len(steps)


def test_padding_may_hold_anything():
    examples = batch(length_B=jnp.array([4, 2, 1]))
    spoilt = examples["inputs"].at[1, 2:].set(jnp.inf).at[2, 1:].set(jnp.nan)
    clean, bad = (measured(objective(), e) for e in (examples, examples | {"inputs": spoilt}))
    np.testing.assert_array_equal(clean["loss"][0], bad["loss"][0])


def test_one_target_for_a_sequence():
    examples = batch(targets=jnp.array([1, 4, 0]), weight_B=jnp.array([1.0, 0.0, 1.0]))
    values_B, weights_B = measured(objective(per="sequence"), examples)["loss"]
    last = np.asarray(examples["inputs"])[:, -1]
    log_p = last - np.log(np.exp(last).sum(-1, keepdims=True))
    np.testing.assert_allclose(values_B, [-log_p[0, 1], 0.0, -log_p[2, 0]], rtol=1e-5)
    np.testing.assert_array_equal(weights_B, [1, 0, 1])


def test_squared_error_is_a_gaussian_likelihood_up_to_a_constant():
    targets = jax.random.normal(jax.random.key(5), (B, V))
    examples = batch(targets=targets)
    values_B, _ = measured(objective("real", "sequence"), examples)["loss"]
    last = np.asarray(examples["inputs"])[:, -1]
    density = stats.norm(last, math.sqrt(0.5)).logpdf(np.asarray(targets)).sum(-1)
    np.testing.assert_allclose(values_B, -density - V * 0.5 * math.log(math.pi), rtol=1e-4)


def yes_or_no(**changes):
    targets = jax.random.bernoulli(jax.random.key(5), 0.3, (B, T, V)).astype(float)
    return batch(targets=targets) | changes


def test_yes_or_no_targets_are_independent_bernoullis(float64):
    lengths, mask = [4, 2, 3], np.array([[1.0, 0, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1]])
    examples = yes_or_no(
        length_B=jnp.array(lengths), mask_BT=jnp.array(mask), weight_B=jnp.array([1.0, 1.0, 0.0])
    )
    values_B, weights_B = measured(objective("binary"), examples)["loss"]
    p_BTF = special.expit(np.asarray(examples["inputs"]))
    nats_BTF = -stats.bernoulli(p_BTF).logpmf(np.asarray(examples["targets"], int))
    counted = (np.arange(T) < np.array(lengths)[:, None]) * mask * [[1], [1], [0]]
    np.testing.assert_allclose(values_B, (nats_BTF.sum(-1) * counted).sum(-1), rtol=1e-12)
    np.testing.assert_array_equal(weights_B, [3, 2, 0])


def test_extreme_logits_have_a_finite_likelihood_and_gradient():
    logits = jnp.array([-jnp.inf, -1e30, -80.0, 0.0, 80.0, 1e30, jnp.inf])
    no, yes = (metrics.bernoulli(logits[:, None], jnp.full((7, 1), y)) for y in (0.0, 1.0))
    certain = [0, 0, math.exp(-80), math.log(2), 80, 1e30, math.inf]
    np.testing.assert_allclose(no, certain, rtol=1e-6)
    np.testing.assert_array_equal(yes, no[::-1])  # none is lost to the difference of large numbers
    total = lambda z, y: metrics.bernoulli(z[:, None], jnp.full((5, 1), y)).sum()  # noqa: E731
    for y in (0.0, 1.0):
        d_logits = jax.grad(total)(logits[1:-1], y)
        np.testing.assert_allclose(d_logits, special.expit(logits[1:-1]) - y, atol=1e-30)


def test_padding_of_yes_or_no_targets_may_hold_anything():
    examples = yes_or_no(length_B=jnp.array([4, 2, 1]))
    spoilt = examples["inputs"].at[1, 2:].set(jnp.inf).at[2, 1:].set(jnp.nan)
    longer = jnp.concatenate([spoilt, jnp.full_like(spoilt, jnp.nan)], axis=1)
    targets = jnp.concatenate([examples["targets"], jnp.ones((B, T, V))], axis=1)
    clean = measured(objective("binary"), examples)
    bad = measured(objective("binary"), examples | {"inputs": longer, "targets": targets})
    for name in ("loss", "frame_accuracy"):
        np.testing.assert_allclose(clean[name], bad[name], rtol=1e-6)


def test_the_frame_accuracy_counts_no_true_negatives():
    logits = jnp.array([[[1.0, 1, -1, -1, -1], [1, -1, -1, -1, -1]]])
    targets = jnp.array([[[1.0, 0, 1, 0, 0], [1, 0, 0, 0, 0]]])
    examples = {"inputs": logits, "targets": targets, "weight_B": jnp.ones(1)}
    value_B, weight_B = measured(objective("binary"), examples)["frame_accuracy"]
    assert (value_B, weight_B) == (2, 4)  # 2 true positives, 1 false one, 1 false negative


def test_a_mean_over_another_weight_is_no_number_of_the_training_step():
    o, examples = objective("binary"), yes_or_no()
    params, memory = o.init(jax.random.key(1), examples)
    clock = (jnp.int32(0), jax.random.key(3))
    _, (weight, _, sums) = o.players[0].loss(params["model"], params, memory, examples, clock)
    assert set(sums) == {"loss"}
    assert weight == B * T


def test_the_training_loss_is_the_sum_that_is_measured():
    o, examples = objective(), batch(length_B=jnp.array([4, 2, 3]))
    params, memory = o.init(jax.random.key(1), examples)
    player = o.players[0]
    clock = (jnp.int32(0), jax.random.key(3))
    total, (weight, _, sums) = player.loss(params["model"], params, memory, examples, clock)
    values = measured(o, examples)
    np.testing.assert_allclose(total, values["loss"][0].sum(), rtol=1e-6)
    np.testing.assert_allclose(weight, 9)
    np.testing.assert_allclose(sums["accuracy"], values["accuracy"][0].sum())


def test_reported_numbers_follow_from_the_mean():
    reported = metrics.finalize({"loss": math.log(8.0), "accuracy": 0.5}, "character")
    assert reported["perplexity"] == pytest.approx(8)
    assert reported["bits_per_character"] == pytest.approx(3)
    assert "bits_per_character" not in metrics.finalize({"loss": 1.0, "accuracy": 0.5}, "word")
    assert metrics.finalize({"loss": 0.1, "squared_error": 0.1}, None).keys() == {
        "loss",
        "squared_error",
    }


def test_a_line_for_a_person_has_units_where_there_are_any():
    meanings = metrics.reported(
        {"targets": {"kind": "category", "size": 2, "per": "step"}, "unit": "character"}
    )
    numbers = {"accuracy": 0.5, "bits_per_character": 1.0, "loss": math.log(2)}
    line = "loss 0.6931 nats, bits_per_character 1.0000 bits, accuracy 0.5000"
    assert described(numbers, meanings) == line


@pytest.mark.parametrize(
    ("kind", "per", "unit", "loss_unit"),
    [
        ("category", "sequence", None, "nats"),
        ("category", "sequence", "character", "nats"),  # a class is no character
        ("category", "step", "character", "nats"),
        ("category", "step", "word", "nats"),
        ("binary", "step", None, "nats per frame"),
        ("real", "sequence", None, ""),  # a squared error is no likelihood
    ],
)
def test_what_is_reported_is_known_before_with_unit_and_direction(kind, per, unit, loss_unit):
    o = objective(kind, per, unit=unit)
    shape = (B, T) if per == "step" else (B,)
    shape += () if kind == "category" else (V,)
    means = dict.fromkeys(measured(o, batch(targets=jnp.ones(shape, int))), 0.5)
    assert set(o.finalize(means)) == set(o.reports)
    assert o.reports["loss"] == Meaning(loss_unit, larger_is_better=False)
    upward = {name for name, meaning in o.reports.items() if meaning.larger_is_better}
    assert upward == set(o.reports) & {"accuracy", "frame_accuracy", "macro_f1"}


@pytest.mark.parametrize("smoothing", [None, 0.1])
def test_categorical_is_the_cross_entropy_in_every_derivative(smoothing, float64):
    """Against the plain formula over the whole log-softmax, in all modes of differentiation."""
    logits = 3 * jax.random.normal(jax.random.key(0), (4, 5, 9))
    target = jax.random.randint(jax.random.key(1), (4, 5), 0, 9)

    def plain(logits):
        mass = jax.nn.one_hot(target, 9)
        mass = mass if smoothing is None else (1 - smoothing) * mass + smoothing / 9
        return jnp.sum(jnp.sin(-jnp.sum(mass * jax.nn.log_softmax(logits, -1), -1)))

    def ours(logits):
        return jnp.sum(jnp.sin(metrics.categorical(logits, target, smoothing)[0]))

    np.testing.assert_allclose(ours(logits), plain(logits), rtol=1e-12)
    np.testing.assert_allclose(jax.grad(ours)(logits), jax.grad(plain)(logits), rtol=1e-9)
    d = jax.random.normal(jax.random.key(2), logits.shape)
    second = lambda f: jax.jvp(jax.grad(f), (logits,), (d,))[1]  # noqa: E731
    np.testing.assert_allclose(second(ours), second(plain), rtol=1e-8, atol=1e-12)


def test_label_smoothing_is_the_cross_entropy_against_softened_targets():
    logits_BV = 3 * jax.random.normal(jax.random.key(0), (5, 7))
    target_B = jnp.arange(5)
    soft_BV = optax.smooth_labels(jax.nn.one_hot(target_B, 7), 0.2)
    expected_B = optax.softmax_cross_entropy(logits_BV, soft_BV)
    smoothed_B, _ = metrics.categorical(logits_BV, target_B, 0.2)
    np.testing.assert_allclose(smoothed_B, expected_B, rtol=1e-5)


@pytest.mark.parametrize("kind", ["binary", "real"])
def test_label_smoothing_needs_classes(kind):
    spec = {
        "dataset": "test",
        "inputs": {"kind": "real", "size": V},
        "targets": {"kind": kind, "size": V, "per": "step"},
        "streamed": False,
    }
    with pytest.raises(UsageError, match=f"one class among several; .* has {kind} targets"):
        likelihood.make(likelihood.Options(label_smoothing=0.1), Fixed("step"), spec)


def test_the_likeliest_class_is_argmaxs_also_among_equals():
    logits = jax.random.randint(jax.random.key(0), (500, 4), 0, 3).astype(jnp.float32)
    target = jax.random.randint(jax.random.key(1), (500,), 0, 4)
    _, correct = metrics.categorical(logits, target)
    np.testing.assert_array_equal(correct, jnp.argmax(logits, -1) == target)
