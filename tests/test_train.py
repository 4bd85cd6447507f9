"""A run can be stopped anywhere and comes out the same, byte for byte."""

import os
import random
import signal
import time
from pathlib import Path

import jax.numpy as jnp
import pytest
import runs

from seqgen import config as configs
from seqgen import run_directory, run_lock, train
from seqgen.checkpoint import Checkpoints
from seqgen.errors import Failure, UsageError
from seqgen.interrupt import Interrupted


def stop_in(name, times):
    """A session that a signal reaches when its function `name` is called the n-th time."""

    def change(session, interrupt):
        calls = []
        function = getattr(session, name)

        def counted(*arguments):
            calls.append(name)
            if len(calls) == times:
                interrupt.requested = "SIGTERM"
            return function(*arguments)

        return session._replace(**{name: counted})

    return change


@pytest.mark.parametrize(
    "kind", [*runs.KINDS[:3], pytest.param(runs.KINDS[3], marks=pytest.mark.slow)]
)
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


def test_a_signal_stops_an_evaluation_in_its_course_and_it_is_done_again(tmp_path):
    config = runs.small("procedural", tmp_path)
    with pytest.raises(Interrupted):
        runs.run(config, tmp_path / "run", stop_in("validate", 2))
    with Checkpoints(tmp_path / "run", writer=False) as checkpoints:
        assert checkpoints.latest() == 32
        assert checkpoints.restore({}).meta == {"evaluation_due": True}
    assert evaluated_steps(tmp_path / "run") == [16]
    with run_directory.MetricsLog(tmp_path / "run", 32) as log:  # killed before it was saved
        log.write({"step": 32, "split": "valid", "loss": 0.0})
    runs.run(config, tmp_path / "run")
    assert evaluated_steps(tmp_path / "run") == [16, 32, 48]


def evaluated_steps(workdir):
    return [r["step"] for r in run_directory.read_metrics(workdir) if r["split"] == "valid"]


def test_a_record_says_how_many_steps_it_covers(tmp_path):
    config = runs.small("procedural", tmp_path)
    config.log_every, config.eval_every, config.checkpoint_every = 16, 6, 6
    with pytest.raises(Interrupted):
        runs.run(config, tmp_path / "run", stop_in("call", 5))
    runs.run(config, tmp_path / "run")
    records = run_directory.read_metrics(tmp_path / "run")
    covered = [(r["step"], r["steps"]) for r in records if r["split"] == "train"]
    assert covered == [(16, 6), (32, 16), (48, 16)]


def test_what_was_measured_up_to_a_checkpoint_is_logged_before_it_is_saved(tmp_path, monkeypatch):
    """A kill just after it would else leave a gap that no resume fills."""
    save, logged = Checkpoints.save, {}

    def noting(self, step, *arguments, **options):
        records = run_directory.read_metrics(tmp_path / "run")
        logged[step] = [r["step"] for r in records if r["split"] == "train"][-1]
        save(self, step, *arguments, **options)

    monkeypatch.setattr(Checkpoints, "save", noting)
    runs.run(runs.small("procedural", tmp_path), tmp_path / "run")
    assert logged == {step: step for step in range(8, 49, 8)}


def test_the_reason_of_a_failure_outlives_a_disk_too_full_to_note_it(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_directory, "set_status", full)
    train.note_the_end(tmp_path, Failure("the reason"))


def test_the_reason_of_a_failure_outlives_a_damaged_status(tmp_path):
    (tmp_path / "status.json").write_text("{}")
    train.note_the_end(tmp_path, Failure("the reason"))


