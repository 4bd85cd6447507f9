"""The numbers on a sweep's page are those that its runs' records give, computed another way."""

import json
import math
import re
import statistics

import numpy as np
import pytest
import sweeps
from test_page import figures

from seqgen import config as configs
from seqgen import (
    predictions,
    report,
    run_directory,
    run_lock,
    sweep_effects,
    sweep_pictures,
    sweep_report,
    sweep_results,
)
from seqgen.errors import UsageError
from seqgen.metrics import Meaning
from seqgen.run_state import State

SEEDS = range(3)
STUDENT = {2: 12.706204736, 3: 4.302652730}  # of a 95 % interval, by the number of runs


def loss(cell, rate, seed):
    """Invented; no two are alike."""
    return {"rnn": 0.3, "lstm": 0.1}[cell] + 5 * rate + 0.01 * seed**2 * (1 + (cell == "rnn"))


def crossed():
    return [
        {"model.cell": cell, "optimizer.learning_rate": rate, "seed": seed}
        for cell in ("rnn", "lstm")
        for rate in (0.001, 0.01)
        for seed in SEEDS
    ]


@pytest.fixture
def sweep(tmp_path):
    """All done but for one that failed, one that was killed, and one that never began."""
    trials = crossed()
    sweeps.sweep(tmp_path, trials, "model.cell=rnn,lstm; …")
    ends = {4: ("FAILED", "step 7: <not> finite"), 8: ("RUNNING", None)}
    for number, chosen in enumerate(trials):
        if number == 11:
            continue
        value = loss(*chosen.values())
        status, message = ends.get(number, ("DONE", "all steps done"))
        sweeps.run(
            tmp_path / "runs" / str(number),
            sweeps.adding(**chosen),
            {10: 2 * value, 20: value, 30: 1.5 * value},
            {"loss": 1.1 * value} if status == "DONE" else None,
            status=status,
            message=message,
        )
    return tmp_path


def cells(shown, heading):
    """The texts of the table below a heading, row by row."""
    body = shown.split(f"<h2>{heading}</h2>")[1].split("<tbody>")[1].split("</tbody>")[0]
    rows = re.findall("<tr>(.*?)</tr>", body)
    return [[re.sub("<.*?>", "", c) for c in re.findall("<td.*?>(.*?)</td>", r)] for r in rows]


def test_settings_have_the_mean_of_their_seeds_and_students_interval(sweep):
    shown = report.report(sweep).read_text()
    rows = cells(shown, "Settings, the best first")
    assert [row[:2] for row in rows] == [
        ["cell=lstm, learning_rate=0.001", "2 of 3"],
        ["cell=lstm, learning_rate=0.01", "2 of 3"],
        ["cell=rnn, learning_rate=0.001", "3"],
        ["cell=rnn, learning_rate=0.01", "2 of 3"],
    ]
    for row, cell, rate, seeds in (
        (rows[0], "lstm", 0.001, (0, 1)),
        (rows[2], "rnn", 0.001, (0, 1, 2)),
    ):
        values = [loss(cell, rate, seed) for seed in seeds]
        error = STUDENT[len(seeds)] * statistics.stdev(values) / math.sqrt(len(seeds))
        expected = np.array([1, 1.1]) * statistics.mean(values)
        np.testing.assert_allclose([float(row[2]), float(row[4])], expected, rtol=1e-4)
        assert row[3::2] == [f"{error:.2g}", f"{1.1 * error:.2g}"]
    told = (sweep / "report.md").read_text()
    assert "12 trials: 9 done, 1 failed, 1 killed, 1 to do." in told
    assert f"| {' | '.join(rows[0])} |" in told


