"""Each experiment keeps its promise: launched as its docstring says, judged by what it stored."""

import ast
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from flickr import write_captions
from idx import write_mnist
from piano_rolls import write_music

from seqgen import config, listing, optimizer, run

ROOT = Path(__file__).parent.parent
FILES = sorted(ROOT.glob("experiments/*.py"))
NEEDS_DATA = pytest.mark.skipif(
    "SEQGEN_DATA" not in os.environ, reason="needs the data that SEQGEN_DATA names"
)
PROMISE = re.compile(
    r"\d+ (second|minute)s? on (2 CPU cores|one CPU core).*?"  # how long it takes
    r"((test|validation) [a-z ]*\d|only its start was run)"  # and what comes out
)


def launched(verb, workdir, *arguments):
    command = [sys.executable, "launch.py", verb, f"--workdir={workdir}", *arguments]
    subprocess.run(command, cwd=ROOT, check=True)


def trained(workdir, experiment, *overrides, split="test"):
    """The metrics of the best checkpoint after training in a process of its own."""
    launched("train", workdir, f"--config=experiments/{experiment}", *overrides)
    (file,) = (workdir / "evaluations").glob(f"{split}-*.json")
    return json.loads(file.read_text())["metrics"]


def parameters(c):
    """Shapes of the parameters that an experiment trains, its optimizer made for them."""
    dataset = config.part("dataset", c.dataset.name).make(config.options(c, "dataset"))
    objective = config.assemble(c, dataset.spec)

    def begin(key):
        params, _ = objective.init(key, run.example(dataset.spec, c.dataset.batch_size))
        chains = {
            player.name: optimizer.make(config.optimizer_of(c, player.name), c.num_steps)
            for player in objective.players
        }
        return params, [chain.descend.init(params[name]) for name, chain in chains.items()]

    return jax.eval_shape(begin, jax.random.key(0))[0]


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_every_experiment_promises_its_command_time_and_number(file):
    promise = " ".join(ast.get_docstring(ast.parse(file.read_text())).split())
    assert f"python launch.py train --config=experiments/{file.name}" in promise
    assert PROMISE.search(promise)
    choices = listing.variants(file)
    assert len(choices) == 1 or f"({', '.join(choices)})" in promise


@pytest.mark.parametrize(
    ("file", "variant"),
    [(file, variant) for file in FILES for variant in listing.variants(file)],
    ids=lambda v: v.stem if isinstance(v, Path) else v,
)
def test_every_variant_is_valid_and_fits_its_data(file, variant, tmp_path):
    c = config.load(f"{file}:{variant}")
    config.validate(c)
    if c.dataset.name == "music":  # four collections, of which one is at hand
        c.dataset.path = write_music(tmp_path, c.dataset.collection)
    if c.dataset.get("labels") == "fashion":  # in the same form as the digits that are at hand
        c.dataset.path, c.dataset.valid_size = write_mnist(tmp_path, 30, 7), 5
    if c.dataset.name == "captions":  # thousands of pictures
        c.dataset.path = write_captions(tmp_path)
    if c.dataset.name == "mnist1d":
        pytest.importorskip("mnist1d")
    if c.dataset.name == "shapes":
        c.dataset.train_size = c.dataset.test_size = 100
    if "SEQGEN_DATA" in str(c.dataset.get("path")) and "SEQGEN_DATA" not in os.environ:
        pytest.skip("needs the data that SEQGEN_DATA names")
    assert jax.tree.leaves(parameters(c))


def test_each_remedy_changes_one_field():
    file = ROOT / "experiments/remedies.py"
    plain, lstm = (config.load(f"{file}:{name}") for name in ("plain", "lstm"))
    changed = []
    for name in listing.variants(file)[1:]:
        base = lstm if name in ("forget_0", "forget_5", "chrono") else plain
        ((field, (_, value)),) = config.differences(base, config.load(f"{file}:{name}")).items()
        changed.append((field, value))
    assert len(set(changed)) == len(changed)


@NEEDS_DATA
def test_shakespeare_keeps_to_nanogpts_budget():
    c = config.load(str(ROOT / "experiments/shakespeare.py"))
    assert c.num_steps * c.dataset.batch_size * c.dataset.length <= 1_540_000
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(parameters(c))) <= 800_000


