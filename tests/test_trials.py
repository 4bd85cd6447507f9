"""Sweeps are what their combinators say, and a trial is known by what decides its weights."""

import math
import re

import numpy as np
import pytest
import runs

from seqgen import config as configs
from seqgen import trials
from seqgen.errors import UsageError
from seqgen.trials import chain, choice, grid, integers, loguniform, sample, uniform, zip_


def adding(arg=None):
    c = configs.default(dataset="adding", model="many_to_one", objective="likelihood")
    c.num_steps = 7 if arg == "long" else 3
    return c


FILE = """
import runpy
from seqgen.trials import *

get_config = runpy.run_path({test!r})["adding"]


def get_sweep():
    return {sweep}
"""


@pytest.fixture
def written(tmp_path):
    """Writes a sweep file, which is an experiment too; returns its path."""

    def write(sweep):
        file = tmp_path / "mine.py"
        file.write_text(FILE.format(test=__file__, sweep=sweep))
        return str(file)

    return write


def test_a_grid_is_the_product_of_its_axes_the_last_one_fastest():
    pairs = [{"a": 1, "b": 10}, {"a": 2, "b": 20}]
    found = grid(pairs, {"c": ["x", "y"], "d": [0]})
    assert found == [{**pair, "c": letter, "d": 0} for pair in pairs for letter in ("x", "y")]
    assert grid({"a": range(3), "b": range(4)}, {"c": range(5)})[17] == {"a": 0, "b": 3, "c": 2}


def test_a_zip_walks_its_axes_together_and_a_chain_one_after_the_other():
    a, b = grid({"a": [1, 2, 3]}), grid({"b": [4, 5, 6]})
    assert zip_(a, b) == zip_({"a": [1, 2, 3], "b": [4, 5, 6]})
    assert [tuple(t.values()) for t in zip_(a, b)] == [(1, 4), (2, 5), (3, 6)]
    assert chain(a, b, []) == [*a, *b]


def test_a_sample_depends_on_seed_and_field_alone():
    fields = {"a": uniform(2, 5), "b": integers(1, 6)}
    few, many = sample(5, fields, seed=3), sample(40, fields | {"c": choice("xyz")}, seed=3)
    assert [one.items() <= other.items() for one, other in zip(few, many, strict=False)] == [
        True
    ] * 5
    again, other = (
        sample(40, {"a": uniform(2, 5)}, seed=3),
        sample(40, {"a": uniform(2, 5)}, seed=4),
    )
    assert [t["a"] for t in again] == [t["a"] for t in many]
    assert not {t["a"] for t in other} & {t["a"] for t in again}
    correlation = np.corrcoef([[t["a"] for t in many], [t["b"] for t in many]])[0, 1]
    assert abs(correlation) < 0.5  # equal shares in both fields would make it almost 1


@pytest.mark.parametrize(
    ("distribution", "cumulative"),
    [
        (uniform(-1, 3), lambda x: (x + 1) / 4),
        (loguniform(1e-4, 1e-1), lambda x: math.log10(x * 1e4) / 3),
    ],
)
def test_draws_follow_their_distribution(distribution, cumulative):
    drawn = sorted(t["x"] for t in sample(2000, {"x": distribution}))
    shares = [cumulative(x) for x in drawn]
    worst = max(abs(share - (n + 0.5) / 2000) for n, share in enumerate(shares))
    assert worst < 1.95 / math.sqrt(2000)  # Kolmogorov and Smirnov: one seed in a thousand fails


@pytest.mark.parametrize("distribution", [integers(3, 6), choice([3, 4, 5, 6])])
def test_whole_numbers_and_choices_are_equally_likely(distribution):
    drawn = [t["x"] for t in sample(4000, {"x": distribution})]
    counts = np.bincount(drawn)[3:]
    assert set(drawn) == {3, 4, 5, 6} and all(isinstance(x, int) for x in drawn)
    assert ((counts - 1000) ** 2 / 1000).sum() < 16.3  # chi squared, three degrees, 0.1 %


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: grid(), "grid is empty"),
        (lambda: grid({"a": []}), "no value for a"),
        (lambda: grid({"a": "lstm"}), "give a list"),
        (lambda: grid({"a": 3}), "give a list"),
        (lambda: grid("a"), "grid takes"),
        (lambda: grid({"a": [1]}, {"a": [2]}), "a is in two axes"),
        (lambda: zip_({"a": [1, 2], "b": [1, 2, 3]}), "zip_ has axes of 2 and 3 values"),
        (lambda: chain({"a": [1]}), "chain takes sweeps"),
        (lambda: sample(0, {"a": uniform(0, 1)}), "sample needs"),
        (lambda: sample(3, {"a": [1, 2]}), "give loguniform"),
        (lambda: uniform(1, 1), r"uniform\(1, 1\)"),
        (lambda: loguniform(0, 1), r"loguniform\(0, 1\)"),
        (lambda: integers(2, 1), r"integers\(2, 1\)"),
        (lambda: choice([]), r"choice\(\[\]\)"),
    ],
)
def test_a_slip_in_a_definition_is_one_sentence(make, sentence):
    with pytest.raises(UsageError, match=sentence) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_identity_is_what_decides_the_weights():
    def found(**changes):
        c = adding()
        with c.unlocked():
            c.update(changes)
        return trials.digest(c)

    plain = found()
    assert plain == found(log_every=7) == found(checkpoint_every=9) == found(schedule_steps=3)
    longer, other = found(num_steps=4, schedule_steps=3), found(schedule_steps=2)
    assert len({plain, found(seed=1), found(num_steps=4), longer, other}) == 5