def test_main_effects_are_those_of_least_squares(sweep):
    """Over blocks with every value: the effects of a linear model with a term for each block."""
    rows = cells(report.report(sweep).read_text(), "Main effects")
    done = [t for n, t in enumerate(crossed()) if n not in (4, 8, 11)]
    for field, other in (
        ("model.cell", "optimizer.learning_rate"),
        ("optimizer.learning_rate", "model.cell"),
    ):
        own = list(dict.fromkeys(trial[field] for trial in done))
        blocks = [(t[other], t["seed"]) for t in done]
        kept = [t for t, block in zip(done, blocks, strict=True) if blocks.count(block) == 2]
        names = sorted({(t[other], t["seed"]) for t in kept})
        design = np.zeros((len(kept), len(names) + 1))
        for line, trial in zip(design, kept, strict=True):
            line[names.index((trial[other], trial["seed"]))] = 1
            line[-1] = 1 if trial[field] == own[0] else -1
        values = [loss(*trial.values()) for trial in kept]
        effect = np.linalg.lstsq(design, values)[0][-1]
        found = {row[1]: row for row in rows if row[0] == field}
        if field == "optimizer.learning_rate":  # by seed as many blocks: the means agree
            assert float(found[str(own[0])][3]) == pytest.approx(effect, rel=1e-3)
        for sign, value in zip((1, -1), own, strict=True):
            mean = statistics.mean(loss(*t.values()) for t in kept if t[field] == value)
            assert float(found[str(value)][2]) == pytest.approx(mean, rel=1e-4)
            assert sign * float(found[str(value)][3]) * effect > 0
            assert found[str(value)][5] == "2"


def test_an_effect_is_an_average_over_settings_then_over_seeds(tmp_path):
    """Two seeds of unequal numbers of blocks, by hand."""
    trials = [
        *({"a": a, "b": 1, "seed": s} for a in (1, 2) for s in (0, 1)),
        *({"a": a, "b": 2, "seed": 0} for a in (1, 2)),
        {"a": 1, "b": 3, "seed": 2},
    ]
    numbers = [1.0, 2.0, 3.0, 8.0, 5.0, 5.0, 99.0]
    found = [
        sweep_results.Trial(tmp_path, t, State.DONE, 1, "", [], x, 1, "", {})
        for t, x in zip(trials, numbers, strict=True)
    ]
    results = sweep_results.Results("", "loss", {}, found)
    assert results.fields == ["a", "b"]
    effect = sweep_effects.effect(results, "a")  # differences 2 and 0 of seed 0, 6 of seed 1
    assert effect.compared == 2
    assert effect.means == {"1": pytest.approx(8 / 3), "2": pytest.approx(16 / 3)}
    assert effect.deviations["2"].value == pytest.approx((0.5 + 3) / 2)
    assert effect.deviations["2"].high - 1.75 == pytest.approx(STUDENT[2] * 2.5 / 2, rel=1e-6)
    of_b = sweep_effects.effect(results, "b")  # of 1 and 2: differences 4 and 2, of one seed
    assert (of_b.compared, sweep_effects.left_out(results, "b")) == (2, [3])
    assert of_b.deviations["2"].value == pytest.approx((2 + 1) / 2)


def test_a_value_that_always_fails_is_named_and_the_others_are_compared(tmp_path):
    trials = [{"model.cell": c, "seed": s} for c in ("gru", "lstm", "rnn") for s in (0, 1)]
    sweeps.sweep(tmp_path, trials)
    for number, chosen in enumerate(trials):
        failed, where = chosen["model.cell"] == "lstm", tmp_path / "runs" / str(number)
        status = "FAILED" if failed else "DONE"
        sweeps.run(where, sweeps.adding(**chosen), {10: 1.0 + number}, status=status)
    shown = report.report(tmp_path).read_text()
    rows = cells(shown, "Main effects")
    assert [row[1:4] for row in rows] == [["gru", "1.5", "-2"], ["rnn", "5.5", "2"]]
    told = "Left out, as too few trials are done that have a finite number: cell=lstm."
    assert told in shown and told in (tmp_path / "report.md").read_text()


def done_with(folder, trials, numbers):
    return sweep_results.Results(
        "",
        "loss",
        {"loss": Meaning("", False)},
        [
            sweep_results.Trial(folder, t, State.DONE, 1, "", [], x, 1, "", {})
            for t, x in zip(trials, numbers, strict=True)
        ],
    )


