"""The verbs as a user types them: what they do, and that a mistake is answered in one sentence."""

import contextlib
import io
import json
import math
import re
import shutil
import sys
import threading
import time

import pytest
import runs

import launch
from seqgen import backend, evaluate, generate, report, run_directory
from seqgen import run as stored_runs
from seqgen.errors import UsageError


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """JAX has begun already: the settings of a fresh process would come too late."""
    monkeypatch.setattr(backend, "start", lambda *_, **__: None)


def launched(capsys, *arguments):
    capsys.readouterr()
    code = launch.main(["launch.py", *arguments])
    return code, *capsys.readouterr()


def assert_one_sentence(err, sentence):
    assert sentence in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["trian"], "unknown verb 'trian'; did you mean 'train'?"),
        (["train"], "name one experiment"),
        (["train", "--group=none.txt", "--config=experiments/adding.py"], "leave out all else"),
        (["train", "--config=experiments/adding.py", "--config.seeds=0"], "seeds must be at least"),
        (["train", "--config=experiments/char_ml.py"], "did you mean 'experiments/char_lm.py'?"),
        (["train", "--config=experiments/adding.py:lstn"], "did you mean 'lstm'?"),
        (
            ["train", "--config=experiments/adding.py", "--config.model.hiden_size=3"],
            "did you mean 'model.hidden_size'?",
        ),
        (
            ["train", "--config=experiments/adding.py", "--config.model.cell=lstn"],
            "did you mean 'lstm'?",
        ),
        (
            ["train", "--config=experiments/adding.py", "--config.num_steps=many"],
            "config.num_steps=many",
        ),
        (
            ["train", "--config=experiments/adding.py", "--config.dataset.name=text"],
            "variants",
        ),
        (
            ["train", "--config=experiments/adding.py", "--config.monitor=los"],
            "unknown monitor 'los'; did you mean 'loss'?",
        ),
        (["train", "--confg=experiments/adding.py"], "name one experiment"),
        (["evaluate"], "evaluate needs --workdir"),
        (["evaluate", "--workdir=nowhere"], "nowhere holds no run"),
        (["evaluate", "--wrkdir=x"], "Did you mean: workdir"),
        (["evaluate", "here"], "takes flags only"),
        (["generate", "--workdir=nowhere"], "nowhere holds no run"),
        (["generate", "--workdir=nowhere", f"--seed={2**32}"], "seed"),
        (["report", "--workdir=nowhere"], "nowhere holds no run"),
        (["verify", "--file=nowhere.txt"], "nowhere.txt does not exist"),
        (["verify", "--file=."], ". is a directory"),
        (["verify", "--file="], "flag --file=: a path is missing"),
        (["compare", "--workdir=x", "--with="], "flag --with=: a path is missing"),
        (["generate", "--workdir=x", "--input="], "flag --input=: a path is missing"),
        (["report", "--workdir="], "flag --workdir=: a path is missing"),
        (["report", "--workdir=~nobody-has-this-name/x"], "flag --workdir=~nobody-has-this-name"),
        (
            ["evaluate", "--workdir=x", "--config=experiments/adding.py"],
            "reads the run's own config and takes only --config.dataset.FIELD=VALUE",
        ),
        (
            ["evaluate", "--config", "experiments/adding.py", "--workdir=x"],
            "reads the run's own config and takes only --config.dataset.FIELD=VALUE",
        ),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence, capsys, tmp_path):
    if arguments[0] == "train":
        arguments = [*arguments, f"--workdir={tmp_path / 'run'}"]
    code, out, err = launched(capsys, *arguments)
    assert code == 2
    assert "Traceback" not in out
    assert_one_sentence(err, sentence)


def test_an_empty_workdir_is_not_the_current_directory(capsys, tmp_path, monkeypatch):
    config = runs.experiment("procedural", tmp_path)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    code, _, err = launched(capsys, "train", config, "--workdir=")
    assert code == 2
    assert_one_sentence(err, "flag --workdir=: a path is missing")
    assert not list((tmp_path / "empty").iterdir())


