"""Each experiment keeps its promise: launched as its docstring says, judged by what it stored."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqgen import config

ROOT = Path(__file__).parent.parent
NEEDS_DATA = pytest.mark.skipif(
    "SEQGEN_DATA" not in os.environ, reason="needs the data that SEQGEN_DATA names"
)


def trained(workdir, experiment, *overrides, split="test"):
    """The metrics of the best checkpoint after training in a process of its own."""
    command = [sys.executable, "launch.py", "train", f"--config=experiments/{experiment}"]
    subprocess.run([*command, f"--workdir={workdir}", *overrides], cwd=ROOT, check=True)
    (file,) = (workdir / "evaluations").glob(f"{split}-*.json")
    return json.loads(file.read_text())["metrics"]


@pytest.mark.parametrize("file", sorted(ROOT.glob("experiments/*.py")), ids=lambda f: f.stem)
def test_every_experiment_is_valid_and_promises_its_command(file):
    c = config.load(str(file))
    config.validate(c)
    text = file.read_text()
    assert f"python launch.py train --config=experiments/{file.name}" in text
    assert any(word in text for word in ("minute", "second"))


@pytest.mark.slow
def test_char_lm_learns_english(tmp_path):
    assert trained(tmp_path / "run", "char_lm.py")["bits_per_character"] < 2.3


@pytest.mark.slow
@NEEDS_DATA
def test_shakespeare_beats_the_published_loss_on_the_same_budget(tmp_path):
    assert trained(tmp_path / "run", "shakespeare.py", split="valid")["loss"] <= 1.57


@pytest.mark.slow
def test_digits_reach_their_accuracy_over_five_seeds(tmp_path):
    accuracies = [
        trained(tmp_path / str(seed), "digits.py", f"--config.seed={seed}")["accuracy"]
        for seed in range(5)
    ]
    assert sum(accuracies) / 5 >= 0.97, accuracies


@pytest.mark.slow
@NEEDS_DATA
def test_mnist_rows_reach_their_accuracy(tmp_path):
    assert trained(tmp_path / "run", "mnist_rows.py")["accuracy"] >= 0.988


@pytest.mark.slow
@NEEDS_DATA
def test_mnist_pixels_run(tmp_path):
    shortened = ("num_steps=20", "log_every=10", "eval_every=20", "checkpoint_every=20")
    overrides = [f"--config.{o}" for o in shortened]
    assert trained(tmp_path / "run", "mnist_pixels.py", *overrides)["loss"] < 2.5


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["lstm", "gru", "irnn"])
def test_adding_is_solved_far_below_always_answering_one(tmp_path, variant):
    metrics = trained(tmp_path / "run", f"adding.py:{variant}")
    assert metrics["squared_error"] < 0.01


@pytest.mark.slow
def test_copying_is_solved_far_below_the_memoryless_loss(tmp_path):
    assert trained(tmp_path / "run", "copying.py")["loss"] < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("name", ["temporal_order", "parity"])
def test_long_memory_tasks_are_solved(tmp_path, name):
    assert trained(tmp_path / "run", f"{name}.py")["accuracy"] > 0.99
