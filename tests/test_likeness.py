"""Looks at samples while a run is trained: what ends it, what does not, and who counts them."""

import functools

import jax
import numpy as np
import pytest
import runs
from test_train import stop_in

from seqgen import config as configs
from seqgen import likeness, looks, run_directory
from seqgen.checkpoint import Checkpoints
from seqgen.datasets import digits, points
from seqgen.errors import UsageError
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.metrics import two_sample, verdict
from seqgen.objectives import Objective
from seqgen.run import Found, Run

N = 200  # held-out examples
DETECTABLE = 0.65  # what so few notice at the first looks
MOONS = points.SHAPES["moons"]


def drawn(params, memory, keys_B, inputs, options):
    """What the data's own distribution draws, a scale times as large and shifted."""
    del memory, inputs, options

    def draw(key):
        key_mode, key_share, key_noise = jax.random.split(key, 3)
        mode, share = jax.random.randint(key_mode, (), 0, 2), jax.random.uniform(key_share)
        return MOONS.place(mode, share) + MOONS.sigma * jax.random.normal(key_noise, (2,))

    return params["scale"] * jax.vmap(draw)(keys_B) + params["shift"]


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(likeness, "SAMPLES", N)


@functools.cache
def looker(size, detectable=DETECTABLE):
    options = points.Options(batch_size=100, shape="moons", test_size=size)
    dataset = points.make(options)
    return looks.looker(Objective((), None, None, None, {}, drawn), dataset, detectable)


def look(number=1, scale=1.0, shift=0.0, *of):
    found = Found(0, {"scale": scale, "shift": shift}, {}, digest="")
    with Interrupt() as interrupt:
        return looker(*of or (N,))(found, {}, number, interrupt)


def test_only_samples_that_are_not_told_from_data_end_a_run():
    found = look()
    assert found.numbers["verdict"] == "indistinguishable"
    assert found.ending.startswith("the two-sample tests can't tell generated from real; look 1: ")
    assert f"at n={N}: a classifier right on" in found.ending
    for stub, word in (({"scale": 0.01}, "collapsed"), ({"shift": 0.08}, "told apart")):
        found = look(**stub)
        assert found.numbers["verdict"] == word and found.ending is None
        assert found.sentence.startswith(f"look 1: {word}: ")
    assert look(shift=float("nan")) == ({}, "look 1: samples are not finite", None)


def test_a_later_look_has_less_to_spend_and_says_what_it_would_have_noticed():
    found = look(3)
    least = found.numbers["detectable_accuracy"]
    assert two_sample.power(N, least, 0.05 / 3 / (3 * 4)) == pytest.approx(0.8, abs=1e-6)
    assert f"{100 * least:.1f} % would be noticed with power 0.8" in found.ending


def test_tests_that_could_notice_nothing_end_nothing(monkeypatch):
    monkeypatch.setattr(likeness, "SAMPLES", 12)
    found = look(20, 1.0, 0.0, 12, 0.95)
    assert found.numbers["verdict"] == "indistinguishable"
    assert found.sentence.endswith("too few examples to notice anything")
    assert found.ending is None


def test_tests_that_would_notice_less_than_wanted_end_nothing():
    first, third = (look(number, 1.0, 0.0, N, 0.62) for number in (1, 3))
    assert first.numbers["verdict"] == third.numbers["verdict"] == "indistinguishable"
    assert first.numbers["detectable_accuracy"] < 0.62 < third.numbers["detectable_accuracy"]
    assert first.ending is not None and third.ending is None