@pytest.mark.slow
def test_char_lm_learns_english(tmp_path):
    assert trained(tmp_path / "run", "char_lm.py")["bits_per_character"] <= 1.65


@pytest.mark.slow
@NEEDS_DATA
def test_shakespeare_beats_the_published_loss_on_the_same_budget(tmp_path):
    assert trained(tmp_path, "shakespeare.py", split="valid")["loss"] <= 1.57
    launched("evaluate", tmp_path, "--split=valid", "--config.dataset.eval_carry=False")
    results = [json.loads(f.read_text()) for f in (tmp_path / "evaluations").glob("valid-*.json")]
    (alone,) = (r for r in results if r["changed"])
    assert alone["metrics"]["loss"] <= 1.62


@pytest.mark.slow
def test_digits_reach_their_accuracy_over_five_seeds(tmp_path):
    accuracies = [
        trained(tmp_path / str(seed), "digits.py", f"--config.seed={seed}")["accuracy"]
        for seed in range(5)
    ]
    assert sum(accuracies) / 5 >= 0.978, accuracies


@pytest.mark.slow
@NEEDS_DATA
def test_mnist_rows_reach_their_accuracy(tmp_path):
    assert trained(tmp_path / "run", "mnist_rows.py")["accuracy"] >= 0.988


@pytest.mark.slow
@NEEDS_DATA
def test_sentiment_is_learnt_from_scratch_over_three_seeds(tmp_path):
    accuracies = [
        trained(tmp_path / str(seed), "sentiment.py", f"--config.seed={seed}")["accuracy"]
        for seed in range(3)
    ]
    # it was 80.7 %; another machine rounds otherwise, which moves the mean by some tenths
    assert sum(accuracies) / 3 >= 0.795, accuracies


@pytest.mark.slow
def test_word_order_is_read_by_an_lstm_and_is_nothing_to_a_bag(tmp_path):
    accuracy = {
        variant: trained(tmp_path / variant, f"sentiment_order.py:{variant}")["accuracy"]
        for variant in ("lstm", "bag")
    }
    assert accuracy["lstm"] >= 0.99
    assert abs(accuracy["bag"] - 0.5) < 0.025  # 10,000 sentences: five standard errors


@pytest.mark.slow
def test_digits_are_compressed_and_bent_networks_do_it_better_than_straight_ones(tmp_path):
    errors = {
        variant: trained(tmp_path / variant, f"digits_ae.py:{variant}")["loss"]
        for variant in ("default", "linear")
    }
    assert errors["default"] < 0.4 and 0.9 < errors["linear"] < 1.1


@pytest.mark.slow
def test_digits_are_likely_to_a_variational_autoencoder(tmp_path):
    found = trained(tmp_path / "run", "digits_vae.py")
    assert found["nll_iwae_5000"] < -30 and found["active_units"] >= 8


@pytest.mark.slow
def test_a_digit_that_was_never_seen_is_anomalous_to_an_autoencoder(tmp_path):
    found = trained(tmp_path / "run", "digits_anomaly.py:autoencoder")
    assert found["auroc_squared_error"] >= 0.9 and found["detections_squared_error"] >= 0.5
    assert found["false_alarms_squared_error"] <= 0.12


@pytest.mark.long
def test_generated_digits_are_recognised_as_what_was_asked_for(tmp_path):
    trained(tmp_path / "gan", "digits_gan.py")
    trained(tmp_path / "reader", "digits.py")
    launched("evaluate", tmp_path / "gan", f"--features={tmp_path / 'reader'}")
    results = [
        json.loads(f.read_text()) for f in (tmp_path / "gan/evaluations").glob("test-*.json")
    ]
    (read,) = (r["metrics"] for r in results if r["changed"])
    assert read["recognised"] >= 0.95 and read["coverage"] >= 0.95
    assert read["classifier_accuracy"] < 0.8


