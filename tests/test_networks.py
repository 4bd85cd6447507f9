"""Encoders and decoders of generative models: they combine freely, rows know nothing of another."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import config as configs
from seqgen import decoders, networks
from seqgen.errors import UsageError

EVENTS = {
    "image": {"inputs": {"kind": "image", "shape": [7, 6, 2]}},
    "series": {"inputs": {"kind": "real", "size": 3}, "length": 5},
    "vector": {"inputs": {"kind": "vector", "size": 4}},
}
KINDS = {"image": ("mlp", "conv"), "series": ("mlp", "recurrent"), "vector": ("mlp",)}
CASES = [
    (event, *pair) for event, kinds in KINDS.items() for pair in itertools.product(kinds, kinds)
]


def spec(event):
    return {"dataset": "test"} | EVENTS[event]


# each network once with and once without normalisation; all pairs with the slow tests
QUICK = [
    (False, "image", "mlp", "conv"),
    (True, "image", "conv", "mlp"),
    (False, "series", "recurrent", "recurrent"),
    (True, "vector", "mlp", "mlp"),
]
GRID = [(normalize, *case) for case in CASES for normalize in (False, True)]


@pytest.mark.parametrize(
    ("normalize", "event", "encoder", "decoder"),
    [case if case in QUICK else pytest.param(*case, marks=pytest.mark.slow) for case in GRID],
)
def test_networks_combine_and_keep_rows_apart(event, encoder, decoder, normalize):
    options = networks.NetworkOptions(
        encoder=encoder,
        decoder=decoder,
        encoder_sizes=(8, 8),
        decoder_sizes=(8, 8),
        normalize=normalize,
        cell="gru",
    )
    assert not list(options.problems())
    shape = networks.check(options, spec(event))
    label_BL = jax.nn.one_hot(jnp.arange(3), 4)

    def both(x, z_BZ, label_BL):
        features_BF = networks.Encoder(options, name="encoder")(x, label_BL, None)
        return features_BF, networks.Decoder(options, shape, name="decoder")(z_BZ, label_BL)

    module = Both(both)
    x, z_BZ = (jax.random.normal(jax.random.key(k), s) for k, s in enumerate([(3, *shape), (3, 2)]))
    variables = jax.jit(module.init)(jax.random.key(2), x, z_BZ, label_BL)
    apply = jax.jit(module.apply)
    features_BF, made = apply(variables, x, z_BZ, label_BL)
    assert made.shape == x.shape and features_BF.ndim == 2
    alone = apply(variables, x[1:2], z_BZ[1:2], label_BL[1:2])
    np.testing.assert_allclose(features_BF[1:2], alone[0], atol=1e-5)
    np.testing.assert_allclose(made[1:2], alone[1], atol=1e-5)

    def total(variables):
        return sum(jnp.sum(jnp.sin(3 * y)) for y in module.apply(variables, x, z_BZ, label_BL))

    gradient = jax.jit(jax.grad(total))(variables)
    for path, leaf in jax.tree.leaves_with_path(gradient):
        assert np.any(leaf != 0), jax.tree_util.keystr(path)


class Both(networks.nn.Module):
    function: object

    @networks.nn.compact
    def __call__(self, *arguments):
        return self.function(*arguments)


def test_channels_are_laid_out_as_places():
    x_BHWC = jax.random.normal(jax.random.key(0), (2, 3, 4, 8))
    found = decoders.laid_out(x_BHWC)
    assert found.shape == (2, 6, 8, 2)
    for i, j in np.ndindex(6, 8):
        first = 2 * (2 * (i % 2) + j % 2)
        np.testing.assert_array_equal(found[:, i, j], x_BHWC[:, i // 2, j // 2, first : first + 2])


@pytest.mark.parametrize(
    ("event", "changed", "sentence"),
    [
        ("vector", {"encoder": "conv"}, "model.encoder=conv is for pictures"),
        ("image", {"decoder": "recurrent"}, "model.decoder=recurrent is for sequences"),
    ],
)
def test_networks_that_do_not_fit_the_data_are_refused(event, changed, sentence):
    with pytest.raises(UsageError, match=sentence):
        networks.check(networks.NetworkOptions(**changed), spec(event))


def test_tokens_and_bad_options_are_refused():
    tokens = {"dataset": "text", "inputs": {"kind": "token", "size": 9}, "length": 4}
    with pytest.raises(UsageError, match="token inputs"):
        networks.event(tokens)
    options = networks.NetworkOptions(
        encoder="convo",
        decoder="recurrent",
        decoder_sizes=(8, 9),
        activation="tnh",
        latent_size=0,
    )
    problems = " ".join(options.problems())
    for word in ("did you mean 'conv'", "must be equal", "activation", "latent_size"):
        assert word in problems
    assert list(networks.NetworkOptions(encoder="conv", encoder_sizes=()).problems())


@pytest.mark.parametrize(("model", "objective"), [("vae", "elbo"), ("gan", "adversarial")])
def test_series_of_unlike_lengths_are_no_data_for_what_makes_whole_ones(model, objective):
    c = configs.default(dataset="sines", model=model, objective=objective)
    c.model.encoder = c.model.decoder = "recurrent"
    c.model.encoder_sizes = c.model.decoder_sizes = (4,)
    c.dataset.length, c.dataset.batch_size, c.model.latent_size = 8, 3, 2
    if model == "vae":
        c.model.likelihood = "gaussian"
    data = configs.part("dataset", "sines").make(configs.options(c, "dataset"))
    made = configs.assemble(c, data.spec)
    batch = data.batch(data.arrays, "train", jnp.int32(0), jax.random.key(0))
    params, memory = jax.eval_shape(made.init, jax.random.key(0), batch)
    batch, player = batch | {"length_B": jnp.asarray([8, 5, 3])}, made.players[0]
    clock = (jnp.int32(0), jax.random.key(1))

    def loss(params, memory):
        return player.loss(params[player.name], params, memory, batch, clock)

    with pytest.raises(UsageError, match=f"model {model} makes series of one length"):
        jax.eval_shape(loss, params, memory)