def test_a_run_that_no_look_could_end_is_refused_before_it_begins(monkeypatch, tmp_path):
    monkeypatch.setattr(likeness, "SAMPLES", 2500)
    config = small(20)
    config.stop_detectable = 0.6
    with pytest.raises(UsageError, match=r"stop_detectable=0.6 can't be had of n=200 ") as refused:
        runs.run(config, tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()
    needed = int(str(refused.value).rpartition("that takes n=")[2])
    level = 0.05 / 3 / 2
    assert two_sample.power(needed, 0.6, level) >= 0.8
    assert all(two_sample.power(n, 0.6, level) < 0.8 for n in range(N, needed, 2))
    config.dataset.test_size = 8
    with pytest.raises(UsageError, match="at least 12 examples of train, not 8"):
        runs.run(config, tmp_path / "run")
    config.dataset.test_size, config.stop_detectable = N, 0.51
    with pytest.raises(UsageError, match="n=1000 are the most that are used"):
        runs.run(config, tmp_path / "run")


def copied(params, memory, keys_B, inputs, options):
    """Examples to copy, drawn at random."""
    del memory, inputs, options
    return jax.random.choice(keys_B[0], params["copied"], (len(keys_B),), replace=False)


def test_copies_are_noticed_from_wherever_in_the_training_set(monkeypatch, tmp_path):
    keys_B = jax.random.split(jax.random.key(1), 5 * N)
    cloud = drawn({"scale": 1.0, "shift": 0.0}, {}, keys_B, {}, None)
    np.savetxt(tmp_path / "moons.csv", cloud, delimiter=",")
    options = points.Options(
        batch_size=100, shape="file", path=str(tmp_path / "moons.csv"), test_size=N
    )
    dataset = points.make(options)
    monkeypatch.setattr(likeness, "BLOCK", N)
    train_N2 = dataset.arrays["train"]["inputs"]
    found = Found(0, {"copied": train_N2[2 * N :]}, {}, digest="")  # of three times N

    def judged():
        take = looks.looker(Objective((), None, None, None, {}, copied), dataset, DETECTABLE)
        with Interrupt() as interrupt:
            return take(found, dataset.arrays, 1, interrupt)

    all_of_them = judged()
    assert all_of_them.numbers["verdict"] == verdict.MEMORISED
    assert "first" not in all_of_them.sentence
    monkeypatch.setattr(likeness, "TRAINED", 2 * N)
    part = judged()
    assert part.numbers["verdict"] != verdict.MEMORISED
    assert part.sentence.endswith("(copies looked for among the first 400 training examples only)")


def test_looks_are_at_numbers_whatever_the_data_have_beside_them():
    dataset = points.make(points.Options(test_size=N))
    maker = Objective((), None, None, None, {}, drawn)
    captions = {"kind": "category", "size": 9, "per": "answer", "length": 7}
    captioned = dataset._replace(spec=dataset.spec | {"targets": captions})
    looks.looker(maker, captioned, DETECTABLE)
    sentences = dataset.spec | {"inputs": {"kind": "token", "size": 9}}
    with pytest.raises(UsageError, match="makes pictures, points or series"):
        looks.looker(maker, dataset._replace(spec=sentences), DETECTABLE)


def described(monkeypatch, tmp_path, size, scale):
    monkeypatch.setattr(likeness, "draw", lambda *_: None)
    dataset = points.make(points.Options(batch_size=100, shape="moons", test_size=size))
    objective = Objective((), None, None, None, {}, drawn)
    run = Run(tmp_path, None, dataset.spec, dataset.fingerprint, objective)
    found = Found(0, {"scale": scale, "shift": 0.0}, {}, digest="")
    with Interrupt() as interrupt:
        return likeness.describer(run, dataset, "test")(found, {}, interrupt, tmp_path)


def test_what_can_not_be_compared_costs_an_evaluation_nothing_else(monkeypatch, tmp_path):
    few = described(monkeypatch, tmp_path, 5, 1.0)
    assert few.sentence.endswith("train needs at least 12 examples, not 5") and not few.facts
    assert not few.metrics.keys() & {"coverage", "mmd2"}
    broken = described(monkeypatch, tmp_path, 20, float("inf"))
    assert broken == ({}, {}, "samples are not finite")


def test_a_run_that_makes_no_examples_takes_no_looks(tmp_path):
    config = runs.small("procedural", tmp_path)
    config.stop_when_indistinguishable = True
    with pytest.raises(UsageError, match="makes pictures, points or series"):
        runs.run(config, tmp_path / "run")


def small(num_steps):
    c = configs.default(dataset="points", model="vae", objective="elbo")
    c.dataset.batch_size, c.dataset.shape, c.dataset.test_size = 100, "moons", N
    c.model.likelihood, c.model.latent_size = "gaussian", 1
    c.model.encoder_sizes = c.model.decoder_sizes = (4,)
    c.num_steps, c.schedule_steps, c.log_every, c.eval_every, c.checkpoint_every = (
        num_steps,
        20,
        2,
        4,
        2,
    )
    c.stop_when_indistinguishable, c.stop_detectable = True, DETECTABLE
    return c


def third(then=lambda session, interrupt: session):
    """A session whose third look finds samples like the data."""

    def change(session, interrupt):
        def take(found, arrays, number, interrupt):
            del found, arrays
            if interrupt.requested:
                raise Interrupted(interrupt.requested)
            word = "indistinguishable" if number == 3 else "collapsed"
            said = f"look {number}: {word}"
            return looks.Look({"verdict": word}, said, said if number == 3 else None)

        assert session.look is not None
        return then(session._replace(look=take), interrupt)

    return change


def verdicts(workdir):
    records = run_directory.read_metrics(workdir)
    return [(r["step"], r["verdict"]) for r in records if "verdict" in r]


@pytest.mark.slow
def test_looks_end_a_run_where_they_would_have_had_it_not_been_stopped_and_lengthened(tmp_path):
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    assert runs.run(small(20), whole, third()) == "look 3: indistinguishable"
    assert verdicts(whole) == [(4, "collapsed"), (8, "collapsed"), (12, "indistinguishable")]
    assert "(look 2: collapsed)" in (whole / "log.txt").read_text()
    with Checkpoints(whole, writer=False) as checkpoints:
        assert checkpoints.latest() == checkpoints.best() == 12
    with pytest.raises(Interrupted):
        runs.run(small(10), pieces, third(stop_in("look", 2)))
    assert verdicts(pieces) == verdicts(whole)[:1]
    # the evaluation at its end is out of turn
    assert runs.run(small(10), pieces, third()) == "all steps done"
    assert verdicts(pieces) == verdicts(whole)[:2]
    for _ in range(2):  # the second time it has ended
        assert runs.run(small(20), pieces, third()) == "look 3: indistinguishable"
        assert verdicts(pieces) == verdicts(whole)
    ended = runs.final_state(small(20), whole)
    assert ended[".monitor.looks"] == 3
    runs.assert_same_bytes(runs.final_state(small(20), pieces), ended)


@pytest.mark.slow
def test_a_game_is_ended_by_samples_like_the_data_and_not_by_those_of_an_untrained_generator(
    tmp_path,
):
    c = configs.default(dataset="points", model="gan", objective="adversarial")
    c.dataset.batch_size, c.dataset.shape, c.dataset.test_size = 100, "moons", N
    c.model.encoder_sizes = c.model.decoder_sizes = (4,)
    c.num_steps, c.log_every, c.eval_every, c.checkpoint_every = 8, 4, 4, 4
    c.ema, c.stop_when_indistinguishable, c.stop_detectable = 0.9, True, DETECTABLE

    def like_the_data(session, interrupt):
        del interrupt
        own = {"scale": 1.0, "shift": 0.0}
        take = looker(N)
        return session._replace(look=lambda found, *rest: take(found._replace(params=own), *rest))

    assert "look 1: indistinguishable" in runs.run(c, tmp_path / "stub", like_the_data)
    assert runs.saved_steps(tmp_path / "stub") == [4]
    assert runs.run(c, tmp_path / "own") == "all steps done"
    assert [step for step, word in verdicts(tmp_path / "own") if word != "indistinguishable"] == [
        4,
        8,
    ]


def test_examples_are_drawn_from_the_whole_split_with_their_classes():
    dataset = digits.make(digits.Options(batch_size=50, order="image"))
    found = Found(0, {}, {}, digest="")
    with Interrupt() as interrupt:
        where = (found, dataset, "test")
        all_N, class_N = likeness.examples(*where, 10_000, dataset.arrays, interrupt)
        few_M, class_M = likeness.examples(*where, 100, dataset.arrays, interrupt)
    place_M = [int(np.flatnonzero((all_N == one).all((1, 2, 3)))[0]) for one in few_M]
    assert len(set(place_M)) == 100
    assert sorted(place_M) == place_M
    np.testing.assert_array_equal(class_M, class_N[place_M])
    assert 0.3 < np.mean(np.asarray(place_M) < len(all_N) / 2) < 0.7
