"""The verb `study`: what is trained, what is used again, what is left, and what is stored."""

import hashlib
import json
import math

import pytest

import launch
from seqgen import backend, report, run_directory, study, trials
from seqgen import config as configs
from seqgen.claims import INCONCLUSIVE, REFUTED, SUPPORTED
from seqgen.errors import Failure, UsageError
from seqgen.interrupt import Interrupted

TOY = """
from seqgen import claims, config

CHECKS = (claims.Check("value", {threshold}, above=True),)


def get_claim():
    c = config.default(dataset="points", model="autoencoder", objective="reconstruction")
    {change}
    runs = claims.over_seeds(("ae",), c, {{"model.latent_size": 1}}, 3)
    chance = claims.Reference("chance", 0.125, "a coin thrown three times")
    return claims.Claim("values are large", {minutes}, runs, CHECKS, measure, conclude, (chance,))


def measure(key, runs):
    return {{"value": runs[key] + key[-1]}}


def conclude(rows):
    return claims.Finding((claims.estimates(rows, "value")["ae",],), b"picture")
"""
REACH = 4.302653 / math.sqrt(3)  # of the mean of 10, 11 and 12, whose deviation is 1


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "claims").mkdir()
    return tmp_path / "claims"


def write(folder, name, threshold=8.0, minutes=1.0, change="pass"):
    text = TOY.format(threshold=threshold, minutes=minutes, change=change)
    (folder / f"{name}.py").write_text(text)


def each(train):
    """Training of several runs by that of one, one after the other."""

    def together(all_configs, workdirs, *, compilation_cache):
        for config, workdir in zip(all_configs, workdirs, strict=True):
            train(config, workdir, compilation_cache=compilation_cache)

    return together


@pytest.fixture
def trained(monkeypatch):
    """Training as the mark that it is done, and where it was done; evidence is the number 10."""
    done = []

    def train(config, workdir, *, compilation_cache):
        workdir.mkdir(parents=True)
        done.append(config.seed)
        run_directory.set_status(workdir, "DONE")

    monkeypatch.setattr(study.lanes, "train", each(train))
    monkeypatch.setattr(study.evidence, "load", lambda path: 10.0)
    monkeypatch.setattr(backend, "start", lambda *_, **__: None)
    return done


def studied(folder, name):
    return study.study(folder, name, folder.parent / "studies", compilation_cache=False)


def every(folder, budget=math.inf):
    study.every(folder, folder.parent / "studies", budget, compilation_cache=False)


@pytest.mark.parametrize(
    ("threshold", "word"), [(8.0, SUPPORTED), (14.0, REFUTED), (10.0, INCONCLUSIVE)]
)
def test_what_is_found_is_stored_and_said(folder, trained, capsys, threshold, word):
    write(folder, "toy", threshold)
    studied(folder, "toy")
    place = folder.parent / "studies/toy"
    stored = json.loads((place / "verdict.json").read_text())
    (check,) = stored["checks"]
    assert stored["verdict"] == check["verdict"] == word
    assert check["found"] == pytest.approx({"value": 11, "low": 11 - REACH, "high": 11 + REACH})
    assert [run["measured"] for run in stored["runs"]] == [{"value": 10.0 + s} for s in range(3)]
    assert stored["claim_sha256"] == hashlib.sha256((folder / "toy.py").read_bytes()).hexdigest()
    assert (place / "picture.png").read_bytes() == b"picture"
    (reference,) = stored["references"]
    assert reference == {"of": "chance", "value": 0.125, "source": "a coin thrown three times"}
    said = capsys.readouterr().out
    assert "  chance: 0.125 (a coin thrown three times)\n" in said
    assert f"toy: {word}" in said and "[2/3] ae, seed 1: to be trained" in said
    assert f"11 (8.516 to 13.48), claimed above {threshold:g}: {word}" in said