@pytest.mark.long
def test_sines_begin_to_be_covered_by_series_of_a_recurrent_generator(tmp_path):
    shortened = ("num_steps=500", "schedule_steps=2500", "eval_every=500")
    found = trained(tmp_path / "run", "sines_gan.py", *(f"--config.{o}" for o in shortened))
    assert found["coverage"] > 0.25  # it was 0.43, and it is 0 at first
    assert 0 <= found["predictive_score_of_real"] < found["predictive_score"]


@pytest.mark.long
def test_sentences_need_their_latent_vector_only_where_something_is_done_for_it(tmp_path):
    kl = {
        variant: trained(tmp_path / variant, f"text_vae.py:{variant}")["kl"]
        for variant in ("default", "plain")
    }
    assert kl["default"] > 3 and kl["plain"] < 0.5


@pytest.mark.slow
def test_dates_are_understood(tmp_path):
    assert trained(tmp_path / "run", "dates.py")["exact_match"] >= 0.99


@pytest.mark.slow
def test_scan_is_learnt_in_a_fifth_of_the_time_to_three_of_four_commands(tmp_path):
    overrides = [f"--config.{name}=500" for name in ("num_steps", "eval_every", "checkpoint_every")]
    assert trained(tmp_path / "run", "scan.py", *overrides)["exact_match"] >= 0.75


@pytest.mark.slow
@NEEDS_DATA
def test_translation_runs(tmp_path):
    shortened = ("num_steps=30", "log_every=10", "eval_every=30", "checkpoint_every=30")
    overrides = [f"--config.{o}" for o in shortened]
    # log of the vocabulary's size is 8.7 nats; 30 steps brought it to 7.1
    assert trained(tmp_path / "run", "translation.py", *overrides)["loss"] < 7.6


@pytest.mark.slow
def test_shapes_are_described_by_what_is_seen(tmp_path):
    seen = trained(tmp_path / "seen", "shapes.py")
    shortened = ("num_steps=500", "eval_every=500", "checkpoint_every=500")
    overrides = [f"--config.{o}" for o in shortened]
    blind = trained(tmp_path / "blind", "shapes.py:blind", *overrides)
    assert seen["exact_match"] >= 0.95
    assert blind["exact_match"] <= 0.02  # one of 48 captions of a single shape, at best
    assert blind["loss"] < 1.1  # yet it knows the language: 0.91 by then, 1.6 after 100 steps


@pytest.mark.slow
@NEEDS_DATA
@pytest.mark.parametrize("variant", ["default", "blind"])
def test_captions_run(tmp_path, variant):
    shortened = ("num_steps=60", "log_every=20", "eval_every=60", "checkpoint_every=60")
    overrides = [f"--config.{o}" for o in shortened]
    # log of the vocabulary's size is 7.8 nats; steps 40 to 60 had 5.8 in training
    assert trained(tmp_path / "run", f"captions.py:{variant}", *overrides)["loss"] < 7


@pytest.mark.slow
@NEEDS_DATA
def test_mnist_pixels_run(tmp_path):
    shortened = ("num_steps=20", "log_every=10", "eval_every=20", "checkpoint_every=20")
    overrides = [f"--config.{o}" for o in shortened]
    assert trained(tmp_path / "run", "mnist_pixels.py", *overrides)["loss"] < 2.5


@pytest.mark.slow
@NEEDS_DATA
def test_music_learns_more_than_each_keys_own_habit(tmp_path):
    shortened = ("num_steps=500", "eval_every=500", "checkpoint_every=500")
    overrides = [f"--config.{o}" for o in shortened]
    # how often a key sounds after it did and after it did not: 5.15 nats per frame
    assert trained(tmp_path / "run", "music.py", *overrides)["loss"] < 4.3


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["lstm", "gru", "irnn"])
def test_adding_is_solved_far_below_always_answering_one(tmp_path, variant):
    metrics = trained(tmp_path / "run", f"adding.py:{variant}")
    assert metrics["squared_error"] < 0.003


@pytest.mark.slow
def test_copying_is_solved_far_below_the_memoryless_loss(tmp_path):
    assert trained(tmp_path / "run", "copying.py")["loss"] < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("name", ["temporal_order", "parity"])
def test_long_memory_tasks_are_solved(tmp_path, name):
    assert trained(tmp_path / "run", f"{name}.py")["accuracy"] > 0.99