def test_a_value_that_few_trials_have_does_not_leave_those_few_to_compare(tmp_path):
    trials = [{"a": a, "seed": s} for a in (1, 2) for s in range(4)]
    numbers = [1.0, 2.0, 3.0, 4.0, 3.0, 4.0, 5.0, 6.5]
    whole = sweep_effects.effect(done_with(tmp_path, trials, numbers), "a")
    results = done_with(tmp_path, [*trials, {"a": 3, "seed": 0}], [*numbers, 9.0])
    assert sweep_effects.effect(results, "a") == whole
    assert sweep_effects.left_out(results, "a") == [3]
    two_seeds = done_with(
        tmp_path, [*trials, {"a": 3, "seed": 0}, {"a": 3, "seed": 1}], [*numbers, 9.0, 9.0]
    )
    assert list(sweep_effects.effect(two_seeds, "a").means) == ["1", "2", "3"]


def test_an_effect_without_seeds_has_its_interval_over_settings(tmp_path):
    trials = [{"a": a, "b": b} for b in range(3) for a in (1, 2)]
    effect = sweep_effects.effect(done_with(tmp_path, trials, [1, 3, 5, 5, 0, 4]), "a")
    assert effect.compared == 3
    assert effect.deviations["2"].value == pytest.approx(1)  # half of 2, 0 and 4
    assert effect.deviations["2"].high - 1 == pytest.approx(STUDENT[3] / math.sqrt(3), rel=1e-6)


@pytest.mark.parametrize(
    "entry",
    [3, {"run": 3, "chosen": {}}, {"run": "runs/0", "chosen": 3}, {"run": "/", "chosen": {}}],
)
def test_trials_that_are_none_are_a_damaged_record(tmp_path, entry):
    for listed in (entry, [entry]):
        sweeps.sweep(tmp_path, [{"seed": 0}])
        record = run_directory.read_json(tmp_path / "sweep.json") | {"trials": listed}
        run_directory.write_json(tmp_path / "sweep.json", record)
        with pytest.raises(UsageError, match="sweep.json is damaged: "):
            report.report(tmp_path)


def test_a_field_that_is_done_with_one_value_has_no_main_effect(tmp_path):
    trials = [{"a": a, "b": b} for a in (1, 2) for b in (1, 2)]
    states = [State.DONE, State.DONE, State.FAILED, State.FAILED]
    found = [
        sweep_results.Trial(tmp_path, t, state, 1, "", [], 1.0, 1, "", {})
        for t, state in zip(trials, states, strict=True)
    ]
    results = sweep_results.Results("", "loss", {"loss": Meaning("", False)}, found)
    assert sweep_effects.left_out(results, "a") == [2]
    assert [sweep_effects.effect(results, f).compared for f in ("a", "b")] == [0, 1]


def test_numbers_of_one_split_do_not_stand_under_the_name_of_the_other(tmp_path):
    """The first trial was evaluated on its validation data, the second on its test data."""
    sweeps.sweep(tmp_path, [{"seed": 0}, {"seed": 1}])
    for seed in (0, 1):
        where = tmp_path / "runs" / str(seed)
        sweeps.run(where, sweeps.adding(seed=seed), {10: 1.0 + seed}, {"loss": 5.0 + seed})
    folder = tmp_path / "runs" / "0" / "evaluations"
    (folder / "test-10.json").rename(folder / "valid-10.json")
    shown = report.report(tmp_path).read_text()
    assert "test loss" in shown
    assert cells(shown, "Settings, the best first")[0][4] == "6"  # not the mean of both
    assert [row[-1] for row in cells(shown, "Trials, the best first")] == ["", "6"]


