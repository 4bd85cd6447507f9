"""Nothing runs twice, nothing is lost: the verb `sweep` over jobs that are told what to become."""

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import jobs
import pytest
import runs

import launch
from seqgen import config as configs
from seqgen import lanes, ledger, run_directory, run_lock, run_state, sweep, sweep_results
from seqgen.backends import End, Job, local
from seqgen.errors import Failure, UsageError
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.progress import Progress
from seqgen.run_state import State

SHARING = lanes.groups


def apart(monkeypatch):
    """A job for each trial, which finds this package, and is looked after at once."""
    monkeypatch.setattr(lanes, "groups", lambda configs: [[n] for n in range(len(configs))])
    monkeypatch.setattr(sweep, "LOOK_SECONDS", 0.0)
    monkeypatch.setenv("PYTHONPATH", str(runs.ROOT))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    apart(monkeypatch)
    monkeypatch.setattr(local, "POLL_SECONDS", 0.01)


MANNER = sweep.Manner(Path(jobs.__file__), 2)


def defined(grid, **changes):
    c = configs.default(dataset="adding", model="many_to_one", objective="likelihood")
    c.num_steps = 3
    with c.unlocked():
        c.update(changes)
    return sweep.define(c, "experiments/adding.py", grid, None, "python launch.py sweep …")


def swept(workdir, grid, *, number=2, minutes=None, retries=0, retry_failed=False, **changes):
    manner = MANNER._replace(
        jobs=number, minutes=minutes, retries=retries, retry_failed=retry_failed
    )
    sweep.main(defined(grid, **changes), workdir, manner)


def started(workdir):
    """The seeds whose jobs have begun, as often as they have."""
    file = workdir / "started"
    return sorted(int(line.split()[0]) for line in file.read_text().splitlines())


def states(workdir, grid):
    return [run_state.state(workdir / trial.run) for trial in defined(grid).trials]


def test_what_is_done_is_not_done_again_and_another_sweep_adds_its_trials(tmp_path):
    swept(tmp_path, "seed=0..2")
    assert started(tmp_path) == [0, 1, 2]
    before = {f: f.read_bytes() for f in tmp_path.glob("runs/*/*.json*")}
    swept(tmp_path, "seed=0..2", log_every=7)  # how often a run logs makes it no other run
    assert started(tmp_path) == [0, 1, 2]
    assert {f: f.read_bytes() for f in tmp_path.glob("runs/*/*.json*")} == before
    swept(tmp_path, "model.cell=lstm,gru; seed=2..3")
    assert started(tmp_path) == [0, 1, 2, 2, 3, 3]
    stored = json.loads((tmp_path / "sweep.json").read_text())
    assert [tuple(sorted(t["chosen"].items())) for t in stored["trials"]] == [
        (("model.cell", cell), ("seed", seed))
        for cell, seed in [("lstm", n) for n in range(4)] + [("gru", 2), ("gru", 3)]
    ]
    assert stored["grid"] == "model.cell=lstm,gru; seed=2..3" and stored["file"] is None
    for trial in stored["trials"]:
        assert trial["run"] == f"runs/{trial['digest'][:16]}"
        assert run_directory.read_status(tmp_path / trial["run"])["status"] == "DONE"


def test_a_setting_is_one_in_whatever_order_its_fields_are_named(tmp_path):
    swept(tmp_path, "model.cell=lstm; optimizer.learning_rate=1e-3; seed=0..1")
    swept(tmp_path, "optimizer.learning_rate=1e-3; model.cell=lstm; seed=2..3")
    results = sweep_results.load(tmp_path)
    assert [one.of for one in sweep_results.settings(results)] == [4]
    assert results.definition.endswith("seed=2..3, and 1 earlier")
    swept(tmp_path, "optimizer.learning_rate=1e-3; model.cell=lstm; seed=2..3")
    assert sweep_results.load(tmp_path).definition == results.definition