def test_a_verdict_under_other_thresholds_stays_on_record(folder, trained):
    write(folder, "toy", threshold=8.0)
    assert studied(folder, "toy")["superseded"] == []
    write(folder, "toy", threshold=14.0)
    for _ in range(2):  # once, however often it is studied again
        result = studied(folder, "toy")
    (before,) = result["superseded"]
    assert (result["verdict"], before["verdict"]) == (REFUTED, SUPPORTED)
    assert before["checks"][0]["threshold"] == 8.0
    page = report.report(folder.parent / "studies").read_text()
    assert "Before, under other thresholds: SUPPORTED." in page


def test_a_verdict_of_other_runs_stays_on_record(folder, trained):
    write(folder, "toy", threshold=14.0)
    studied(folder, "toy")
    write(folder, "toy", threshold=14.0, change="c.optimizer.learning_rate = 0.5")
    for _ in range(2):
        (before,) = studied(folder, "toy")["superseded"]
    assert (before["verdict"], before["how"]) == (REFUTED, "of other runs")


def test_the_time_of_a_study_is_that_of_the_runs_it_has_now(folder, trained, monkeypatch):
    clock = iter(range(0, 10**6, 1000))
    monkeypatch.setattr(study.time, "monotonic", lambda: float(next(clock)))
    write(folder, "toy")
    assert studied(folder, "toy")["seconds"] == 1000
    write(folder, "toy", change="c.optimizer.learning_rate = 0.5")
    assert studied(folder, "toy")["seconds"] == 1000


def test_a_time_that_is_not_told_by_run_is_left_aside(folder, trained):
    write(folder, "toy")
    place = folder.parent / "studies/toy"
    place.mkdir(parents=True)
    (place / "time.json").write_text('{"training_seconds": 7000.0}')
    assert studied(folder, "toy")["seconds"] < 7000


def test_whatever_goes_wrong_in_a_claim_is_one_sentence(folder, trained):
    for number, wrong in enumerate(("raise RuntimeError('no')", "return claims.Finding((), 3)")):
        write(folder, f"toy{number}")
        file = folder / f"toy{number}.py"
        file.write_text(f"{file.read_text()}\n\ndef conclude(rows):\n    {wrong}\n")
        with pytest.raises(UsageError, match=f"toy{number}.py could not decide"):
            studied(folder, f"toy{number}")


def test_measuring_again_does_not_tell_another_time(folder, trained, monkeypatch):
    write(folder, "toy")
    first = studied(folder, "toy")["seconds"]
    clock = iter(range(0, 10**6, 1000))
    monkeypatch.setattr(study.time, "monotonic", lambda: float(next(clock)))
    assert studied(folder, "toy")["seconds"] == first


def test_the_time_of_a_study_is_that_of_all_its_sittings(folder, trained, monkeypatch):
    write(folder, "toy")
    clock = iter(range(0, 10**6, 1000))
    whole, left = study.lanes.train, [Interrupted("SIGTERM")]

    def train(*runs, **how):
        if left:
            raise left.pop()
        whole(*runs, **how)

    monkeypatch.setattr(study.lanes, "train", train)
    monkeypatch.setattr(study.time, "monotonic", lambda: float(next(clock)))
    with pytest.raises(Interrupted):
        studied(folder, "toy")
    assert studied(folder, "toy")["seconds"] == 2000


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("return None", "get_claim returns no Claim but NoneType"),
        ("CHECKS.pop()", "could not be loaded: AttributeError"),
        ("global measure; measure = lambda key, runs: runs[key]['loss']", "TypeError"),
        ("global conclude; conclude = lambda rows: claims.Finding((), b'')", "ValueError: zip()"),
    ],
)
def test_a_claim_that_is_wrong_is_one_sentence_that_names_it(folder, trained, capsys, wrong, said):
    write(folder, "wrong", change=wrong)
    write(folder, "right")
    with pytest.raises(Failure, match="not decided: wrong"):
        every(folder)
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if line.startswith("wrong not decided")]
    assert f"{folder / 'wrong.py'}" in line and said in line
    assert f"right {SUPPORTED}" in out