def test_trials_stand_best_first_with_links_and_the_failed_with_their_last_lines(sweep):
    (sweep / "runs" / "6" / "report.html").write_text("")
    shown = report.report(sweep).read_text()
    rows = cells(shown, "Trials, the best first")
    done = [n for n in range(12) if n not in (4, 8, 11)]
    order = sorted(done, key=lambda n: loss(*crossed()[n].values()))
    assert [int(row[0]) for row in rows[:9]] == order
    assert {row[0] for row in rows[9:]} == {"4", "8", "11"}
    assert rows[0][1:8] == ["lstm", "0.001", "0", "done", "30", "0.105", "20"]
    assert rows[-1][4:7] == ["to do", "0", ""]
    assert shown.count('href="runs/6/report.html"') == 1 and "runs/5/report.html" not in shown
    failed = shown.split("<h2>Failed trials</h2>")[1]
    assert "seed 1 (runs/4): step 7: &lt;not&gt; finite</summary>" in failed
    assert "its process ended and said nothing" in failed
    assert failed.count("line 39 of the log") == 2
    assert f"line {40 - sweep_report.LINES} of" in failed
    assert f"line {39 - sweep_report.LINES} of" not in failed


def test_the_best_checkpoint_is_the_one_that_the_monitor_chose():
    records = [
        {"step": step, "split": "valid", "loss": loss, "accuracy": accuracy}
        for step, loss, accuracy in (
            (1, 0.5, 0.7),
            (2, 0.4, 0.6),
            (3, math.nan, 0.7),
            (4, 0.9, 0.1),
        )
    ]
    records.append({"step": 5, "split": "train", "loss": 0.0, "accuracy": 1.0})
    meanings = {"loss": Meaning("", False), "accuracy": Meaning("", True)}
    for number, monitor, step in (
        ("loss", "loss", 2),
        ("accuracy", "accuracy", 1),
        ("loss", None, 4),
    ):
        assert sweep_results.best_record(records, number, monitor, meanings, None)["step"] == step
    assert sweep_results.best_record(records[2:3], "loss", "loss", meanings, None) == {}


@pytest.mark.parametrize(
    ("losses", "saved"),
    [
        # a look at samples ended it, which makes the last step the best
        ({10: 1.0, 20: 2.0, 30: 3.0}, {20: False, 30: True}),
        # it ended at 15, was lengthened, and 20 is the best of the regular validations
        ({10: 3.0, 15: 1.0, 20: 2.0, 30: 2.5}, {20: True, 30: False}),
        # 15 was the end, and no regular validation after it was better than the one at 10
        ({10: 1.5, 15: 1.0, 20: 2.0, 30: 2.5}, {10: True, 15: True, 20: False, 30: False}),
    ],
)
def test_the_best_checkpoint_is_the_one_that_was_saved_as_the_best(tmp_path, losses, saved):
    sweeps.sweep(tmp_path, [{"seed": 0}])
    sweeps.run(tmp_path / "runs/0", sweeps.adding(), losses, {"loss": 0.25}, saved=saved)
    (trial,) = sweep_results.load(tmp_path).trials
    step = max(step for step, says_best in saved.items() if says_best)
    assert (trial.best_step, trial.best) == (step, losses[step])
    assert (trial.split, trial.measured) == ("test", {"loss": 0.25})


def test_experiments_of_other_parts_and_monitors_stand_in_one_table(tmp_path):
    made = configs.default(dataset="points", model="vae", objective="elbo")
    made.model.latent_size, made.model.likelihood = 1, "gaussian"
    trials = [{"config": "adding.py"}, {"config": "adding.py:last"}, {"config": "points.py"}]
    sweeps.sweep(tmp_path, trials, experiment=None, grid=None)
    for number, config in enumerate((sweeps.adding(), sweeps.adding(monitor=None), made)):
        losses = {10: 1.0 + number, 20: 2.0 + number}
        sweeps.run(tmp_path / "runs" / str(number), config, losses, {"loss": 0.5})
    results = sweep_results.load(tmp_path)
    assert [(t.best, t.best_step) for t in results.trials] == [(1.0, 10), (3.0, 20), (3.0, 10)]
    assert {"squared_error", "elbo"} <= results.meanings.keys()
    assert "sweep.py. 3 trials: 3 done." in report.report(tmp_path).read_text()


