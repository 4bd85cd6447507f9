"""Sweeps by job arrays: against a Slurm that is started here, where it can be."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jobs
import pytest
import runs
import slurm_node
from test_sweep import apart, defined, started

import launch
from seqgen import ledger, run_directory, run_state, sweep
from seqgen.backends import End, Job, slurm
from seqgen.errors import Failure, UsageError
from seqgen.interrupt import Interrupt, Interrupted

needed = pytest.mark.skipif(slurm_node.why_not() is not None, reason=str(slurm_node.why_not()))


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(slurm_node.running(tmp_path_factory.mktemp("slurm")))
        except slurm_node.NotStarted as error:
            pytest.skip(f"no Slurm could be started here: {error}")
        yield


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    apart(monkeypatch)
    monkeypatch.setattr(slurm, "POLL_SECONDS", 0.3)


def swept(workdir, grid, *, number=None, options=("--time=5",), **more):
    launcher = Path(jobs.__file__)
    manner = sweep.Manner(launcher, number, slurm=list(options), **more)
    sweep.main(defined(grid), workdir, manner)


def when(condition, act):
    """Does something in a thread, once the condition holds."""

    def wait():
        deadline = time.monotonic() + 60
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.05)
        act()

    threading.Thread(target=wait, daemon=True).start()


def ready(workdir):
    return lambda: list(workdir.glob("runs/*/ready"))


def in_queue():
    return subprocess.check_output(["squeue", "--noheader", "--array"], text=True).splitlines()


@pytest.fixture
def emptied():
    """Whatever becomes of a test, its jobs leave the queue."""
    yield
    with contextlib.suppress(OSError):
        subprocess.run(["scancel", "--user=root"], capture_output=True)


def test_options_are_passed_on_but_for_those_that_the_sweep_sets(capsys):
    flags = ["--slurm.time=60", "--slurm.cpus_per_task=2", "--slurm.exclusive"]
    flags = ["--backend=slurm", "--grid=seed=1", *flags]
    given = launch.parse("sweep", ["launch.py", *flags])
    options = slurm.checked(launch.command_line.slurm_options(given))
    assert options == ["--time=60", "--cpus-per-task=2", "--exclusive"]
    with pytest.raises(UsageError, match=r"--slurm\.job_name is for the sweep to set"):
        slurm.checked({"job_name": "mine"})
    for wrong in (["--slurm.time=3"], ["--backend=slurm", "--time_limit=3"]):
        config = "--config=experiments/adding.py"
        assert launch.main(["launch.py", "sweep", config, "--grid=seed=1", *wrong]) == 2
        assert "slurm" in capsys.readouterr().err


def test_without_slurm_its_absence_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="needs sbatch, which is not installed"):
        swept(tmp_path / "sweep", "seed=0")


@pytest.mark.parametrize(
    ("code", "ends"), [(75, "PREEMPTED"), (143, "PREEMPTED"), (137, "FAILED"), (None, "FAILED")]
)
def test_what_a_job_that_was_cancelled_never_began_is_stopped(tmp_path, code, ends, monkeypatch):
    monkeypatch.setattr(slurm, "queued", lambda folder: {})
    job = ledger.write_job(tmp_path, defined("seed=0,1").trials)
    for run in job.runs:
        run.mkdir(parents=True)
    run_directory.set_status(job.runs[0], "PREEMPTED", step=2, message="all saved")
    job.output.write_text("slurmstepd: error: *** JOB 7 CANCELLED ***\n")
    if code is not None:
        slurm.left(job).write_text(f"{code}\n")

    def settle(job, end):
        ledger.settle(job, end, [None, None], tmp_path)

    slurm.follow([job], ended=settle, tick=lambda jobs: None, interrupt=Interrupt())
    began, waited = (run_directory.read_status(run) for run in job.runs)
    assert (began["status"], began["message"]) == ("PREEMPTED", "all saved")
    assert (waited["status"], waited["exit_code"]) == (ends, code)
    assert "CANCELLED" in waited["message"]


def test_what_fails_in_a_job_that_is_followed_is_tried_again(tmp_path, monkeypatch):
    found = defined("seed=0,1").trials
    earlier = ledger.write_job(tmp_path, found[:1])
    in_queue, submitted = {earlier: True}, []

    def end(jobs, *, ended, tick, interrupt):
        for job in jobs:
            ends = "FAILED" if in_queue.pop(job, False) else "DONE"
            for run in job.runs:
                run_directory.set_status(run, ends, message="said")
            job.output.touch()
            ended(job, End(None, None))

    monkeypatch.setattr(sweep, "queued_jobs", lambda workdir: dict(in_queue))
    monkeypatch.setattr(slurm, "submit", lambda jobs, *_: submitted.extend(jobs))
    monkeypatch.setattr(slurm, "follow", end)
    for trial in found:
        (tmp_path / trial.run).mkdir(parents=True)
    swept(tmp_path, "seed=0,1", retries=1)
    assert [job.runs for job in submitted] == [(tmp_path / found[1].run,), earlier.runs]


def test_a_job_of_any_name_may_be_in_the_queue(tmp_path, monkeypatch):
    (tmp_path / "seqgen-1.list").write_text("/x/a.txt\n/x/b.txt\n")
    listing = "a|name|N/A|RUNNING\nseqgen-1|0|PENDING\nseqgen-1|1|RUNNING\n"
    monkeypatch.setattr(slurm, "asked", lambda words: listing)
    assert slurm.queued(tmp_path) == {tmp_path / "a.txt": False, tmp_path / "b.txt": True}


def test_a_task_asks_about_and_puts_back_itself_alone(tmp_path, monkeypatch):
    """Of an array of two, as the one whose own number is that of the whole array."""
    tool = '#!/bin/sh\necho "${0##*/} $*" >> "${0%/*}/asked"\necho RUNNING\n'
    for name in ("squeue", "scontrol"):
        (tmp_path / name).write_text(tool)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name, value in (("JOB_ID", "7"), ("ARRAY_JOB_ID", "7"), ("ARRAY_TASK_ID", "1")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    script = slurm.SCRIPT.format(
        groups=f"{tmp_path}/a.txt {tmp_path}/b.txt", command="sh -c 'exit 75'", again=75
    )
    assert subprocess.run(["bash"], input=script, text=True).returncode == 75
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == ["squeue -h -j 7_1 -o %T", "scontrol requeue 7_1"]
    assert slurm.exit_code(Job(tmp_path / "b.txt", tmp_path / "b.log", ())) == 75
    assert slurm.exit_code(Job(tmp_path / "a.txt", tmp_path / "a.log", ())) is None


@pytest.mark.slow
@needed
def test_processes_under_srun_find_each_other_and_train_one_run(node, emptied, tmp_path):
    flag, run = runs.experiment("procedural", tmp_path), tmp_path / "run"
    train = [sys.executable, "launch.py", "train", flag, f"--workdir={run}", "--distributed"]
    done = subprocess.run(
        ["srun", "--ntasks=2", "--time=5", *train], cwd=runs.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert run_directory.read_status(run)["status"] == "DONE"
    found = run_directory.read_json(run / "environment.json")
    assert found["process_count"] == 2
    layout = run_directory.read_json(run / "plan.json")
    assert layout["devices"] == found["device_count"] >= 2


@pytest.mark.slow
@needed
def test_jobs_of_an_array_end_as_those_of_a_process(node, emptied, tmp_path, capsys):
    with pytest.raises(Failure, match="2 done, 4 failed"):
        swept(tmp_path, "seed=0,1,20,21,22,23", number=2)
    said = capsys.readouterr().out
    for sentence in (
        "seed=20: failed (not finite, 1)",
        "seed=21: failed (ValueError: a mistake in the program)",
        "seed=22: failed (error: the data are missing)",
        "seed=23: failed (killed by SIGKILL)",
    ):
        assert sentence in said
    with pytest.raises(Failure, match="2 done, 4 failed"):
        swept(tmp_path, "seed=0,1,20,21,22,23")
    assert started(tmp_path) == [0, 1, 20, 21, 22, 23]
    swept(tmp_path / "retried", "seed=24", retries=2)
    assert started(tmp_path / "retried") == [24, 24, 24]


@pytest.mark.slow
@needed
def test_jobs_that_are_asked_to_make_room_save_and_go_on(node, emptied, tmp_path):
    def near_the_limit():  # as Slurm says it, to the script alone
        subprocess.run(["scancel", "--signal=USR1", "--batch", "--user=root"], check=True)

    together = min(2, os.cpu_count())
    when(lambda: len(ready(tmp_path)()) == together, near_the_limit)
    swept(tmp_path, "seed=25; model.cell=" + ",".join(["lstm", "gru"][:together]))
    assert started(tmp_path) == [25, 25] * together
    for run in tmp_path.glob("runs/*"):
        assert run_directory.read_status(run)["attempt"] == 2


@pytest.mark.slow
@needed
def test_a_signal_leaves_the_jobs_which_the_same_command_follows(node, emptied, tmp_path):
    when(ready(tmp_path), lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted, match="1 running, 1 queued; Slurm's jobs go on.*scancel"):
        swept(tmp_path, "seed=25,0", number=1)
    shown = sweep.look(defined("seed=25,0"), tmp_path, sweep.Manner(Path()))
    assert "2 trials" in shown and "1 running, 1 queued" in shown and "to run" not in shown
    (run,) = {file.parent for file in ready(tmp_path)()}
    when(
        lambda: True,
        lambda: subprocess.run(["scancel", "--signal=TERM", "--full", "--state=RUNNING"]),
    )
    swept(tmp_path, "seed=25,0")
    assert started(tmp_path) == [0, 25, 25]
    assert run_directory.read_status(run)["status"] == "DONE"


@pytest.mark.slow
@needed
def test_a_job_that_is_cancelled_stays_so(node, emptied, tmp_path):
    def cancel():
        words = slurm.cancelling(tmp_path / "jobs").split()
        subprocess.run(words, check=True)

    when(ready(tmp_path), cancel)
    with pytest.raises(Failure, match="1 stopped, 1 to do; run it again"):
        swept(tmp_path, "seed=30,31", number=1)
    assert not in_queue()
    assert started(tmp_path) == [30]


@pytest.mark.slow
@needed
def test_what_slurm_refuses_is_one_sentence(node, tmp_path):
    with pytest.raises(UsageError, match="sbatch refused: .*[Ii]nvalid partition"):
        swept(tmp_path, "seed=0", options=["--partition=nowhere"])


@pytest.mark.slow
@needed
def test_a_real_trial_by_slurm(node, emptied, tmp_path):
    config = runs.experiment("procedural", tmp_path)
    where = f"--workdir={tmp_path / 'sweep'}"
    command = ["launch.py", "sweep", config, "--grid=seed=0", where, "--backend=slurm"]
    assert launch.main([*command, "--slurm.time=10"]) == 0
    (run,) = (tmp_path / "sweep").glob("runs/*")
    assert run_state.state(run) is run_state.State.DONE
    assert (run / "report.html").exists()