def test_what_cannot_be_begun_leaves_the_others_their_verdicts(folder, trained, capsys):
    """A file that fails, and a damaged run."""
    write(folder, "broken", change="wrong = name")
    write(folder, "damaged", change="c.num_steps = 9")
    write(folder, "good")
    runs = study.load(folder, "damaged").runs
    place = trials.directory(runs["ae", 0], folder.parent / "studies")
    place.mkdir(parents=True)
    (place / "status.json").write_text("{}")
    with pytest.raises(Failure, match="not decided: broken, damaged"):
        every(folder)
    said = capsys.readouterr().out
    assert "broken  not decided: " in said and "NameError: name 'name' is not defined" in said
    assert "damaged not decided: " in said and f"good    {SUPPORTED} (runs: " in said
    assert said.count("  chance: 0.125 (a coin thrown three times)\n") == 2  # also in the table


def test_finished_runs_are_used_again_also_by_other_claims(folder, trained):
    write(folder, "toy")
    studied(folder, "toy")
    studied(folder, "toy")
    write(folder, "other", threshold=3.0, change="c.log_every = 7")
    studied(folder, "other")
    assert trained == [0, 1, 2]
    write(folder, "longer", change="c.num_steps = 5")
    write(folder, "slower", change="c.optimizer.learning_rate = 0.123")
    for count, name in enumerate(("longer", "slower"), start=2):
        studied(folder, name)
        assert trained == [0, 1, 2] * count
    # the schedule's length, written out, is what it is anyway
    write(folder, "same", change="c.schedule_steps = c.num_steps")
    studied(folder, "same")
    assert trained == [0, 1, 2] * 3


def test_a_run_of_other_defaults_or_another_length_is_refused(folder, trained):
    write(folder, "toy")
    studied(folder, "toy")
    config = study.load(folder, "toy").runs["ae", 1]
    place = trials.directory(config, folder.parent / "studies")
    before = configs.settled(config, None)
    before.optimizer.learning_rate, before.log_every = 0.123, 3
    run_directory.write_json(place / "config.json", configs.to_json(before))
    usual = config.optimizer.learning_rate
    with pytest.raises(UsageError, match=rf"\(optimizer.learning_rate: 0.123 -> {usual}\)"):
        studied(folder, "toy")
    settled = configs.to_json(configs.settled(config, None))
    longer = settled | {"num_steps": settled["num_steps"] + 1}
    run_directory.write_json(place / "config.json", longer)
    with pytest.raises(UsageError, match="another length"):
        studied(folder, "toy")
    run_directory.write_json(place / "config.json", settled)
    studied(folder, "toy")
    assert trained == [0, 1, 2]


def test_a_killed_study_goes_on(folder, trained, monkeypatch):
    write(folder, "toy")
    whole, places = study.lanes.train, []

    def killed(config, workdir, *, compilation_cache):
        if config.seed == 1:
            places.append(workdir)
            raise Interrupted("SIGTERM")
        whole([config], [workdir], compilation_cache=compilation_cache)

    monkeypatch.setattr(study.lanes, "train", each(killed))
    with pytest.raises(Interrupted):
        studied(folder, "toy")
    assert trained == [0]
    run_directory.folder(places[0], "")
    run_directory.set_status(places[0], "PREEMPTED")

    def resumed(config, workdir, *, compilation_cache):
        trained.append(config.seed)
        assert workdir == places[0] or config.seed == 2
        run_directory.folder(workdir, "")
        run_directory.set_status(workdir, "DONE")

    monkeypatch.setattr(study.lanes, "train", each(resumed))
    assert studied(folder, "toy")["verdict"] == SUPPORTED
    assert trained == [0, 1, 2]


