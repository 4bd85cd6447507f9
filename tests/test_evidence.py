"""What claims are told of a run is what its own parts say."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from seqgen import config as configs
from seqgen import decoding, evidence, run_directory, session
from seqgen.checkpoint import Checkpoints
from seqgen.datasets import digits, parity
from seqgen.errors import UsageError
from seqgen.progress import Progress


def begun(folder, model, objective):
    """A run of digits that has yet to learn, saved before its first step."""
    c = configs.default(dataset="digits", model=model, objective=objective)
    c.dataset.order, c.dataset.batch_size, c.dataset.train_size = "image", 16, 40
    c.model.encoder_sizes = c.model.decoder_sizes = (4,)
    c.model.latent_size, c.monitor = 2, None
    if model == "gan":
        c.model.conditional = True
    return saved(folder, c)


def saved(folder, c):
    """The run of a config before its first step."""
    with Progress(folder / "log.txt") as progress:
        state = session.prepare(c, folder, progress).begin()
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(0, state, meta={}, best=True)
    return evidence.load(folder)


@pytest.fixture(scope="module")
def game(tmp_path_factory):
    return begun(tmp_path_factory.mktemp("game"), "gan", "adversarial")


def test_examples_are_those_of_each_split_once_and_in_order(game):
    whole = digits.make(digits.Options(order="image")).arrays
    for split, count in (("train", 40), ("test", 360)):
        x, class_N = evidence.examples(game, split)
        np.testing.assert_allclose(x, whole[split]["inputs"][:count] / digits.INK, rtol=1e-6)
        np.testing.assert_array_equal(class_N, whole[split]["targets"][:count])
    assert len(evidence.examples(evidence.whole(game), "train")[0]) == 1257


def test_what_is_generated_depends_on_the_seed_and_the_class(game):
    class_N = np.arange(6) % 2
    made = evidence.generated(game, class_N, 0)
    assert made.shape == (6, 8, 8, 1)
    np.testing.assert_array_equal(made, evidence.generated(game, class_N, 0))
    other_seed, other_class = (
        evidence.generated(game, class_N, 1),
        evidence.generated(game, class_N + 1, 0),
    )
    assert np.all(np.abs(made - other_seed).max(axis=(1, 2, 3)) > 0)
    assert np.all(np.abs(made - other_class).max(axis=(1, 2, 3)) > 0)
    keys_N = jax.random.split(jax.random.key(0), 6)
    alone = game.run.objective.generate(
        game.found.params, game.found.memory, keys_N, {"targets": class_N}, decoding.Options()
    )
    np.testing.assert_allclose(made, alone, atol=1e-6)


def test_scores_are_those_that_the_game_measures(game):
    x, class_N = evidence.examples(game, "test")
    batch = {"inputs": x, "targets": class_N, "index_B": np.arange(360), "weight_B": np.ones(360)}
    measured, _ = game.run.objective.measure(game.found.params, {}, batch, jax.random.key(0))
    score_N = evidence.scores(game, x, class_N)
    np.testing.assert_allclose(1 / (1 + np.exp(-score_N)), measured["d_real"][0], atol=1e-5)


def test_a_walk_leads_from_noise_to_noise_without_leaving_its_sphere(game):
    path = evidence.walk(game, seed=3, places=5)
    assert path.shape == (5, 8, 8, 1)
    key_from, key_to = jax.random.split(jax.random.key(3))
    model = configs.model(game.run.config, game.run.spec)
    ends = np.stack([jax.random.normal(key, (2,)) for key in (key_from, key_to)])
    made = model.apply(
        {"params": game.found.params["generator"]}, ends, np.zeros(2, int), method="generate"
    )
    np.testing.assert_allclose(path[[0, -1]], made, atol=1e-6)
    middle = model.apply(
        {"params": game.found.params["generator"]},
        ends.sum(axis=0, keepdims=True) / np.sqrt(2),
        np.zeros(1, int),
        method="generate",
    )
    np.testing.assert_allclose(path[2:3], middle, atol=1e-5)


def test_an_example_is_remade_as_the_reconstruction_is_measured(tmp_path):
    one = begun(tmp_path, "autoencoder", "reconstruction")
    x, class_N = evidence.examples(one, "valid")
    batch = {"inputs": x, "targets": class_N, "weight_B": np.ones(180)}
    measured, _ = one.run.objective.measure(one.found.params, {}, batch, jax.random.key(0))
    half_N = 0.5 * np.sum((x - evidence.remade(one, x)) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(half_N, measured["loss"][0], rtol=1e-4)


def test_a_variation_of_no_size_is_the_reconstruction(tmp_path):
    one = begun(tmp_path, "vae", "elbo")
    x, _ = evidence.examples(one, "test")
    remade, varied = evidence.remade(one, x), evidence.varied(one, x, 0.0, 1)
    np.testing.assert_allclose(varied, remade, atol=1e-6)
    once, twice = (evidence.varied(one, x, scale, 1) - remade for scale in (1e-3, 2e-3))
    assert np.all(np.abs(once).max(axis=(1, 2, 3)) > 0)
    size = np.abs(twice).max()
    np.testing.assert_allclose(2 * once, twice, atol=1e-2 * size)  # to first order


def test_numbers_of_longer_data_are_those_of_the_network_on_them(tmp_path):
    c = configs.default(dataset="parity", model="many_to_one", objective="likelihood")
    c.dataset.length, c.dataset.test_size, c.model.hidden_size = 5, 30, 4
    one = saved(tmp_path, c)
    assert one.make is None
    longer = parity.Options(batch_size=30, length=9, min_length=7, test_size=30)
    batch = parity.make(longer).batch({}, "test", 0, None)
    assert batch["length_B"].min() >= 7
    model, variables = configs.model(one.run.config, one.run.spec), one.found.params["model"]
    _, logits = model.apply({"params": variables}, batch["inputs"], None, batch["length_B"])
    right = np.mean(np.argmax(logits, axis=-1) == batch["targets"])
    found = evidence.measured_on(one, length=9, min_length=7, batch_size=8)
    assert found["accuracy"] == pytest.approx(right)


def test_the_history_is_that_of_training(game):
    with run_directory.MetricsLog(game.run.workdir, 0) as log:
        log.write({"step": 2, "split": "train", "d_real": 0.75})
        log.write({"step": 2, "split": "valid", "d_real": 0.5})
        log.write({"step": 4, "split": "train", "d_real": float("nan")})
    found = evidence.history(game, "d_real")
    assert found[2] == 0.75 and np.isnan(found[4]) and len(found) == 2
    with pytest.raises(UsageError, match="has recorded no moments"):
        evidence.film(game)


def test_a_run_without_a_best_checkpoint_is_known_by_its_latest(tmp_path):
    c = configs.default(dataset="points", model="autoencoder", objective="reconstruction")
    c.model.latent_size = 1
    with Progress(tmp_path / "log.txt") as progress:
        state = session.prepare(c, tmp_path, progress).begin()
    with Checkpoints(tmp_path) as checkpoints:
        for step in (3, 7):
            checkpoints.save(step, state.replace(step=np.int32(step)), meta={}, best=False)
    assert evidence.load(tmp_path).found.step == 7


def test_an_evaluation_is_read_and_other_data_are_refused(game):
    folder = game.run.workdir
    place = run_directory.folder(folder, "evaluations") / "test-0.json"
    run_directory.write_json(place, {"metrics": {"loss": 0.25}})
    assert evidence.measured(game) == {"loss": 0.25}
    run_directory.write_json(place, {"metrics": run_directory.spelled({"loss": np.nan})})
    assert np.isnan(evidence.measured(game)["loss"])
    with pytest.raises(UsageError, match="valid-0.json does not exist"):
        evidence.measured(game, "valid")
    record = run_directory.read_json(folder / "environment.json")
    run_directory.write_json(folder / "environment.json", record | {"fingerprint": "other"})
    with pytest.raises(UsageError, match="the data of .* have changed since training"):
        evidence.load(folder)
    run_directory.write_json(folder / "environment.json", record)


def test_an_error_shrinks_at_each_step_by_what_straight_orthogonal_weights_do():
    c = configs.default(dataset="adding", model="many_to_one", objective="likelihood")
    c.dataset.length, c.dataset.batch_size = 12, 4
    c.model.cell, c.model.activation, c.model.hidden_size = "rnn", "identity", 5
    c.model.recurrent_scale = 0.8
    one = SimpleNamespace(run=SimpleNamespace(config=c))
    norms, decay, bound = evidence.reach_at_start(one)
    np.testing.assert_allclose(np.diff(norms), np.log(0.8), rtol=1e-4)
    assert decay.rate == pytest.approx(np.log(0.8), rel=1e-4)
    assert bound == pytest.approx(np.log(0.8), rel=1e-5)
    c.model.cell = "lstm"
    assert np.isnan(evidence.reach_at_start(one).bound)
