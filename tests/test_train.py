"""A run can be stopped anywhere and comes out the same, byte for byte."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import pytest
import runs

from seqgen import config as configs
from seqgen import run_directory
from seqgen.checkpoint import Checkpoints
from seqgen.errors import Failure, UsageError
from seqgen.interrupt import Interrupted

ROOT = Path(__file__).parent.parent


def stop_in(name, times):
    """A session whose `name` function is followed by a signal when it is called the n-th time."""

    def change(session, interrupt):
        calls = []
        function = getattr(session, name)

        def counted(*arguments):
            calls.append(name)
            if len(calls) == times:
                interrupt.requested = "SIGTERM"
                if name == "validate":  # as if it had come while the split was walked through
                    raise Interrupted("SIGTERM")
            return function(*arguments)

        return session._replace(**{name: counted})

    return change


@pytest.mark.parametrize("kind", runs.KINDS)
def test_stopped_anywhere_and_resumed_is_uninterrupted(kind, tmp_path):
    config = runs.small(kind, tmp_path)
    runs.run(config, tmp_path / "whole")
    for change in (stop_in("call", 1), stop_in("validate", 1), stop_in("call", 3)):
        with pytest.raises(Interrupted):
            runs.run(config, tmp_path / "pieces", change)
    runs.run(config, tmp_path / "pieces")
    runs.assert_same_bytes(
        runs.final_state(config, tmp_path / "whole"), runs.final_state(config, tmp_path / "pieces")
    )
    whole, pieces = (run_directory.read_metrics(tmp_path / n) for n in ("whole", "pieces"))
    assert [(r["step"], r["split"]) for r in whole] == [(r["step"], r["split"]) for r in pieces]
    assert [r["loss"] for r in whole if r["split"] == "valid"] == [
        r["loss"] for r in pieces if r["split"] == "valid"
    ]


def test_the_plateau_was_reached_in_the_run_that_is_resumed(tmp_path):
    """Without it the comparison above would not see a lost monitor."""
    config = runs.small("average_and_plateau", tmp_path)
    runs.run(config, tmp_path / "run")
    assert runs.final_state(config, tmp_path / "run")[".monitor.rate_scale"] < 1


def launch(workdir, *arguments, **options):
    command = [sys.executable, "launch.py", "train", f"--workdir={workdir}", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )


def experiment(kind, folder):
    """The small config as an experiment file, as a user would launch it; long enough to be hit."""
    file = folder / "small.py"
    file.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        f"import pathlib, runs\n\n\ndef get_config(arg=None):\n"
        f"    c = runs.small({kind!r}, pathlib.Path({str(folder)!r}))\n"
        f"    c.num_steps *= 10\n    return c\n"
    )
    return f"--config={file}"


def saved_steps(workdir):
    with Checkpoints(workdir, writer=False) as checkpoints:
        return checkpoints.steps()


@pytest.mark.parametrize(
    "kind",
    [pytest.param(k, marks=[] if k == "streams" else pytest.mark.slow) for k in runs.KINDS],
)
def test_killed_at_random_moments_and_resumed_is_uninterrupted(kind, tmp_path):
    config_flag = experiment(kind, tmp_path)
    config = configs.load(config_flag.removeprefix("--config="))
    assert launch(tmp_path / "whole", config_flag).wait() == 0
    chance = random.Random(kind)
    killed = 0
    for _ in range(20):
        process = launch(tmp_path / "pieces", config_flag)
        begun = len(saved_steps(tmp_path / "pieces")) and saved_steps(tmp_path / "pieces")[-1]
        while process.poll() is None:
            steps = saved_steps(tmp_path / "pieces")
            if steps and steps[-1] > begun:  # training goes on: strike soon
                time.sleep(chance.uniform(0.0, 0.4))
                break
            time.sleep(0.01)
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        if process.returncode == 0 or killed == 3:
            break
    assert killed, "the run was over before it could be killed"
    assert launch(tmp_path / "pieces", config_flag).wait() == 0
    runs.assert_same_bytes(
        runs.final_state(config, tmp_path / "whole"), runs.final_state(config, tmp_path / "pieces")
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_exits_with_75(number, tmp_path):
    config_flag = experiment("streams", tmp_path)
    process = launch(tmp_path / "run", config_flag, "--config.num_steps=1000000")
    while not saved_steps(tmp_path / "run"):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 75, output
    status = run_directory.read_status(tmp_path / "run")
    assert (status["status"], status["exit_code"]) == ("PREEMPTED", 75)
    assert status["step"] == saved_steps(tmp_path / "run")[-1]
    assert "Traceback" not in output


def test_a_second_process_on_the_directory_is_refused(tmp_path):
    config_flag = experiment("streams", tmp_path)
    with run_directory.lock(tmp_path / "run"):
        process = launch(tmp_path / "run", config_flag)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"process {os.getpid()}" in output
    assert "Traceback" not in output


def test_a_changed_config_is_refused_field_by_field_and_lengthening_is_not(tmp_path):
    config = runs.small("procedural", tmp_path)
    runs.run(config, tmp_path / "run")
    config.optimizer.learning_rate, config.model.cell = 0.5, "gru"
    with pytest.raises(
        UsageError,
        match="model.cell: lstm -> gru.*learning_rate: 0.01 -> 0.5|"
        "learning_rate: 0.01 -> 0.5.*model.cell: lstm -> gru",
    ):
        runs.run(config, tmp_path / "run")
    config.optimizer.learning_rate, config.model.cell = 0.01, "lstm"
    config.num_steps = 64
    runs.run(config, tmp_path / "run")
    assert saved_steps(tmp_path / "run")[-1] == 64


def test_changed_data_are_refused(tmp_path):
    config = runs.small("streams", tmp_path)
    runs.run(config, tmp_path / "run")
    Path(config.dataset.path).write_text(runs.TEXT.replace("fox", "cat"))
    with pytest.raises(UsageError, match="data have changed"):
        runs.run(config, tmp_path / "run")


def test_divergence_stops_the_run_and_leaves_the_last_checkpoint(tmp_path):
    config = runs.small("procedural", tmp_path)
    config.max_nonfinite = 5

    def poison(session, interrupt):
        del interrupt
        call = session.call

        def late_poison(state, arrays):
            if int(state.step) >= 24:
                broken = state.params["model"]["output"]["bias"] + jnp.nan
                model = state.params["model"] | {
                    "output": state.params["model"]["output"] | {"bias": broken}
                }
                state = state.replace(params=state.params | {"model": model})
            return call(state, arrays)

        return session._replace(call=late_poison)

    with pytest.raises(Failure, match="not finite in .* steps in a row"):
        runs.run(config, tmp_path / "run", poison)
    assert saved_steps(tmp_path / "run")[-1] == 24


def test_patience_ends_a_run_early(tmp_path):
    config = runs.small("average_and_plateau", tmp_path)
    config.patience = 2
    config.num_steps = 400
    assert "no better loss in 2 evaluations" in runs.run(config, tmp_path / "run")
    assert saved_steps(tmp_path / "run")[-1] < 400


def test_the_best_checkpoint_is_the_one_with_the_best_validation(tmp_path):
    config = runs.small("average_and_plateau", tmp_path)
    runs.run(config, tmp_path / "run")
    losses = {
        r["step"]: r["loss"]
        for r in run_directory.read_metrics(tmp_path / "run")
        if r["split"] == "valid"
    }
    with Checkpoints(tmp_path / "run", writer=False) as checkpoints:
        assert checkpoints.best() == min(losses, key=losses.get)
    assert len(set(losses.values())) > 3
