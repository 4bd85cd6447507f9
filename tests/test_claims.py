"""Verdicts of planted findings; and every claim has its sentence, valid runs and thresholds."""

import ast
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seqgen import backend, claims, config, listing, study, train, trials
from seqgen.claims import INCONCLUSIVE, REFUTED, SUPPORTED
from seqgen.errors import UsageError
from seqgen.metrics.intervals import Estimate

FOLDER = Path(__file__).parent.parent / "experiments/claims"


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.1, 0.3, SUPPORTED),
        (-0.3, -0.1, REFUTED),
        (-0.1, 0.3, INCONCLUSIVE),
        (0.0, 0.3, INCONCLUSIVE),  # it touches the threshold
        (-math.inf, math.inf, INCONCLUSIVE),  # a single seed
        (math.nan, math.nan, INCONCLUSIVE),
    ],
)
def test_the_whole_interval_lies_on_the_claimed_side(low, high, word):
    found = Estimate((low + high) / 2, low, high)
    assert claims.judged(claims.Check("difference", 0.0, above=True), found) == word
    mirrored = Estimate(-found.value, -high, -low)
    assert claims.judged(claims.Check("difference", 0.0, above=False), mirrored) == word
    moved = Estimate(found.value + 5, low + 5, high + 5)
    assert claims.judged(claims.Check("difference", 5.0, above=True), moved) == word


def test_a_claim_stands_with_all_of_its_checks():
    assert claims.together([SUPPORTED, SUPPORTED]) == SUPPORTED
    assert claims.together([SUPPORTED, INCONCLUSIVE]) == INCONCLUSIVE
    assert claims.together([SUPPORTED, INCONCLUSIVE, REFUTED]) == REFUTED


def test_runs_are_gathered_by_what_they_are_of_in_the_order_of_their_seeds():
    rows = {("b", 8, 1): {"x": 3.0}, ("a", 8, 0): {"x": 7.0, "y": 0.0}, ("b", 8, 0): {"x": 1.0}}
    assert claims.each_seed(rows, "x") == {("b", 8): [1.0, 3.0], ("a", 8): [7.0]}
    assert claims.each_seed(rows, "y") == {("a", 8): [0.0]}
    assert claims.estimates(rows, "x")["b", 8].value == 2.0
    rows["b", 8, 0]["y"] = 1.0
    with pytest.raises(UsageError, match="some runs of b 8 have no y"):
        claims.each_seed(rows, "y")


def test_seeds_are_runs_of_their_own_and_leave_the_experiment_alone():
    c = config.default(dataset="points", model="autoencoder", objective="reconstruction")
    found = claims.over_seeds(("ae", 3), c, {"dataset.train_size": 3, "model.latent_size": 1}, 2)
    assert list(found) == [("ae", 3, 0), ("ae", 3, 1)]
    assert [(one.seed, one.dataset.train_size) for one in found.values()] == [(0, 3), (1, 3)]
    assert c.dataset.train_size is None


@pytest.mark.parametrize("name", study.names(FOLDER))
def test_every_claim_says_what_decides_and_whether_it_was_run(name):
    claim, file = study.load(FOLDER, name), FOLDER / f"{name}.py"
    promise = " ".join(ast.get_docstring(ast.parse(file.read_text())).split())
    assert f"python launch.py study --claim={name}" in promise
    run = any(word in promise for word in (SUPPORTED, REFUTED, INCONCLUSIVE))
    assert run != ("Not run yet" in promise)
    assert run == (claim.minutes is not None)
    assert claim.sentence and claim.checks
    assert all(math.isfinite(check.threshold) for check in claim.checks)
    seeds = {}
    for key, c in claim.runs.items():
        config.validate(c)
        assert c.seed == key[-1]
        seeds.setdefault(key[:-1], []).append(c.seed)
    assert all(len(each) >= 3 for each in seeds.values())  # or the interval says little
    assert len({trials.directory(c, Path()) for c in claim.runs.values()}) == len(claim.runs)


@pytest.mark.long
@pytest.mark.parametrize("name", study.names(FOLDER))
def test_every_claim_is_decided_once_there_are_runs(name, tmp_path, monkeypatch):
    """Of as few steps as there can be, and one run for all of a model."""
    if name == "mnist1d":
        pytest.importorskip("mnist1d")
    whole, places = train.train, {}

    def short(c, workdir, **how):
        kind = (c.dataset.name, c.model.name)
        if kind not in places:
            places[kind] = tmp_path / f"run-{len(places)}"
            c.num_steps = c.eval_every = c.log_every = c.checkpoint_every = 2
            whole(c, places[kind], **how)
        shutil.copytree(places[kind], workdir)

    monkeypatch.setattr(backend, "start", lambda *_, **__: None)
    monkeypatch.setattr(train, "train", short)
    found = study.study(FOLDER, name, tmp_path / "studies", compilation_cache=False)
    assert found["verdict"] in (SUPPORTED, REFUTED, INCONCLUSIVE)
    assert (tmp_path / "studies" / name / "picture.png").read_bytes()[1:4] == b"PNG"


@pytest.mark.long
def test_codes_of_few_numbers_lose_more(tmp_path):
    command = [sys.executable, "launch.py", "study", "--claim=compression"]
    subprocess.run([*command, f"--workdir={tmp_path}"], cwd=FOLDER.parents[1], check=True)
    verdict = json.loads((tmp_path / "compression/verdict.json").read_text())
    assert verdict["verdict"] == SUPPORTED


def test_claims_are_listed():
    lines = listing.listing(FOLDER.parent).splitlines()
    after = lines[lines.index("claims") :]
    for name in study.names(FOLDER):
        assert any(line.split()[0] == name for line in after)