def test_a_run_of_a_field_that_is_no_more_is_named_and_the_others_go_on(tmp_path, capsys):
    swept(tmp_path, "seed=0")
    run = tmp_path / defined("seed=0").trials[0].run
    stored = json.loads((run / "config.json").read_text())
    stored["model"]["gone"] = 1
    (run / "config.json").write_text(json.dumps(stored))
    with pytest.raises(Failure, match="1 done, 1 damaged"):
        swept(tmp_path, "seed=0,1")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "does not fit" in line]
    assert f"{run / 'config.json'}: the stored config does not fit" in line
    assert 'Key "gone" does not exist' in line and len(line) < 300


def test_a_sweep_around_another_config_is_refused(tmp_path):
    swept(tmp_path, "seed=0")
    with pytest.raises(UsageError, match=r"another config \(num_steps: 3 -> 4\)"):
        swept(tmp_path, "seed=0", num_steps=4)
    swept(tmp_path, "seed=0; num_steps=3,4")
    assert started(tmp_path) == [0, 0]
    (run, _) = tmp_path.glob("runs/*")
    with pytest.raises(UsageError, match="holds a run"):
        swept(run, "seed=0")


def test_a_trial_that_was_begun_when_a_default_was_another_is_refused(tmp_path):
    with pytest.raises(Failure):
        swept(tmp_path, "seed=20,0")  # one failed, and would go on from its checkpoint
    for trial in defined("seed=20,0").trials:
        file = tmp_path / trial.run / "config.json"
        before = file.read_bytes()
        stored = json.loads(before)
        stored["optimizer"]["learning_rate"] = 0.123
        file.write_text(json.dumps(stored))
        with pytest.raises(UsageError) as caught:
            swept(tmp_path, "seed=20,0", retry_failed=True)
        assert f"{trial.run} is not the run that it is called after" in str(caught.value)
        with pytest.raises(UsageError, match="learning_rate: 0.123 -> 0.001"):
            sweep.look(defined("seed=20,0"), tmp_path, MANNER)
        assert json.loads(file.read_bytes()) == stored
        file.write_bytes(before)
    assert started(tmp_path) == [0, 20]


def test_failures_are_listed_with_their_last_lines_and_tried_again_when_asked(tmp_path, capsys):
    grid = "seed=20,21,22,23,1"
    with pytest.raises(Failure, match="1 done, 4 failed; --retry_failed"):
        swept(tmp_path, grid)
    listed = capsys.readouterr().out.partition("failed: ")[2]
    for sentence in (
        "seed=20",
        "  not finite, 1\n",
        "ValueError: a mistake in the program\n",
        "  error: the data are missing\n",
        "  killed by SIGKILL\n",
    ):
        assert sentence in listed
    statuses = [run_directory.read_status(tmp_path / t.run) for t in defined(grid).trials]
    assert [s["exit_code"] for s in statuses] == [1, 1, 1, -9, 0]
    with pytest.raises(Failure, match="1 done, 4 failed"):
        swept(tmp_path, grid)
    assert started(tmp_path) == [1, 20, 21, 22, 23]
    assert "  not finite, 1\n" in capsys.readouterr().out
    with pytest.raises(Failure, match="1 done, 4 failed"):
        swept(tmp_path, grid, retry_failed=True)
    assert started(tmp_path) == [1, 20, 20, 21, 21, 22, 22, 23, 23]
    assert "  attempt 1: not finite, 1\n  not finite, 2\n" in capsys.readouterr().out


def test_retries_keep_the_reasons(tmp_path):
    with pytest.raises(Failure):
        swept(tmp_path / "once", "seed=24", retries=1)
    swept(tmp_path / "twice", "seed=24,0", retries=2)
    assert started(tmp_path / "twice") == [0, 24, 24, 24]
    ended = [json.loads(line) for line in (tmp_path / "twice/ledger.jsonl").open()]
    failed = [record["message"] for record in ended if record["status"] == "FAILED"]
    assert failed == ["not finite, 1", "not finite, 2"]


def test_two_sweeps_on_one_directory_are_refused(tmp_path):
    with run_lock.hold(tmp_path), pytest.raises(UsageError, match=f"process {os.getpid()}"):
        swept(tmp_path, "seed=0")
    assert not (tmp_path / "started").exists()


def test_a_run_that_another_process_trains_is_left_to_it(tmp_path):
    (trial,) = defined("seed=0").trials
    with run_lock.hold(tmp_path / trial.run), pytest.raises(Failure, match="1 done, 1 running"):
        swept(tmp_path, "seed=0,1")
    assert started(tmp_path) == [1]


