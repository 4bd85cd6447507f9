"""Sentences out of a latent vector: likelihood, word dropout, writing, by counting them all."""

import dataclasses
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import decoding
from seqgen.errors import UsageError
from seqgen.models import sequence_vae
from seqgen.objectives import elbo

END, UNKNOWN, V, Z, LONGEST = 0, 1, 3, 2, 3
SPEC = {
    "dataset": "test",
    "length": LONGEST,
    "inputs": {"kind": "token", "size": V, "end": END, "unknown": UNKNOWN},
    "targets": {"kind": "category", "size": 1, "per": "sequence"},
}
OPTIONS = sequence_vae.Options(
    cell="gru", hidden_size=5, embedding_size=4, latent_size=Z, bidirectional=True
)
MODEL = sequence_vae.make(OPTIONS, SPEC)
# every sentence of at most LONGEST tokens with its end, and every beginning that has none yet
EVERY = [
    (*words, *[END] * (LONGEST - count))
    for count in range(LONGEST + 1)
    for words in itertools.product((1, 2), repeat=count)
]


@pytest.fixture(scope="module")
def params():
    """Far from initial values, so that everything matters."""
    shapes = jax.eval_shape(MODEL.init, jax.random.key(0), jnp.asarray(EVERY))["params"]
    random = np.random.RandomState(0)
    return jax.tree.map(lambda leaf: jnp.float32(0.8 * random.randn(*leaf.shape)), shapes)


@partial(jax.jit, static_argnames="word_dropout")
def likelihood(params, x, z_BZ, key=None, word_dropout=None):
    """With a key as in training."""
    how = {} if key is None else {"train": True, "rngs": {"dropout": key}}
    model = sequence_vae.make(dataclasses.replace(OPTIONS, word_dropout=word_dropout), SPEC)
    return model.apply({"params": params}, x, z_BZ, method="log_likelihood", **how)


start = jax.jit(partial(MODEL.apply, method="start"))
step = jax.jit(partial(MODEL.apply, method="step"))
encode = jax.jit(partial(MODEL.apply, method="encode"))


def by_steps(params, sentence, z_Z, read=None):
    """log p of one sentence as `step` says, token by token up to the end; `read` before each."""
    context, carry = start({"params": params}, {"z": z_Z[None]})
    read, nats = (END, *sentence) if read is None else read, 0.0
    for before, token in zip(read, sentence, strict=False):
        carry, logits = step({"params": params}, context, carry, jnp.asarray([before]))
        nats += float(jax.nn.log_softmax(logits[0])[token])
        if token == END:
            break
    return nats


def test_all_sentences_together_have_probability_one_and_each_that_of_its_steps(params):
    z_Z = jnp.asarray([0.3, -1.2])
    z_BZ = jnp.broadcast_to(z_Z[None], (len(EVERY), Z))
    log_p_B = likelihood(params, jnp.asarray(EVERY), z_BZ)
    assert np.exp(log_p_B).sum() == pytest.approx(1, abs=1e-5)
    assert np.exp(log_p_B).max() < 0.9
    for number in (0, 4, 9, 14):
        assert log_p_B[number] == pytest.approx(by_steps(params, EVERY[number], z_Z), rel=1e-5)
    assert abs(log_p_B - likelihood(params, jnp.asarray(EVERY), 0 * z_BZ)).max() > 0.1


def test_nothing_behind_the_end_has_an_influence(params):
    """Neither what stands there nor how much."""
    z_BZ = jax.random.normal(jax.random.key(2), (len(EVERY), Z))
    ended = [END in sentence for sentence in EVERY]
    long = np.full((len(EVERY), LONGEST + 2), 2)
    for row, sentence in zip(long, EVERY, strict=True):
        row[: len(sentence)] = sentence
        if END in sentence:
            row[sentence.index(END) + 1 :] = np.arange(LONGEST + 1 - sentence.index(END)) % V

    def look(x):
        found = encode({"params": params}, jnp.asarray(x)), likelihood(params, jnp.asarray(x), z_BZ)
        return jax.tree.map(lambda rows: np.asarray(rows)[ended], found)

    one, other = look(EVERY), look(long)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), one, other)


