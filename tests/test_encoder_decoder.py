"""The encoder and decoder: writing has every property of the suite, padding is nothing."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import decoding
from seqgen.errors import UsageError
from seqgen.models import encoder_decoder
from seqgen.objectives import likelihood
from seqgen.testing import check_generate

B, S, T, V_IN, V = 3, 5, 4, 6, 7
LENGTH_B = jnp.asarray([5, 2, 3])
SPEC = {
    "dataset": "test",
    "length": S,
    "streamed": False,
    "inputs": {"kind": "token", "size": V_IN},
    "targets": {"kind": "category", "size": V, "per": "answer", "length": T},
    "unit": "word",
}
KINDS = [
    {"attention": None},
    {"attention": "dot", "cell": "gru"},
    {"attention": "general", "bidirectional": True, "num_layers": 2},
    {"attention": "additive", "bidirectional": True, "cell": "rnn", "tie_embedding": True},
    {"attention": "general", "input_feeding": True, "num_layers": 2, "residual": True},
    {"attention": None, "input_feeding": True, "bidirectional": True, "cell": "gru"},
]

# all of them are slow to compile: what most differs every time, the others with the slow tests
GRID = [k if n in (2, 4) else pytest.param(k, marks=pytest.mark.slow) for n, k in enumerate(KINDS)]


def tokens(key, shape, size):
    return jax.random.randint(jax.random.key(key), shape, 0, size)


INPUTS, TARGETS = tokens(0, (B, S), V_IN), tokens(1, (B, T), V)


def made(**kind):
    options = encoder_decoder.Options(hidden_size=8, embedding_size=6, **kind)
    assert not list(options.problems())
    return encoder_decoder.make(options, SPEC)


def built(**kind):
    model = made(**kind)
    init = jax.jit(lambda key: model.init(key, INPUTS, None, LENGTH_B, targets=TARGETS))
    variables = init(jax.random.key(2))
    return model, variables


def logits(model, variables, inputs=INPUTS, length_B=LENGTH_B, targets=TARGETS, **kw):
    return forward(model, variables, inputs, length_B, targets, **kw)


@partial(jax.jit, static_argnums=0, static_argnames="train")
def forward(model, variables, inputs, length_B, targets, **kw):
    return model.apply(variables, inputs, None, length_B, targets=targets, **kw)[1]


@pytest.mark.parametrize("kind", GRID)
def test_writing_has_every_property(kind):
    check_generate(made(**kind), SPEC)


@pytest.mark.parametrize("kind", GRID)
def test_longer_padding_changes_nothing(kind):
    model, variables = built(**kind)
    longer = jnp.concatenate([INPUTS, tokens(5, (B, 3), V_IN)], axis=1)
    np.testing.assert_allclose(
        logits(model, variables), logits(model, variables, longer), atol=1e-6
    )
    more = jnp.concatenate([TARGETS, tokens(6, (B, 2), V)], axis=1)
    np.testing.assert_allclose(
        logits(model, variables), logits(model, variables, targets=more)[:, :T], atol=1e-6
    )


@pytest.mark.parametrize("kind", GRID)
def test_every_parameter_matters(kind):
    model, variables = built(**kind)
    gradient = jax.jit(jax.grad(lambda v: jnp.sum(jnp.sin(logits(model, v)))))(variables)
    for path, leaf in jax.tree.leaves_with_path(gradient):
        # rows of a table that no token names have none
        assert np.any(leaf != 0), jax.tree_util.keystr(path)


def test_dropout_is_drawn_in_training_only():
    model, variables = built(
        attention="general", input_feeding=True, input_dropout=0.5, output_dropout=0.5
    )
    rngs = [{"dropout": jax.random.key(k)} for k in range(2)]
    first, second = (logits(model, variables, train=True, rngs=r) for r in rngs)
    assert np.any(first != second)
    np.testing.assert_array_equal(logits(model, variables), logits(model, variables, rngs=rngs[0]))


@pytest.mark.parametrize("shares", [{}, {"own_share": jnp.zeros(())}])
def test_a_walk_step_by_step_holds_other_units_at_each_step(shares):
    model, variables = built(attention=None, cell="gru", input_feeding=True, zoneout=0.5)
    output = {"kernel": jnp.eye(8, V), "bias": jnp.zeros(V)}  # the logits are the first units
    decoder = variables["params"]["decoder"] | {"output": output}
    variables = {"params": variables["params"] | {"decoder": decoder}}
    rngs = {"dropout": jax.random.key(0), "zoneout": jax.random.key(1)}
    units_BTV = logits(model, variables, train=True, rngs=rngs, **shares)
    held = np.asarray(units_BTV[:, 1:] == units_BTV[:, :-1])
    assert 0.2 < held.mean() < 0.8
    assert np.any(held[:, 0] != held[:, 1])


@pytest.mark.parametrize("kind", [k for k in KINDS if k["attention"]])
def test_the_alignment_is_where_the_decoder_looked(kind):
    model, variables = built(**kind)
    align = jax.jit(partial(model.apply, method="alignment"))
    weights = align(variables, INPUTS, LENGTH_B, TARGETS)
    assert weights.shape == (B, T, S)
    np.testing.assert_allclose(jnp.sum(weights, -1), 1, rtol=1e-5)
    assert np.all(np.asarray(weights)[1, :, 2:] == 0)


@pytest.mark.parametrize("kind", GRID)
def test_scores_of_a_beam_are_teacher_forced_likelihoods(kind):
    model, variables = built(**kind)
    objective = likelihood.make(likelihood.Options(), model, SPEC)
    options, width = decoding.Options(length=T, beam=3), 3
    inputs = {"inputs": INPUTS, "length_B": LENGTH_B}
    wide = jax.tree.map(lambda x: jnp.repeat(x, width, axis=0), inputs)
    context, carry = jax.jit(partial(model.apply, method="start"))(variables, wide)

    def step(carry, token_B):
        return model.apply(variables, context, carry, token_B, method="step")

    first_B = jnp.zeros(B, jnp.int32)
    found, scores = jax.jit(lambda carry: decoding.beam(step, carry, first_B, 0, options))(carry)
    for rank in range(width):
        answer = found[:, rank]
        log_p = jax.nn.log_softmax(logits(model, variables, targets=answer), -1)
        each = jnp.take_along_axis(log_p, answer[..., None], -1)[..., 0]
        ends = answer == 0
        real = jnp.cumsum(ends, 1) - ends == 0
        np.testing.assert_allclose(jnp.sum(each * real, 1), scores[:, rank], rtol=1e-4, atol=1e-5)
    keys_B = jax.random.split(jax.random.key(0), B)
    same = objective.generate({"model": variables["params"]}, {}, keys_B, inputs, options)
    np.testing.assert_array_equal(same[0], found)
    np.testing.assert_allclose(same[1], scores, rtol=1e-5)


@pytest.mark.slow
def test_a_batch_can_be_learned_by_heart_and_answered():
    model, variables = built(attention="general", bidirectional=True)
    objective = likelihood.make(likelihood.Options(), model, SPEC)
    targets = jnp.asarray([[3, 1, 0, 0], [2, 2, 6, 0], [5, 0, 0, 0]])
    batch = {"inputs": INPUTS, "length_B": LENGTH_B, "targets": targets, "weight_B": jnp.ones(B)}
    params, memory = objective.init(jax.random.key(0), batch)
    player = objective.players[0]

    @jax.jit
    def descend(own):
        clock = (jnp.int32(0), jax.random.key(0))
        grads = jax.grad(lambda p: player.loss(p, params, memory, batch, clock)[0])(own)
        return jax.tree.map(lambda p, g: p - 0.1 * g, own, grads)

    own = params["model"]
    for _ in range(200):
        own = descend(own)
    measured, _ = jax.jit(objective.measure)({"model": own}, memory, batch, jax.random.key(0))
    assert np.all(np.asarray(measured["exact_match"][0]) == 1)
    assert float(jnp.sum(measured["loss"][0]) / jnp.sum(measured["loss"][1])) < 0.1


def test_options_and_data_that_do_not_fit_are_refused():
    bad = encoder_decoder.Options(attention="dott", input_dropout=1.0)
    problems = " ".join(bad.problems())
    assert "did you mean 'dot'" in problems
    assert "input_dropout" in problems
    assert list(encoder_decoder.Options(attention="dot", bidirectional=True).problems())
    tied = encoder_decoder.Options(attention=None, tie_embedding=True, embedding_size=3)
    assert list(tied.problems())
    spec = SPEC | {"targets": SPEC["targets"] | {"per": "step"}}
    with pytest.raises(UsageError, match="target per step"):
        encoder_decoder.make(encoder_decoder.Options(), spec)


def test_the_encoders_options_do_not_reach_the_decoder():
    _, variables = built(attention="general", bidirectional=True)
    assert set(variables["params"]["decoder"]["recurrent"]) == {"layer_0"}


@pytest.mark.parametrize("kind", [KINDS[1], KINDS[4]])
def test_reading_a_share_of_its_own_tokens(kind):
    """Scheduled sampling: none is teacher forcing; all is what the decoder would have written."""
    model, variables = built(**kind)
    rngs = {"dropout": jax.random.key(7)}
    forced = logits(model, variables)
    none = logits(model, variables, own_share=jnp.zeros(()), rngs=rngs)
    np.testing.assert_allclose(none, forced, atol=1e-5)
    # so sure of itself that what it draws is its likeliest token
    params = variables["params"]["decoder"]
    sure = jax.tree.map(lambda x: 1e4 * x, params["output"])
    variables = {"params": variables["params"] | {"decoder": params | {"output": sure}}}
    every = logits(model, variables, own_share=jnp.ones(()), rngs=rngs)
    context, carry = model.apply(
        variables, {"inputs": INPUTS, "length_B": LENGTH_B}, method="start"
    )
    written_BT = decoding.sample(
        partial(model.apply, variables, context, method="step"),
        carry,
        jnp.zeros((B, 1), jnp.int32),
        jnp.ones(B, jnp.int32),
        jax.random.split(jax.random.key(0), B),
        decoding.Options(length=T, temperature=0.0),
    )[:, 1:]
    assert not np.array_equal(written_BT, TARGETS)
    expected = logits(model, variables, targets=written_BT)
    np.testing.assert_allclose(every, expected, rtol=1e-4, atol=1e-2)


@pytest.mark.slow
def test_the_share_of_own_tokens_grows_with_the_clock():
    model, variables = built(attention="general", cell="gru")
    params = {"model": variables["params"]}
    batch = {
        "inputs": INPUTS,
        "length_B": LENGTH_B,
        "targets": TARGETS,
        "weight_B": jnp.ones(B),
    }

    def loss(step, **options):
        made = likelihood.make(likelihood.Options(**options), model, SPEC)
        of_step = jax.jit(
            lambda step: made.players[0].loss(
                params["model"], params, {"rows": None}, batch, (step, jax.random.key(3))
            )[0]
        )
        return float(of_step(jnp.int32(step)))

    grown = partial(loss, scheduled_sampling=1.0, scheduled_sampling_steps=10)
    assert grown(0) == pytest.approx(loss(0), rel=1e-5)
    assert grown(10) != pytest.approx(loss(0), rel=1e-5)
    assert grown(500) == grown(10)
    half = loss(10, scheduled_sampling=0.5, scheduled_sampling_steps=10)
    assert grown(5) == half != grown(10)


def test_scheduled_sampling_needs_answers():
    options = likelihood.Options(scheduled_sampling=0.5)
    spec = SPEC | {"targets": {"kind": "category", "size": V, "per": "step"}}
    with pytest.raises(UsageError, match="scheduled_sampling is for answers"):
        likelihood.make(options, None, spec)