@pytest.fixture
def hangups_heard():
    """As they are unless the tests run under nohup, which ignores them."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_all_save_and_starts_no_more(tmp_path, number, capfd, hangups_heard):
    grid = "seed=30,31,0,1"

    def interrupt():
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("runs/*/ready"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Interrupted, match="all saved; .*2 stopped, 2 to do: run it again"):
        swept(tmp_path, grid)
    assert started(tmp_path) == [30, 31]
    assert states(tmp_path, grid) == [State.STOPPED, State.STOPPED, State.NEW, State.NEW]
    swept(tmp_path, "seed=0,1")
    assert started(tmp_path) == [0, 1, 30, 31]


def test_a_time_limit_stops_a_job_and_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(local, "GRACE_SECONDS", 0.2)
    with pytest.raises(Failure, match="2 stopped; run it again to go on"):
        swept(tmp_path, "seed=30,39", minutes=1 / 60)
    shown = capsys.readouterr().out
    assert "seed=30: stopped (stopped at its time limit of 1 s)" in shown
    unsaved = "stopped at its time limit of 1 s, killed before it had saved"
    assert f"seed=39: stopped ({unsaved})" in shown


def test_what_is_killed_before_it_has_saved_is_told(tmp_path, monkeypatch):
    """Of two runs of a process the first saves, and the second never does."""
    monkeypatch.setattr(local, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(local, "GRACE_SECONDS_A_RUN", 0.1)
    job = ledger.write_job(tmp_path, defined("seed=0,1").trials)
    for run in job.runs:
        run.mkdir(parents=True)
    script = f"""
        trap : TERM
        echo '{{"status": "PREEMPTED", "step": 2, "attempt": 1}}' > {job.runs[0]}/status.json
        while :; do sleep 0.05; done
    """
    interrupt, ends = Interrupt(), []

    def asks(running):
        if (job.runs[0] / "status.json").exists():
            interrupt.requested = "SIGTERM"

    local.run(
        [job],
        ["bash", "-c", script],
        local.slots(1, [], []),
        minutes=None,
        ended=lambda job, end: ends.append(end),
        tick=asks,
        interrupt=interrupt,
    )
    assert ends == [End(75, "stopped by SIGTERM", killed=True)]
    assert ledger.settle(job, ends[0], [None, None], tmp_path) == 1
    messages = [run_directory.read_status(run)["message"] for run in job.runs]
    assert messages == ["stopped by SIGTERM", "stopped by SIGTERM, killed before it had saved"]
    assert sweep.go_on("2 trials", tmp_path, False, 1).startswith(", 1 killed before they had")


def test_a_job_that_ends_leaves_a_run_alone_that_another_process_has(tmp_path):
    job = ledger.write_job(tmp_path, defined("seed=0,1").trials)
    for run in job.runs:
        run.mkdir(parents=True)
        run_directory.set_status(run, "RUNNING")
    with run_lock.hold(job.runs[0]):
        ledger.settle(job, End(2, "in use by process 7"), [None, None], tmp_path)
    statuses = [run_directory.read_status(run)["status"] for run in job.runs]
    assert statuses == ["RUNNING", "FAILED"]


def test_where_something_fails_nothing_is_left_to_run(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "GRACE_SECONDS", 0.2)
    (trial,) = defined("seed=0").trials
    job = ledger.write_job(tmp_path, [trial])
    script = f"trap : TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.05; done"

    def fails(running):
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        local.run(
            [job],
            ["bash", "-c", script],
            local.slots(1, [], []),
            minutes=None,
            ended=None,
            tick=fails,
            interrupt=Interrupt(),
        )
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_what_saves_more_runs_has_longer():
    lone, of_eight = (local.grace(Job(Path(), Path(), (Path(),) * count)) for count in (1, 8))
    assert lone == local.GRACE_SECONDS < of_eight


def test_a_job_that_a_signal_ends_before_it_can_save_goes_on_later(tmp_path):
    with pytest.raises(Failure, match="1 stopped"):
        swept(tmp_path, "seed=0", minutes=0.0)
    assert states(tmp_path, "seed=0") == [State.STOPPED]
    swept(tmp_path, "seed=0")


def test_cores_and_devices_are_divided():
    for number in range(1, 9):
        made = local.slots(number, range(8), [])
        assert sorted(core for slot in made for core in slot.cores) == list(range(8))
        assert max(len(s.cores) for s in made) - min(len(s.cores) for s in made) <= 1
    assert [s.cores for s in local.slots(3, (4, 7), [])] == [(4,), (7,), (4,)]
    two = local.slots(2, range(2), ["3", "5", "6", "7"])
    assert [s.environ for s in two] == [
        {"CUDA_VISIBLE_DEVICES": "3,5", "SEQGEN_MEMORY_SHARE": "0.500"},
        {"CUDA_VISIBLE_DEVICES": "6,7", "SEQGEN_MEMORY_SHARE": "0.500"},
    ]
    four = [s.environ for s in local.slots(4, range(2), ["3", "5"])]
    assert [e["CUDA_VISIBLE_DEVICES"] for e in four] == ["3", "5", "3", "5"]
    assert {float(e["XLA_PYTHON_CLIENT_MEM_FRACTION"]) for e in four} == {0.45}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores to divide")
def test_jobs_have_their_share_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-7")
    swept(tmp_path, "seed=0..3")
    lines = [line.split() for line in (tmp_path / "started").read_text().splitlines()]
    shares = {(cores, device) for _, cores, device in lines}
    half = len(os.sched_getaffinity(0)) // 2
    cores = [str(core) for core in sorted(os.sched_getaffinity(0))]
    first, second = ",".join(cores[:half]), ",".join(cores[half:])
    assert shares == {(first, "4"), (second, "GPU-7")}


@pytest.mark.parametrize(
    ("sizes", "slots", "expected"),
    [
        ([16], 1, [16]),
        ([16], 3, [5, 5, 6]),
        ([3, 1], 4, [1, 2, 1]),
        ([1, 1, 1], 2, [1, 1, 1]),
        ([4, 4, 4], 2, [4, 4, 4]),
        ([], 2, []),
    ],
)
def test_trials_that_may_share_a_process_fill_the_slots(monkeypatch, sizes, slots, expected):
    together = iter(range(sum(sizes)))
    groups = [[next(together) for _ in range(size)] for size in sizes]
    monkeypatch.setattr(lanes, "groups", lambda _: groups)
    todo = defined(f"seed=0..{max(sum(sizes) - 1, 0)}").trials[: sum(sizes)]
    made = sweep.grouped(todo, slots)
    assert [len(job) for job in made] == expected
    assert [trial for job in made for trial in job] == todo


def test_a_job_of_several_trials_settles_each(tmp_path, monkeypatch):
    monkeypatch.setattr(lanes, "groups", lambda configs: [list(range(len(configs)))])
    with pytest.raises(Failure, match="1 done, 3 failed"):
        swept(tmp_path, "seed=0,20,22,1", number=1)  # the third ends the process


def test_what_a_failed_run_printed_is_not_what_others_of_its_job_did(tmp_path):
    run, other = tmp_path / "runs" / ("a" * 16), "b" * 16
    run.mkdir(parents=True)
    run_directory.set_status(run, "FAILED", message="not finite")
    (tmp_path / "jobs").mkdir()
    printed = [f"{run.name}: step 1", "a warning", *[f"{other}: step {n}" for n in range(9)]]
    (tmp_path / "jobs" / "j.log").write_text("".join(f"{line}\n" for line in printed))
    record = {"run": f"runs/{run.name}", "job": "j", "status": "FAILED", "message": "not finite"}
    (tmp_path / "ledger.jsonl").write_text(json.dumps(record) + "\n")
    assert ledger.failures(tmp_path, run) == ["not finite", *printed[:2]]


def test_a_process_of_several_runs_says_of_each_why_it_was_refused(tmp_path):
    output, last = tmp_path / "job.log", "error: 1 of 2 runs failed: x/aa: no data"
    output.write_text(f"aa: failed: it diverged\naa: failed: no data\n{last}\n")
    assert ledger.reason(2, output, Path("x/aa")) == "no data"
    assert ledger.reason(2, output, Path("x/bb")) == last
    output.write_text("aa: failed: it diverged\nImportError: numpy\n")  # an earlier attempt's
    assert ledger.reason(1, output, Path("x/aa")) == "ImportError: numpy"


@pytest.mark.parametrize("name", ["status.json", "config.json", "metrics.jsonl"])
def test_a_damaged_run_hides_no_counts(tmp_path, capsys, name):
    with pytest.raises(Failure):
        swept(tmp_path, "seed=0,20,1")
    run = tmp_path / defined("seed=0").trials[0].run
    (run / name).write_text("{\n")
    capsys.readouterr()
    counted = "2 done, 1 failed" if name == "metrics.jsonl" else "1 done, 1 failed, 1 damaged"
    with pytest.raises(Failure, match=counted):
        swept(tmp_path, "seed=0,20,1")
    out = capsys.readouterr().out
    assert out.index(f"3 trials in {tmp_path}: {counted}\n") < out.index("report: ")
    assert ("damaged: seed=0" in out) == (name != "metrics.jsonl")
    assert "1 done, 1 failed, 1 damaged" in (tmp_path / "report.md").read_text()
    assert counted in sweep.look(defined("seed=0,20,1"), tmp_path, MANNER)
    assert started(tmp_path) == [0, 1, 20]


@pytest.mark.parametrize("torn", ['{"time":1', "5\n", "{}\n", '\xff"\n'])
def test_a_torn_line_of_the_ledger_costs_itself_alone(tmp_path, torn):
    run = tmp_path / "runs" / "a"
    run.mkdir(parents=True)
    run_directory.set_status(run, "FAILED", message="third")
    record = {"run": "runs/a", "job": "j", "status": "FAILED"}
    for message in ("first", "second", "third"):
        ledger.note(tmp_path, record | {"message": message})
        with open(tmp_path / "ledger.jsonl", "a", encoding="latin-1") as file:
            file.write(torn)
    assert ledger.failures(tmp_path, run) == ["attempt 1: first", "attempt 2: second", "third"]


def test_a_status_that_lacks_all_but_its_word_is_no_traceback(tmp_path):
    swept(tmp_path, "seed=0")
    run = tmp_path / defined("seed=0").trials[0].run
    for gone in ("metrics.jsonl", "status.json"):
        (run / gone).unlink()
    run_directory.write_json(run / "status.json", {"status": "DONE"})
    assert "1 done" in sweep.look(defined("seed=0"), tmp_path, MANNER)
    swept(tmp_path, "seed=0")
    watch = sweep.Watch(defined("seed=0").trials, {}, tmp_path, Progress(tmp_path / "log.txt"))
    (job,) = (ledger.read_job(file) for file in tmp_path.glob("jobs/*.txt"))
    watch.begin([job])
    watch.ended(job, End(0, None))
    assert "seed=0: done (None)" in (tmp_path / "log.txt").read_text()


def test_a_run_that_is_gone_or_damaged_keeps_no_grid_from_adding_a_field(tmp_path):
    swept(tmp_path, "seed=0..2")
    gone, torn, _ = (tmp_path / trial.run for trial in defined("seed=0..2").trials)
    shutil.rmtree(gone)
    (torn / "config.json").write_text("{")
    swept(tmp_path, "model.cell=gru; seed=3")
    listed = json.loads((tmp_path / "sweep.json").read_text())["trials"]
    assert [trial["chosen"] for trial in listed] == [
        {"seed": 0},
        {"seed": 1},
        {"model.cell": "lstm", "seed": 2},
        {"model.cell": "gru", "seed": 3},
    ]
    swept(tmp_path, "seed=0")  # the removed one, anew
    listed = json.loads((tmp_path / "sweep.json").read_text())["trials"]
    assert listed[0]["chosen"] == {"model.cell": "lstm", "seed": 0}


def test_a_page_that_can_not_be_made_hides_no_counts(tmp_path, capsys, monkeypatch):
    def damaged(workdir):
        raise UsageError("sweep.json is damaged")

    monkeypatch.setattr(sweep.report, "report", damaged)
    with pytest.raises(UsageError, match="sweep.json is damaged"):
        swept(tmp_path, "seed=0")
    assert f"1 trials in {tmp_path}: 1 done\n" in capsys.readouterr().out


def test_a_dry_run_shows_all_and_writes_nothing(tmp_path):
    def shown(grid):
        return sweep.look(defined(grid), tmp_path, MANNER)

    assert shown("seed=0..1").endswith(f"2 trials in {tmp_path}: 2 to do; to run in 2 jobs")
    assert not list(tmp_path.iterdir())
    with pytest.raises(Failure):
        swept(tmp_path, "seed=0,20")
    before = sorted(tmp_path.rglob("*"))
    header, done, failed, new, counted, why, *lines = shown("seed=0,20,1").splitlines()
    assert header.split() == ["trial", "seed", "state", "step", "loss", "left", "job", "run"]
    runs_of = [tmp_path / t.run for t in defined("seed=0,20,1").trials]
    assert done.split() == ["1", "0", "done", "3/3", "0.5", str(runs_of[0])]
    assert failed.split() == ["2", "20", "failed", "0/3", str(runs_of[1])]
    assert new.split() == ["3", "1", "to", "do", "1", str(runs_of[2])]
    assert counted == f"3 trials in {tmp_path}: 1 done, 1 failed, 1 to do; to run in 1 job"
    assert (why, lines) == (f"failed: seed=20 ({runs_of[1]})", ["  not finite, 1"])
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "either --grid='FIELD=VALUE,VALUE; …' or --sweep=FILE.py"),
        (["--config=experiments/adding.py"], "either --grid"),
        (["--experiment=adding", "--grid=seed=0..1"], "no --experiment"),
        (["--grid=seed=0..1"], "sweep needs --config"),
        (["--config=experiments/adding.py", "--grid=sed=1"], "did you mean 'seed'?"),
        (["--config=experiments/adding.py", "--grid=seed=1", "--jobs=0"], "jobs"),
        (
            ["--config=experiments/adding.py", "--grid=seed=1", "--time_limit=inf"],
            "--time_limit must be a number of minutes, not inf",
        ),
        (
            ["--config=experiments/adding.py", "--grid=seed=1", "--time_limit=nan"],
            "--time_limit must be a number of minutes, not nan",
        ),
        (
            ["--config=experiments/adding.py", "--grid=seed=1", "--dry_run", "--workdir=launch.py"],
            "launch.py is no directory; give another --workdir",
        ),
        (["--sweep=nowhere.py"], "unknown sweep 'nowhere.py'"),
        (["--sweep=experiments/adding.py"], "no attribute 'get_sweep'"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence, capsys, tmp_path):
    assert launch.main(["launch.py", "sweep", f"--workdir={tmp_path / 'x'}", *arguments]) == 2
    err = capsys.readouterr().err
    assert sentence in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_a_real_sweep_leaves_the_runs_that_training_alone_leaves(tmp_path, capsys, monkeypatch):
    config, where = runs.experiment("procedural", tmp_path), tmp_path / "sweep"
    command = ["launch.py", "sweep", config, "--grid=seed=0,1", f"--workdir={where}"]
    assert launch.main(command) == 0
    alone = runs.launch(tmp_path / "alone", config, "--config.seed=1")
    assert alone.wait() == 0, alone.stdout.read()
    c = runs.small("procedural", tmp_path)
    c.seed = 1
    (one,) = [
        r for r in where.glob("runs/*") if json.loads((r / "config.json").read_text())["seed"]
    ]
    runs.assert_same_bytes(runs.final_state(c, one), runs.final_state(c, tmp_path / "alone"))
    assert (one / "report.html").exists()
    capsys.readouterr()
    assert launch.main(command) == 0
    assert "2 done" in capsys.readouterr().out


@pytest.mark.slow
def test_trials_that_differ_in_their_seeds_are_lanes_of_one_process(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(lanes, "groups", SHARING)
    config, where = runs.experiment("procedural", tmp_path), tmp_path / "sweep"
    grid = "--grid=seed=0,1"
    assert launch.main(["launch.py", "sweep", config, grid, f"--workdir={where}"]) == 0
    assert "2 done" in capsys.readouterr().out
    (job,) = (where / "jobs").glob("*.txt")
    assert len(job.read_text().splitlines()) == 2
    assert len(list(where.glob("runs/*/report.html"))) == 2