def test_curves_of_one_point_are_seen(tmp_path):
    sweeps.sweep(tmp_path, [{"seed": seed} for seed in range(2)])
    for seed in range(2):
        sweeps.run(tmp_path / "runs" / str(seed), sweeps.adding(), {10: 1.0 + seed})
    drawn = figures(report.report(tmp_path).read_text())
    modes = {trace["mode"] for figure in drawn for trace in figure["data"] if trace["x"] == [10]}
    assert modes == {"markers"}


def test_what_an_objective_says_of_its_loss_ranks_and_names_it(tmp_path):
    def page(name, config):
        sweeps.sweep(tmp_path / name, [{"seed": 0}, {"seed": 1}])
        for seed, loss in enumerate((0.3, 0.6)):
            sweeps.run(tmp_path / name / "runs" / str(seed), config, {10: loss}, {"loss": loss})
        results = sweep_results.load(tmp_path / name)
        ranked = sorted(results.trials, key=lambda t: sweep_results.rank(results, t.best))
        return sweep_report.sentence(results), [t.best for t in ranked]

    game = configs.default(dataset="points", model="gan", objective="adversarial")
    game.monitor, game.model.latent_size = None, 2
    said, ranked = page("game", game)  # a discriminator that loses has a good adversary
    assert "by the loss in validation" in said and "(larger is better)" in said
    assert ranked == [0.6, 0.3]
    said, ranked = page("text", sweeps.copying())
    assert "by the loss [nats] in validation" in said and "(smaller is better)" in said
    assert ranked == [0.3, 0.6]


def test_trials_of_the_same_parts_may_watch_what_only_some_of_them_report(tmp_path, monkeypatch):
    """As a text of words has no bits per character, and one of characters has."""
    every = predictions.reports
    monkeypatch.setattr(
        predictions,
        "reports",
        lambda run: {name: m for name, m in every(run).items() if name == run.config.monitor},
    )
    sweeps.sweep(tmp_path, [{"monitor": "loss"}, {"monitor": "squared_error"}])
    for number, name in enumerate(("loss", "squared_error")):
        where = tmp_path / "runs" / str(number)
        sweeps.run(where, sweeps.adding(monitor=name), {10: 1.0, 20: 2.0})
        with (where / "metrics.jsonl").open("a") as log:
            log.write(json.dumps({"step": 30, "split": "valid", name: 0.5}) + "\n")
    assert [t.best_step for t in sweep_results.load(tmp_path).trials] == [30, 30]


def test_what_a_failed_trial_printed_stands_below_its_log(sweep):
    (sweep / "jobs").mkdir()
    (sweep / "jobs" / "a.log").write_text("Traceback\nstep 7: <not> finite\nan unexpected <end>\n")
    record = {"run": "runs/4", "job": "a", "status": "FAILED", "message": "step 7: <not> finite"}
    (sweep / "ledger.jsonl").write_text(json.dumps(record) + "\n")
    failed = report.report(sweep).read_text().split("<h2>Failed trials</h2>")[1]
    assert "line 39 of the log\nTraceback\nan unexpected &lt;end&gt;</pre>" in failed


DAMAGES = {
    "status.json": "{}",
    "config.json": "{",
    "spec.json": "{}",
    "metrics.jsonl": "half a line\n",
    "evaluations/test-20.json": "{}",
}


def test_a_damaged_run_is_named_and_the_others_stand(sweep):
    names = [f"runs/{number}" for number in (0, 1, 2, 3, 5)]
    for name, (file, content) in zip(names, DAMAGES.items(), strict=True):
        (sweep / name / file).write_text(content)
    shown, told = report.report(sweep).read_text(), (sweep / "report.md").read_text()
    assert "12 trials: 4 done, 1 failed, 5 damaged, 1 killed, 1 to do." in told
    section = shown.split("<h2>Damaged runs</h2>")[1]
    for name, file in zip(names, DAMAGES, strict=True):
        assert re.search(rf"\({name}\): [^<]*{name}/{file} is (damaged|not JSON)", section)
    best = cells(shown, "Settings, the best first")[0]
    assert best[:2] == ["cell=lstm, learning_rate=0.001", "2 of 3"]
    assert float(best[2]) == pytest.approx((loss("lstm", 0.001, 0) + loss("lstm", 0.001, 1)) / 2)