@pytest.mark.parametrize("stopped_after", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_a_resume_with_other_intervals_meets_every_one_of_them(stopped_after, tmp_path):
    """The steps of one call were five and are two, and the run goes on from an odd step."""
    config = runs.small("procedural", tmp_path)
    config.num_steps, config.log_every, config.eval_every, config.checkpoint_every = 30, 5, 10, 5
    whole = config.copy_and_resolve_references()
    whole.num_steps = whole.schedule_steps = 42
    runs.run(whole, tmp_path / "whole")
    config.schedule_steps = 42
    with pytest.raises(Interrupted):
        runs.run(config, tmp_path / "pieces", stop_in("call", stopped_after))
    config.num_steps, config.log_every, config.checkpoint_every = 42, 2, 4
    runs.run(config, tmp_path / "pieces")
    begun = 5 * stopped_after
    records = run_directory.read_metrics(tmp_path / "pieces")
    logged = [r["step"] for r in records if r["split"] == "train" and r["step"] > begun]
    assert logged == [step for step in range(begun + 1, 43) if step % 2 == 0]
    assert evaluated_steps(tmp_path / "pieces") == [10, 20, 30, 40, 42]
    assert runs.saved_steps(tmp_path / "pieces")[-2:] == [40, 42]
    runs.assert_same_bytes(
        runs.final_state(whole, tmp_path / "whole"), runs.final_state(config, tmp_path / "pieces")
    )


@pytest.mark.parametrize(
    "kind", ["procedural", pytest.param("average_and_plateau", marks=pytest.mark.slow)]
)
def test_a_lengthened_run_is_one_long_run(kind, tmp_path):
    """With a schedule that has an end, and an evaluation where the short run ended out of turn."""
    config = runs.small(kind, tmp_path)
    config.optimizer.schedule, config.eval_every, config.num_steps = "cosine", 4, 30
    long = config.copy_and_resolve_references()
    long.num_steps, long.schedule_steps = 48, 30
    runs.run(long, tmp_path / "long")
    runs.run(config, tmp_path / "lengthened")
    config.num_steps = 48
    runs.run(config, tmp_path / "lengthened")
    runs.assert_same_bytes(
        runs.final_state(long, tmp_path / "long"), runs.final_state(config, tmp_path / "lengthened")
    )
    log = (tmp_path / "lengthened" / "log.txt").read_text()
    assert "the cosine schedule ends at step 30 of 48: from there the learning rate is 0" in log
    stored = run_directory.read_json(tmp_path / "lengthened" / "config.json")
    assert (stored["num_steps"], stored["schedule_steps"]) == (48, 30)
    assert evaluated_steps(tmp_path / "long") == [*range(4, 49, 4)]
    assert evaluated_steps(tmp_path / "lengthened") == sorted([*range(4, 49, 4), 30])


@pytest.mark.parametrize(
    ("file", "of_a_sweep"),
    [
        *((name, False) for name in ("spec.json", "environment.json", "plan.json", "config.json")),
        ("environment.json", True),
    ],
)
def test_killed_while_the_first_records_are_written_it_begins_anew(
    file, of_a_sweep, tmp_path, monkeypatch
):
    write = run_directory.write_json

    def killed(path, value):
        if Path(path).name == file:
            raise KeyboardInterrupt
        write(path, value)

    config = runs.small("procedural", tmp_path)
    config.num_steps = 4
    if of_a_sweep:  # which says beforehand what the run is to be
        (tmp_path / "run").mkdir()
        stored = configs.to_json(configs.settled(config, None))
        write(tmp_path / "run" / "config.json", stored)
    monkeypatch.setattr(run_directory, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        runs.run(config, tmp_path / "run")
    monkeypatch.undo()
    runs.run(config, tmp_path / "run")


@pytest.mark.slow
def test_the_plateau_was_reached_in_the_run_that_is_resumed(tmp_path):
    """Without it the comparison above would not see a lost monitor."""
    config = runs.small("average_and_plateau", tmp_path)
    runs.run(config, tmp_path / "run")
    assert runs.final_state(config, tmp_path / "run")[".monitor.rate_scale"] < 1


@pytest.mark.parametrize(
    ("kind", "kills"),
    [pytest.param(kind, 3, marks=pytest.mark.slow) for kind in runs.KINDS],
)
def test_killed_at_random_moments_and_resumed_is_uninterrupted(kind, kills, tmp_path):
    config_flag = runs.experiment(kind, tmp_path, times=3 * kills)  # room for that many
    config = configs.load(config_flag.removeprefix("--config="))
    assert runs.launch(tmp_path / "whole", config_flag).wait() == 0
    chance = random.Random(kind)
    killed = 0
    for _ in range(20):
        process = runs.launch(tmp_path / "pieces", config_flag)
        begun = (
            len(runs.saved_steps(tmp_path / "pieces")) and runs.saved_steps(tmp_path / "pieces")[-1]
        )
        while process.poll() is None:
            steps = runs.saved_steps(tmp_path / "pieces")
            if steps and steps[-1] > begun:  # training goes on: strike soon
                time.sleep(chance.uniform(0.0, 0.4))
                break
            time.sleep(0.01)
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        if process.returncode == 0 or killed == kills:
            break
    assert killed, "the run was over before it could be killed"
    assert runs.launch(tmp_path / "pieces", config_flag).wait() == 0
    runs.assert_same_bytes(
        runs.final_state(config, tmp_path / "whole"), runs.final_state(config, tmp_path / "pieces")
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_exits_with_75(number, tmp_path):
    config_flag = runs.experiment("streams", tmp_path, times=10)
    process = runs.launch(tmp_path / "run", config_flag, "--config.num_steps=1000000")
    while not runs.saved_steps(tmp_path / "run"):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 75, output
    status = run_directory.read_status(tmp_path / "run")
    assert (status["status"], status["exit_code"]) == ("PREEMPTED", 75)
    assert status["step"] == runs.saved_steps(tmp_path / "run")[-1]
    assert "Traceback" not in output
    sentence = (
        f"stopped by {number.name} at step {status['step']}, all saved: run it again to go on"
    )
    assert output.count("stopped by") == output.count(sentence) == 1
    assert status["message"] == sentence
    assert sentence in (tmp_path / "run" / "log.txt").read_text()


def test_a_second_process_on_the_directory_is_refused(tmp_path):
    config_flag = runs.experiment("streams", tmp_path, times=10)
    with run_lock.hold(tmp_path / "run"):
        process = runs.launch(tmp_path / "run", config_flag)
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
    assert runs.saved_steps(tmp_path / "run")[-1] == 64


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

        def late_poison(state, arrays, step, count):
            if int(state.step) >= 24:
                broken = state.params["model"]["output"]["bias"] + jnp.nan
                model = state.params["model"] | {
                    "output": state.params["model"]["output"] | {"bias": broken}
                }
                state = state.replace(params=state.params | {"model": model})
            return call(state, arrays, step, count)

        return session._replace(call=late_poison)

    with pytest.raises(Failure, match="not finite in .* steps in a row"):
        runs.run(config, tmp_path / "run", poison)
    assert runs.saved_steps(tmp_path / "run")[-1] == 24


def test_patience_ends_a_run_early(tmp_path):
    config = runs.small("average_and_plateau", tmp_path)
    config.patience = 2
    config.num_steps = 400
    assert "no better loss in 2 evaluations" in runs.run(config, tmp_path / "run")
    assert runs.saved_steps(tmp_path / "run")[-1] < 400
    losses = [
        r["loss"] for r in run_directory.read_metrics(tmp_path / "run") if r["split"] == "valid"
    ]
    assert losses.index(min(losses)) == len(losses) - 3
    assert "no better loss" in runs.run(config, tmp_path / "run")  # again: nothing more to do


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
