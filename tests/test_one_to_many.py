"""Pictures to sentences: writing has every property of the suite, a blind decoder sees nothing."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import run
from seqgen.errors import UsageError
from seqgen.models import encoder_decoder, many_to_many, many_to_one, one_to_many
from seqgen.objectives import likelihood
from seqgen.testing import check_generate

B, T, K, V, SHAPE = 3, 5, 2, 7, (12, 12, 3)
SPEC = {
    "dataset": "test",
    "streamed": False,
    "inputs": {"kind": "image", "shape": list(SHAPE)},
    "targets": {"kind": "category", "size": V, "per": "answer", "length": T},
    "unit": "word",
}
KINDS = [
    {"attention": None},
    {"attention": None, "encoder": "mlp", "cell": "gru", "num_layers": 2},
    {"attention": "general"},
    {"attention": "dot", "cell": "gru", "encoder_sizes": (4, 8), "tie_embedding": True},
    {"attention": "additive", "input_feeding": True, "num_layers": 2, "cell": "rnn"},
]
# all of them are slow to compile: what most differs every time, the others with the slow tests
GRID = [k if n in (0, 4) else pytest.param(k, marks=pytest.mark.slow) for n, k in enumerate(KINDS)]
INPUTS = jax.random.uniform(jax.random.key(0), (B, *SHAPE))
TARGETS = jax.random.randint(jax.random.key(1), (B, T), 0, V)


def made(**kind):
    kind = {"encoder_sizes": (4, 6)} | kind
    options = one_to_many.Options(hidden_size=8, embedding_size=6, **kind)
    assert not list(options.problems())
    return one_to_many.make(options, SPEC)


def built(**kind):
    model = made(**kind)
    init = jax.jit(lambda key: model.init(key, INPUTS, targets=TARGETS))
    return model, init(jax.random.key(2))


@partial(jax.jit, static_argnums=0, static_argnames="train")
def logits(model, variables, inputs=INPUTS, targets=TARGETS, **kw):
    return model.apply(variables, inputs, targets=targets, **kw)[1]


@pytest.mark.parametrize("kind", [*GRID, pytest.param({"blind": True}, marks=pytest.mark.slow)])
def test_writing_has_every_property(kind):
    check_generate(made(**kind), SPEC)


@pytest.mark.parametrize("kind", GRID)
def test_every_parameter_and_the_picture_matter(kind):
    model, variables = built(**kind)
    total = lambda v, x: jnp.sum(jnp.sin(logits(model, v, x)))  # noqa: E731
    d_variables, d_inputs = jax.jit(jax.grad(total, (0, 1)))(variables, INPUTS)
    for path, leaf in jax.tree.leaves_with_path(d_variables):
        assert np.any(leaf != 0), jax.tree_util.keystr(path)
    assert np.all(np.any(d_inputs != 0, axis=(1, 2, 3)))


def test_a_blind_decoder_sees_nothing_and_has_no_encoder():
    model, variables = built(blind=True)
    assert "encoder" not in variables["params"]
    total = lambda x: jnp.sum(jnp.sin(logits(model, variables, x)))  # noqa: E731
    assert np.all(np.asarray(jax.jit(jax.grad(total))(INPUTS)) == 0)
    # else it is the same decoder
    _, seeing = built()
    shapes = partial(jax.tree.map, jnp.shape)
    assert shapes(variables["params"]["decoder"]) == shapes(seeing["params"]["decoder"])


@pytest.mark.parametrize("kind", GRID)
def test_several_answers_to_a_picture_are_each_what_they_are_alone(kind):
    model, variables = built(**kind)
    several = jax.random.randint(jax.random.key(3), (B, K, T), 0, V)
    together = logits(model, variables, targets=several)
    for k in range(K):
        alone = logits(model, variables, targets=several[:, k])
        np.testing.assert_allclose(together[:, k], alone, atol=1e-5)


def test_several_answers_weigh_by_their_tokens():
    model, variables = built()
    objective = likelihood.make(likelihood.Options(), model, SPEC)
    several = jnp.asarray([[[1, 2, 0, 0, 0], [3, 0, 0, 0, 0]]] * B)
    batch = {"inputs": INPUTS, "weight_B": jnp.asarray([1.0, 1.0, 0.0])}
    params = {"model": variables["params"]}
    measure = jax.jit(lambda b: objective.measure(params, {"rows": None}, b, jax.random.key(0))[0])
    both = measure(batch | {"targets": several})
    each = [measure(batch | {"targets": several[:, k]}) for k in range(K)]
    for name in ("loss", "accuracy"):
        for place in (0, 1):
            total = sum(one[name][place] for one in each)
            np.testing.assert_allclose(both[name][place], total, rtol=1e-5)
    np.testing.assert_array_equal(both["loss"][1], [5, 5, 0])
    any_of_them = jnp.maximum(*(one["exact_match"][0] for one in each))
    np.testing.assert_array_equal(both["exact_match"][0], any_of_them)


@pytest.mark.parametrize("kind", [k for k in KINDS if k["attention"]])
def test_the_alignment_is_a_weight_for_each_place(kind):
    model, variables = built(**kind)
    align = jax.jit(partial(model.apply, method="alignment"))
    weights = align(variables, INPUTS, None, TARGETS)
    assert weights.shape == (B, T, 3, 3)  # 12 pixels, halved twice
    np.testing.assert_allclose(jnp.sum(weights, (2, 3)), 1, rtol=1e-5)


def test_dropout_is_drawn_in_training_only():
    model, variables = built(input_dropout=0.5, output_dropout=0.5)
    rngs = [{"dropout": jax.random.key(k)} for k in range(2)]
    first, second = (logits(model, variables, train=True, rngs=r) for r in rngs)
    assert np.any(first != second)
    np.testing.assert_array_equal(logits(model, variables), logits(model, variables, rngs=rngs[0]))


def test_the_decoder_can_read_what_it_would_write_itself():
    model, variables = built()
    rngs = {"dropout": jax.random.key(0)}
    none, all_own = (
        logits(model, variables, own_share=jnp.float32(share), rngs=rngs) for share in (0, 1)
    )
    np.testing.assert_allclose(none, logits(model, variables), atol=1e-5)
    np.testing.assert_allclose(all_own[:, 0], none[:, 0], atol=1e-5)
    assert np.any(np.abs(all_own - none) > 1e-3)


def test_an_example_of_the_spec_builds_the_model():
    batch = run.example(SPEC, 2)
    assert batch["inputs"].shape == (2, *SHAPE)
    assert batch["targets"].shape == (2, T)
    assert run.steps_of(SPEC) == T


def test_options_and_data_that_do_not_fit_are_refused():
    def problem(**options):
        return " ".join(one_to_many.Options(**options).problems())

    assert "did you mean 'conv'" in problem(encoder="conf")
    assert "needs places to look at" in problem(encoder="mlp")
    assert "encoder_sizes must be" in problem(encoder_sizes=())
    assert "equal to model.hidden_size" in problem(attention="dot", hidden_size=5)
    assert "bidirectional" in problem(bidirectional=True)
    for module in (encoder_decoder, many_to_one, many_to_many):
        with pytest.raises(UsageError, match="use one_to_many"):
            module.make(module.Options(), SPEC)
    tokens = SPEC | {"inputs": {"kind": "token", "size": 3}}
    with pytest.raises(UsageError, match="use encoder_decoder"):
        one_to_many.make(one_to_many.Options(), tokens)