def test_dropped_words_are_unknown_ones_as_often_as_is_asked(params):
    sentence, z_Z, rate, draws = (2, 2, END), jnp.asarray([0.5, 0.5]), 0.3, 4000
    expected = 0.0
    for gone in itertools.product((False, True), repeat=2):
        read = (END, *(UNKNOWN if is_gone else 2 for is_gone in gone))
        share = np.prod([rate if is_gone else 1 - rate for is_gone in gone])
        expected += share * by_steps(params, sentence, z_Z, read)
    x, z_BZ = np.tile(sentence, (draws, 1)), jnp.broadcast_to(z_Z[None], (draws, Z))
    found = likelihood(params, x, z_BZ, jax.random.key(3), word_dropout=rate)
    assert abs(found.mean() - expected) < 5 * found.std() / np.sqrt(draws)
    assert len(np.unique(np.round(found, 4))) == 4
    all_read = likelihood(params, x, z_BZ, word_dropout=rate)
    assert all_read[0] == pytest.approx(by_steps(params, sentence, z_Z), rel=1e-5)


def test_sentences_are_written_as_often_as_they_are_likely(params):
    z_BZ = jnp.broadcast_to(jnp.asarray([[0.3, -1.2]]), (20_000, Z))
    keys_B = jax.random.split(jax.random.key(4), len(z_BZ))
    options = decoding.Options(length=LONGEST)
    write = jax.jit(lambda p, z, k: elbo.written(MODEL, {"model": p}, z, k, options))
    rows, count = np.unique(np.asarray(write(params, z_BZ, keys_B)), axis=0, return_counts=True)
    found = dict(zip(map(tuple, rows.tolist()), count / len(z_BZ), strict=True))
    p_B = np.exp(likelihood(params, jnp.asarray(EVERY), z_BZ[: len(EVERY)]))
    assert set(found) <= set(EVERY)
    for sentence, p in zip(EVERY, p_B, strict=True):
        assert abs(found.get(sentence, 0) - p) < 5 * np.sqrt(p / len(z_BZ)) + 1e-4


def test_words_are_dropped_in_training_alone_and_the_mean_is_per_token(params):
    options = dataclasses.replace(OPTIONS, word_dropout=1.0)
    x, count = jnp.asarray(EVERY), len(EVERY)
    batch = {
        "inputs": x,
        "index_B": jnp.arange(count),
        "weight_B": jnp.ones(count).at[-3:].set(0.0),
        "length_B": jnp.sum(sequence_vae.real(x), axis=1),
    }

    def total(bound, options):
        made = elbo.make(elbo.Options(bound=bound), sequence_vae.make(options, SPEC), SPEC)
        memory = {"rows": None, "shared": None}

        def loss(own):
            clock = (jnp.int32(0), jax.random.key(5))
            return made.players[0].loss(own, None, memory, batch, clock)[0]

        return jax.jit(jax.value_and_grad(loss))(params)

    for bound in ("elbo", "dreg"):  # the same key: the latent vectors are the same
        value, gradient = total(bound, options)
        assert abs(value - total(bound, OPTIONS)[0]) > 0.1
        assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradient))
    objectives = [
        elbo.make(elbo.Options(), sequence_vae.make(o, SPEC), SPEC) for o in (options, OPTIONS)
    ]
    measured, same = (
        jax.jit(o.measure)({"model": params}, {"rows": None}, batch, None)[0] for o in objectives
    )
    np.testing.assert_array_equal(measured["elbo"][0], same["elbo"][0])
    value_B, weight_B = measured["nats_per_token"]
    assert np.sum(weight_B) == sum(s.index(END) + 1 if END in s else LONGEST for s in EVERY[:-3])
    np.testing.assert_allclose(value_B, -measured["elbo"][0], rtol=1e-6)
    mean = {"nats_per_token": 2.0}
    assert objectives[0].finalize(mean)["perplexity_bound"] == pytest.approx(np.exp(2.0))
    assert objectives[0].reports.keys() == measured.keys() | {"perplexity_bound"}


def test_what_does_not_fit_is_refused():
    other = SPEC | {"inputs": {"kind": "token", "size": V}}
    with pytest.raises(UsageError, match="needs sentences, tokens with an end"):
        sequence_vae.make(OPTIONS, other)
    problems = " ".join(sequence_vae.Options(word_dropout=1.5, latent_size=0).problems())
    assert "word_dropout" in problems and "latent_size" in problems