def test_a_budget_buys_the_cheapest_and_says_what_is_left(folder, trained, capsys):
    write(folder, "dear", minutes=100.0, change="c.num_steps = 9")
    write(folder, "cheap", minutes=1.0)
    write(folder, "middle", minutes=40.0, change="c.num_steps = 7")
    write(folder, "untimed", minutes=None, change="c.num_steps = 8")
    every(folder, budget=50.0)
    table = capsys.readouterr().out.splitlines()
    verdicts = [line for line in table if line.startswith(("cheap ", "middle ", "dear ", "untim"))]
    assert [" ".join(line.split()) for line in verdicts[-4:]] == [
        "cheap SUPPORTED (runs: 0 s)",
        "middle SUPPORTED (runs: 0 s)",
        "dear left: 100 minutes",
        "untimed left: its time is not known",
    ]
    assert len(trained) == 6
    every(folder)
    assert len(trained) == 12


def test_what_is_finished_needs_no_minutes(folder, trained):
    write(folder, "toy", minutes=30.0)
    claim, workdir = study.load(folder, "toy"), folder.parent / "studies"
    assert study.minutes_left(claim, workdir) == 30
    place = trials.directory(claim.runs["ae", 1], workdir)
    study.lanes.train([claim.runs["ae", 1]], [place], compilation_cache=False)
    assert study.minutes_left(claim, workdir) == pytest.approx(20)
    studied(folder, "toy")
    assert study.minutes_left(claim, workdir) == 0


def test_a_claim_that_fails_leaves_the_others_their_verdicts(folder, trained, monkeypatch, capsys):
    write(folder, "bad", change="c.num_steps = 9")
    write(folder, "good", minutes=2.0)
    whole = study.lanes.train

    def train(config, workdir, **how):
        if config.num_steps == 9:
            raise Failure("the loss was not finite")
        whole([config], [workdir], **how)

    monkeypatch.setattr(study.lanes, "train", each(train))
    with pytest.raises(Failure, match="not decided: bad"):
        every(folder)
    said = capsys.readouterr().out
    assert "not decided: the loss was not finite" in said and f"good: {SUPPORTED}" in said
    page = folder.parent / "studies/report.html"
    assert f"report: {page}" in said and "1 SUPPORTED" in page.read_text()


def test_claims_that_are_all_left_make_no_page(folder, trained, capsys):
    write(folder, "dear", minutes=100.0)
    study.main(folder, None, 1.0, folder.parent / "studies", compilation_cache=False)
    assert capsys.readouterr().out.endswith("\ndear left: 100 minutes\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "either --claim=NAME or --all"),
        (["--claim=compression", "--all"], "either --claim=NAME or --all"),
        (["--claim=compresion"], "unknown claim 'compresion'; did you mean 'compression'? have: "),
        (["--claim=../digits_ae"], "unknown claim '../digits_ae'"),
        (["--claim=compression", "--budget=3"], "--budget chooses among all claims"),
        (["--all", "--budget=-1"], "budget"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence, capsys, trained, tmp_path):
    assert launch.main(["launch.py", "study", f"--workdir={tmp_path}", *arguments]) == 2
    err = capsys.readouterr().err
    assert sentence in err and len(err.strip().splitlines()) == 1
    assert not trained


def test_a_changed_config_is_another_run(tmp_path):
    c = configs.default(dataset="points", model="autoencoder", objective="reconstruction")
    d = configs.from_json(configs.to_json(c))
    assert trials.directory(c, tmp_path) == trials.directory(d, tmp_path)
    d.dataset.sigma = 0.5
    assert trials.directory(c, tmp_path) != trials.directory(d, tmp_path)


def test_a_damaged_run_is_named(folder, trained):
    write(folder, "toy")
    place = trials.directory(study.load(folder, "toy").runs["ae", 0], folder.parent / "studies")
    place.mkdir(parents=True)
    (place / "status.json").write_text("{}")
    with pytest.raises(UsageError, match="status.json is damaged"):
        studied(folder, "toy")