def test_equal_trials_are_one(written):
    path = written('grid({"log_every": [1, 2], "seed": [5, 0]})')
    found = trials.of_file(path, adding())
    assert [t.chosen for t in found] == [{"log_every": 1, "seed": 5}, {"log_every": 1, "seed": 0}]
    again = trials.of_grid("seed=0,5", adding())
    assert [t.digest for t in again] == [t.digest for t in reversed(found)]
    assert [t.run for t in again] == [
        trials.directory(t.config, again[0].run.parent.parent) for t in again
    ]


def test_values_of_a_file_are_typed_as_the_command_line_types_them(written):
    path = written(
        '[{"optimizer.learning_rate": 3, "model.zoneout": None, "model.normalize": True,'
        ' "model.cell": "gru"}]'
    )
    (trial,) = trials.of_file(path, adding())
    rate = trial.config.optimizer.learning_rate
    assert isinstance(rate, float) and rate == 3
    assert (trial.config.model.zoneout, trial.config.model.normalize) == (None, True)
    text = "optimizer.learning_rate=3; model.zoneout=None; model.normalize=True; model.cell=gru"
    assert trials.of_grid(text, adding())[0] == trial
    third = written('[{"optimizer.learning_rate": 1 / 3}]')
    assert trials.of_file(third, adding())[0].config.optimizer.learning_rate == 1 / 3


def test_a_trial_may_name_its_own_config(written, monkeypatch):
    asked, load = [], configs.load
    monkeypatch.setattr(configs, "load", lambda name: asked.append(name) or load(name))
    path = written("None")
    path = written(f'grid({{"config": [{path!r}, "{path}:long"], "seed": [0, 1]}})')
    found = trials.of_file(path, None)
    assert [(t.config.num_steps, t.config.seed) for t in found] == [(3, 0), (3, 1), (7, 0), (7, 1)]
    assert found[2].chosen == {"config": f"{path}:long", "seed": 0}
    assert asked == [path, f"{path}:long"]  # each file runs once
    with pytest.raises(UsageError, match="has 3 for config"):
        trials.of_file(written("[{'config': 3}]"), None)
    path = written(f'[{{"config": {path!r}}}]')
    with pytest.raises(UsageError, match="not both"):
        trials.of_file(path, adding())


@pytest.mark.parametrize(
    ("sweep", "sentence"),
    [
        ("3", "get_sweep in .* returned 3, not trials"),
        ("[]", "not trials"),
        ('grid({"seed": range(10_001)})', "more than 10000"),
        ('[{"seed": object()}]', "no config can hold"),
        ('[{"sed": 1}]', "did you mean 'seed'"),
        ('[{"seed": -1}]', "the trial seed=-1: seed must be in"),
        ('[{"model.name": "vae"}]', "can't be overridden"),
        ("1 / 0", "could not be loaded: ZeroDivisionError"),
        ('grid({"seed": []})', "no value for seed"),
    ],
)
def test_a_slip_in_a_file_is_one_sentence(written, sweep, sentence):
    with pytest.raises(UsageError, match=sentence) as caught:
        trials.of_file(written(sweep), adding())
    assert "\n" not in str(caught.value)


def test_the_readmes_sweep_is_one(tmp_path):
    section = (runs.ROOT / "README.md").read_text().split("### Sweep\n")[1].split("\n### ")[0]
    (text,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (tmp_path / "rates.py").write_text(text)
    found = trials.of_file(str(tmp_path / "rates.py"), adding())
    assert len(found) == 42
    assert {t.config.model.hidden_size for t in found[40:]} == {64, 128}
    for grid_text in re.findall(r"--grid='(model.*?)'", section):
        assert len(trials.of_grid(grid_text, adding())) == 32