@pytest.mark.parametrize(
    ("verb", "name"),
    [("train", "workdir"), ("generate", "input"), ("compare", "with"), ("verify", "file")],
)
def test_a_path_may_begin_at_home(verb, name, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    needed = ["--config=experiments/adding.py"] if verb == "train" else ["--workdir=~/run"]
    arguments = [*(needed if verb != "verify" else []), f"--{name}=~/x"]
    assert launch.parse(verb, ["launch.py", *arguments])[name].value == tmp_path / "x"


def test_help_lists_the_verbs_and_their_flags(capsys):
    code, out, _ = launched(capsys)
    assert code == 0
    assert all(verb in out for verb in launch.VERBS)
    code, out, _ = launched(capsys, "generate", "--help")
    assert code == 0
    assert "--temperature" in out
    for verb in launch.VERBS:
        code, out, _ = launched(capsys, verb, "--help")
        assert code == 0
        assert ("--config=FILE" in out) == (verb in ("train", "diagnose", "sweep"))
        assert "flagfile" not in out


def test_list_names_experiments_and_parts(capsys):
    code, out, _ = launched(capsys, "list")
    assert code == 0
    for name in ("char_lm", "many_to_one", "likelihood", "min_gru", "adding"):
        assert name in out


def test_a_terminal_without_some_letters_gets_their_escapes(monkeypatch):
    streams = {name: io.TextIOWrapper(io.BytesIO(), "ascii") for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setattr(launch.listing, "listing", lambda _: "naïve")
    assert launch.main(["launch.py", "list"]) == 0
    assert launch.main(["launch.py", "naïve"]) == 2
    for stream in streams.values():
        stream.flush()
        assert b"na\\xefve" in stream.buffer.getvalue()


def test_flags_of_another_verb_are_refused(capsys):
    code, _, err = launched(capsys, "report", "--workdir=x", "--split=test")
    assert code == 2
    assert "split" in err


def test_a_refused_start_leaves_an_earlier_run_as_it_was(tmp_path, capsys):
    config = runs.small("procedural", tmp_path)
    runs.run(config, tmp_path / "run")
    run_directory.set_status(tmp_path / "run", "DONE", exit_code=0, message="all steps done")
    before = {f: f.read_bytes() for f in (tmp_path / "run").glob("*.json*")}
    code, _, err = launched(
        capsys, "train", "--config=experiments/adding.py", f"--workdir={tmp_path / 'run'}"
    )
    assert code == 2
    assert "another config" in err
    assert {f: f.read_bytes() for f in (tmp_path / "run").glob("*.json*")} == before


def test_an_extra_that_is_missing_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    code, _, err = launched(
        capsys, "train", "--config=experiments/digits.py", f"--workdir={tmp_path / 'run'}"
    )
    assert code == 2
    assert_one_sentence(err, "pip install 'seqgen[data]'")


@pytest.mark.parametrize("verb", ["train", "evaluate", "generate", "verify"])
def test_the_cache_is_on_unless_it_is_switched_off(verb, trained, capsys, monkeypatch):
    asked = []

    def start(rows, *, compilation_cache):
        asked.append(compilation_cache)
        raise UsageError("enough")

    monkeypatch.setattr(backend, "start", start)
    where = f"--file={trained / 'log.txt'}" if verb == "verify" else f"--workdir={trained}"
    config = [f"--config={trained.parent / 'small.py'}"] if verb == "train" else []
    for switch in ([], ["--nocompilation_cache"]):
        assert launched(capsys, verb, where, *config, *switch)[0] == 2
    assert asked == [True, False]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that the verb `train` has finished, in its own folder with its text."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "start", lambda *_, **__: None)
        flags = [runs.experiment("streams", folder), f"--workdir={folder / 'run'}"]
        assert launch.main(["launch.py", "train", *flags]) == 0
    return folder / "run"


@pytest.fixture
def copied(trained, tmp_path):
    """A copy of it that a test may change."""
    return shutil.copytree(trained, tmp_path / "run")


def test_train_leaves_a_finished_run(trained):
    status = run_directory.read_status(trained)
    assert (status["status"], status["exit_code"]) == ("DONE", 0)
    assert (trained / "report.html").exists()
    assert len(list((trained / "samples").glob("*.txt"))) == 1
    assert len(list((trained / "evaluations").glob("test-*.json"))) == 1


def test_evaluate_scores_a_checkpoint_and_names_what_was_changed(copied, capsys):
    where = f"--workdir={copied}"
    code, plain, _ = launched(capsys, "evaluate", where, "--split=valid", "--checkpoint=latest")
    assert code == 0
    assert "step 48  valid: " in plain
    alone = "--config.dataset.eval_carry=False"
    asked = ("evaluate", where, "--split=valid", "--checkpoint=latest", alone)
    code, other, _ = launched(capsys, *asked)
    assert code == 0
    assert other != plain
    code, every, _ = launched(capsys, "evaluate", where, "--split=valid", alone, "--watch")
    assert code == 0
    assert other in every
    stored = [run_directory.read_json(f) for f in (copied / "evaluations").glob("valid-*.json")]
    changed = {"dataset.eval_carry": False}
    assert sum(evaluation["changed"] == {} for evaluation in stored) == 1
    assert sum(evaluation["changed"] == changed for evaluation in stored) == len(stored) - 1


@pytest.mark.parametrize("content", ["{}", "5"])
@pytest.mark.parametrize(
    ("file", "key", "verbs"),
    [
        ("config.json", "dataset", ("train", "evaluate", "generate", "report")),
        ("spec.json", "dataset", ("evaluate", "generate", "report")),
        ("environment.json", "fingerprint", ("train", "evaluate", "generate", "report")),
        ("plan.json", "platform", ("train",)),
        ("status.json", "st", ("train", "report")),
        ("evaluations/test-8.json", "split", ("report",)),
    ],
)
def test_a_damaged_record_is_one_sentence(file, key, verbs, content, copied, trained, capsys):
    (copied / file).write_text(content)
    for verb in verbs:
        config = [f"--config={trained.parent / 'small.py'}"] if verb == "train" else []
        code, _, err = launched(capsys, verb, *config, f"--workdir={copied}")
        assert code == 2
        assert_one_sentence(err, f"{file} is damaged: {key}")
        assert "is missing" in err


@pytest.mark.parametrize("verb", ["evaluate", "generate"])
def test_a_run_without_a_best_step_has_a_latest(verb, copied, capsys):
    for manifest in (copied / "checkpoints").glob("*/manifest.json"):
        body = json.loads(manifest.read_bytes()) | {"best": False}
        body["digest"] = run_directory.digest({n: v for n, v in body.items() if n != "digest"})
        manifest.write_bytes(run_directory.canonical_json(body))
    code, _, err = launched(capsys, verb, f"--workdir={copied}")
    assert code == 2
    assert_one_sentence(err, "; use --checkpoint=latest")
    assert launched(capsys, verb, f"--workdir={copied}", "--checkpoint=latest")[0] == 0


def test_watch_takes_no_checkpoint(trained, capsys):
    code, _, err = launched(
        capsys, "evaluate", f"--workdir={trained}", "--watch", "--checkpoint=best"
    )
    assert code == 2
    assert_one_sentence(err, "leave out --checkpoint")


def test_watch_compiles_once(copied, capsys, monkeypatch):
    made, make = [], evaluate.Evaluator
    monkeypatch.setattr(evaluate, "Evaluator", lambda *a: made.append(a) or make(*a))
    code, out, _ = launched(capsys, "evaluate", f"--workdir={copied}", "--watch")
    assert code == 0
    assert len(out.splitlines()) >= 2
    assert len(made) == 1


@pytest.mark.slow
def test_watch_follows_a_run_until_it_is_killed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(evaluate, "POLL_SECONDS", 0.05)
    workdir, often = tmp_path / "run", ["checkpoint_every", "eval_every", "log_every"]
    flags = [f"--config.{name}=400" for name in often] + ["--config.num_steps=4000000"]
    process = runs.launch(workdir, runs.experiment("streams", tmp_path), *flags)

    def kill_after_two_evaluations():
        deadline = time.monotonic() + 60
        while len(list(workdir.glob("evaluations/*.json"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
        process.wait()

    try:
        while not runs.saved_steps(workdir):
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.02)
        killer = threading.Thread(target=kill_after_two_evaluations, daemon=True)
        killer.start()
        code, out, _ = launched(
            capsys, "evaluate", f"--workdir={workdir}", "--split=valid", "--watch"
        )
        killer.join()
    finally:
        process.kill()
        process.communicate()
    assert code == 0
    steps = re.findall(r"step (\d+)  valid", out)
    assert len(steps) == len(set(steps)) >= 2
    assert run_directory.read_status(workdir)["status"] == "RUNNING"


def test_generate_verify_and_report(copied, capsys):
    where = f"--workdir={copied}"
    code, out, _ = launched(
        capsys, "generate", where, "--num=2", "--prompt=the ", "--length=20", "--seed=3"
    )
    assert code == 0
    assert out.count("(generated)\nthe ") == 2
    file = next((copied / "samples").glob("*seed3-0001.txt"))
    code, out, _ = launched(capsys, "verify", f"--file={file}")
    assert code == 0
    assert out.startswith("generated: made again byte for byte")
    file.write_text("by hand")
    code, out, _ = launched(capsys, "verify", f"--file={file}")
    assert code == 1
    assert out.startswith("altered: ")
    generate.record_of(file).unlink()
    code, out, _ = launched(capsys, "verify", f"--file={file}")
    assert code == 0
    assert out.startswith("unknown: ")
    code, out, _ = launched(capsys, "report", where)
    assert code == 0
    assert out.strip() == str(copied / "report.html")


def test_a_run_that_diverges_fails_with_one_sentence(tmp_path, capsys):
    code, _, err = launched(
        capsys,
        "train",
        runs.experiment("procedural", tmp_path),
        f"--workdir={tmp_path / 'run'}",
        "--config.optimizer.rule=sgd",
        "--config.optimizer.learning_rate=1e30",
        "--config.max_nonfinite=3",
    )
    assert code == 1
    assert_one_sentence(err, "failed: the loss or a gradient was not finite in ")
    status = run_directory.read_status(tmp_path / "run")
    assert (status["status"], status["exit_code"]) == ("FAILED", 1)
    assert "not finite" in status["message"]


def test_a_run_that_was_never_validated_finitely_is_tested_at_its_end(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("seqgen.session.Evaluator", lambda *_: lambda *_: {"loss": math.nan})
    code, out, _ = launched(
        capsys, "train", runs.experiment("procedural", tmp_path), f"--workdir={tmp_path / 'run'}"
    )
    assert code == 0
    assert "no validation gave a finite number" in out
    assert "latest checkpoint: step 48  test: " in out
    assert (tmp_path / "run" / "report.html").exists()


def test_a_full_disk_ends_training_and_leaves_what_was_saved(small_disk, tmp_path, capsys):
    disk = small_disk(8 * 2**20)
    workdir = disk / "run"

    def fill_once_something_is_saved():
        deadline = time.monotonic() + 60
        while not runs.saved_steps(workdir) and time.monotonic() < deadline:
            time.sleep(0.01)
        with contextlib.suppress(OSError), open(disk / "other", "wb", buffering=0) as other:
            while True:
                other.write(bytes(2**12))

    filler = threading.Thread(target=fill_once_something_is_saved, daemon=True)
    filler.start()
    code, _, err = launched(
        capsys,
        "train",
        runs.experiment("streams", tmp_path),
        f"--workdir={workdir}",
        "--config.num_steps=1000000",
    )
    filler.join()
    assert code == 1
    assert_one_sentence(err, "failed: ")
    assert run_directory.read_status(workdir)["status"] in ("FAILED", "RUNNING")
    run_directory.read_metrics(workdir)
    stored_runs.parameters(stored_runs.load(workdir), "latest")


def test_a_run_directory_that_cannot_be_written_is_one_sentence(trained, small_disk, capsys):
    where = shutil.copytree(trained, small_disk(8 * 2**20) / "run")
    runs.remount_read_only(where.parent)
    for verb in ("evaluate", "generate", "report"):
        code, _, err = launched(capsys, verb, f"--workdir={where}")
        assert code == 1
        assert_one_sentence(err, "Read-only file system")


def test_a_report_that_fails_is_a_failure_of_the_run(copied, trained, capsys, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device", "report.html")

    monkeypatch.setattr(report, "report", full)
    config = f"--config={trained.parent / 'small.py'}"
    code, _, err = launched(capsys, "train", config, f"--workdir={copied}")
    assert code == 1
    assert_one_sentence(err, "failed: No space left on device (report.html)")
    assert run_directory.read_status(copied)["status"] == "FAILED"


def test_ctrl_c_is_one_line(capsys, monkeypatch):
    def pressed(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(launch.listing, "listing", pressed)
    code, _, err = launched(capsys, "list")
    assert code == 130
    assert_one_sentence(err, "stopped by Ctrl-C")