def test_runs_of_several_seeds_have_the_page_of_a_sweep_of_these_seeds(tmp_path):
    """The one that has not begun too; the one of a sweep is called after its own words."""
    chosen = [{"seed": 9}, {"seed": 10}, {"seed": 11}]
    sweeps.sweep(tmp_path / "sweep", chosen)
    for number, (folder, value) in enumerate((("seed_9", 1.0), ("seed_10", 2.0))):
        config = sweeps.adding(seed=9 + number)
        for run in (tmp_path / "sweep" / "runs" / str(number), tmp_path / "seeds" / folder):
            sweeps.run(run, config, {10: value}, {"loss": value})
    (tmp_path / "seeds" / "seed_11").mkdir()
    for other in ("seed_x", "notes"):
        (tmp_path / "seeds" / other).mkdir()
    ours, wanted = (report.report(tmp_path / n).read_text() for n in ("seeds", "sweep"))
    for heading, first in (("Settings, the best first", 0), ("Trials, the best first", 1)):
        rows = [[row[first:] for row in cells(page, heading)] for page in (ours, wanted)]
        assert rows[0] == rows[1]
    assert cells(ours, "Settings, the best first")[0][:3] == ["all alike", "2 of 3", "1.5"]
    assert [r[0] for r in cells(ours, "Trials, the best first")] == ["seed_9", "seed_10", "seed_11"]


def test_runs_of_seeds_beside_a_sweep_do_not_take_its_place(tmp_path):
    sweeps.sweep(tmp_path, [{"seed": 9}])
    sweeps.run(tmp_path / "seed_0", sweeps.adding(), {10: 1.0})
    definition, chosen = sweep_results.defined(tmp_path)
    assert (definition, list(chosen)) == ("adding, seed=0..2", [tmp_path / "runs" / "0"])


def test_a_run_that_is_held_is_running(sweep):
    with run_lock.hold(sweep / "runs" / "8"):
        states = [trial.state for trial in sweep_results.load(sweep).trials]
    assert (states.count(State.RUNNING), states.count(State.KILLED)) == (1, 0)


def test_curves_are_grouped_by_setting_and_their_mean_is_that_of_the_seeds(sweep):
    pytest.importorskip("plotly")
    results = sweep_results.load(sweep)
    ranked = sweep_results.settings(results)
    shown = sweep_pictures.learning(results, ranked)
    (figure,) = figures(shown)
    groups = {trace["legendgroup"] for trace in figure["data"]}
    assert groups == {one.label for one in ranked}
    thick, *thin = [
        trace
        for trace in figure["data"]
        if trace["legendgroup"] == "cell=rnn, learning_rate=0.001" and trace["visible"] is True
    ]
    assert thick["x"] == [10, 20, 30] and len(thin) == 3
    values = [loss("rnn", 0.001, seed) for seed in SEEDS]
    np.testing.assert_allclose(thick["y"], statistics.mean(values) * np.array([2, 1, 1.5]))
    for trace, value in zip(thin, values, strict=True):
        np.testing.assert_allclose(trace["y"], value * np.array([2, 1, 1.5]))


def test_a_sweep_that_has_not_begun_and_one_without_plotly_are_pages_too(sweep, monkeypatch):
    monkeypatch.setattr(sweep_report.page, "has_plots", lambda: False)
    shown = report.report(sweep).read_text()
    assert "pip install &#x27;seqgen[report]&#x27;" in shown and 'class="plot"' not in shown
    fresh = sweep / "fresh"
    sweeps.sweep(fresh, crossed())
    shown = report.report(fresh).read_text()
    assert "12 trials: 12 to do." in shown
    assert len(cells(shown, "Trials, the best first")) == 12
