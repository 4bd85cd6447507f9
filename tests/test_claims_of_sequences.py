"""Claims about sequences and games, decided by planted numbers; and what they measure of a run."""

from pathlib import Path

import numpy as np
import pytest

from seqgen import evidence, frames, study
from seqgen.claims import INCONCLUSIVE, REFUTED, SUPPORTED

FOLDER = Path(__file__).parent.parent / "experiments/claims"
NORM, LEFT = "log10 of the gradient's norm", "share of the variance left"
ACCURACY = "accuracy"


def by(number, **values):
    """What a run has of a number, by the first part of its key."""
    return lambda key: {number: values[key[0].replace(" ", "_").replace(",", "")]}


def exploding(steep, rescues):
    def row(key):
        name, size = key[:2]
        if name == "weights times":
            return {NORM: steep * size}
        return {"success": float(size == 20 or (name == "clipped") == rescues)}

    return row


def normalising(plain, better):
    def row(key):
        if key[1] == "begun":
            return {NORM: plain if key[0] == "plain" else 0.0}
        return {ACCURACY: 0.3 + better * (key[0] == "normalised")}

    return row


def around(recognised):
    scales, names = (0.5, 1, 2, 4), ("recognised", "near the training set", "distance")
    values = dict(zip(names, (recognised, 0.01, 0.9), strict=True))
    made = {f"{name}, scale {scale:g}": values[name] for name in names for scale in scales}
    return lambda key: made if key[0] == "vae" else {ACCURACY: 0.98}


def copied(loss):
    steps = (50, 100, 200, 400, 800, 1600, 2000)
    taught = {f"log10 of the training loss, step {n}": -2.0 for n in steps}
    return lambda key: taught | {"loss in nats": loss}


def remembering(tenth):
    """Half of the seeds without an error, and another tenth or not."""
    lengths = (200, 500, 1000)
    return lambda key: {
        f"accuracy at {n} steps": 1.0 if key[-1] < 16 + 4 * tenth else 0.9999 for n in lengths
    }


def parity(lstm):
    return lambda key: {
        "accuracy up to 40 bits": 1.0,
        "accuracy up to 500 bits": lstm if key[0] == "lstm" else 0.5,
    }


def learnt(longer):
    """The identity's limits, of which some are none."""
    values = {"150 steps": 0.01, "300 steps": 0.02} | longer
    return lambda key: {LEFT: values.get(key[0], 0.9)}


def clipped(halving):
    values = {"halving_not_clipped": 0.25, "halving_clipped": halving, "larger_clipped": 0.95}
    return by(ACCURACY, **values)


def reaching(**rates):
    return by("rate, nats a step", **rates)


def vanishing(straight):
    names = "rate minus the bound's", "share that a straight line explains"
    found = dict(zip(names, (-0.1, straight), strict=True))
    return lambda key: found | {"halvings over the sequence": 30.0}


def augmented(better):
    names = ("n real", "n real, n generated", "n generated", "2n real")
    return lambda key: dict(zip(names, (0.9, 0.9 + better, 0.8, 0.95), strict=True))


def biased(rare):
    """A GAN that makes a share of the rarest group, and a VAE that makes all of it."""
    ratio = lambda key: rare if key[:2] == ("gan", 0.01) else 1.2  # noqa: E731
    return lambda key: {"generated ÷ real share": ratio(key)}


def detected(*right):
    numbers = ("as they are", "with noise", "resampled", "of another generator")
    return lambda key: dict(zip(numbers, right, strict=True))


def few_real(worse):
    """What 64 real digits cost."""
    changes = {"gap": 0.1, "coverage": -0.1, "accuracy of telling": 0.1, "abruptness": 0.1}
    few = lambda key: worse * (key[:2] == ("digits", 64))  # noqa: E731
    return lambda key: {number: 0.7 + few(key) * by for number, by in changes.items()}


def sampled(plain):
    accuracy = lambda key: plain if key[0] == "autoencoder" else 0.8  # noqa: E731
    return lambda key: {"accuracy of telling": accuracy(key), "share lost": 0.1}


def rising(by_the_last):
    """A probability that is higher in the end than at first, and falls from its peak, or not."""
    found = {"D(real), part 1": 0.5, "last tenth minus first": 0.2}
    found |= {"rank correlation with time": 0.9, "last tenth minus the largest before": by_the_last}
    return lambda key: found


PLANTED = {
    "augment": (augmented(0.02), augmented(-0.02)),
    "bias": (biased(0.5), biased(1.5)),
    "detect": (detected(0.7, 0.6, 0.6, 0.6), detected(0.7, 0.6, 0.4, 0.6)),
    "sample_size": (few_real(1), few_real(-1)),
    "sampling": (sampled(0.9), sampled(0.7)),
    "vanishing": (vanishing(0.99), vanishing(0.5)),
    "activations": (
        reaching(sigmoid=-1.4, tanh=-0.2, relu=-0.1),
        reaching(sigmoid=-1.4, tanh=-0.2, relu=-0.4),
    ),
    "half_life": (
        reaching(rnn=-0.2, forget_bias_0=-0.1, forget_bias_1=-0.03, forget_bias_5=0.0, chrono=0.01),
        reaching(rnn=-0.2, forget_bias_0=-0.1, forget_bias_1=-0.05, forget_bias_5=0.0, chrono=0.01),
    ),
    "recurrence": (
        by(ACCURACY, RNN=1.0, last_input=0.25, bag=0.75),
        by(ACCURACY, RNN=1.0, last_input=0.9, bag=0.75),
    ),
    "exploding": (exploding(2.0, rescues=True), exploding(0.1, rescues=True)),
    "clipping_limits": (clipped(0.25), clipped(0.9)),
    "identity": (learnt({}), learnt({"400 steps": 0.01})),
    "gates": (by(LEFT, LSTM=0.01, RNN=0.99), by(LEFT, LSTM=0.01, RNN=0.02)),
    "normalising": (normalising(3.0, better=0.2), normalising(0.0, better=0.2)),
    "around": (around(0.95), around(0.5)),
    "drift": (
        lambda key: {"rank correlation": -0.9, "distance, part 1": 1.0, "accuracy of telling": 0.5},
        lambda key: {"rank correlation": -0.9, "distance, part 1": 1.0, "accuracy of telling": 0.9},
    ),
    "probability": (
        rising(0.1),
        rising(-0.1),
    ),
    "temporal_order_length": (remembering(1), None),
    "adding_600": (lambda key: {"squared error": 3e-5}, lambda key: {"squared error": 0.16}),
    "copying_1000": (copied(1e-4), copied(0.02)),
    "mnist1d": (lambda key: {ACCURACY: 0.93}, lambda key: {ACCURACY: 0.89}),
    "parity_length": (parity(1.0), parity(0.7)),
}


def verdict(name, row, noise=0.0):
    """The word for planted rows, seeds moved up and down in turn, each number in its own way."""
    claim, rows = study.load(FOLDER, name), {}
    kinds = list(dict.fromkeys(key[:-1] for key in claim.runs))
    for key in claim.runs:
        moved = noise * (1 + kinds.index(key[:-1])) * (-1) ** key[-1]
        numbers = enumerate(row(key).items(), start=1)
        rows[key] = {number: value + moved * n for n, (number, value) in numbers}
    finding = claim.conclude(rows)
    assert finding.picture[1:4] == b"PNG"
    words = [study.judged(c, f) for c, f in zip(claim.checks, finding.statistics, strict=True)]
    return study.together(words)


@pytest.mark.parametrize("name", PLANTED)
def test_planted_numbers_decide(name):
    supporting, refuting = PLANTED[name]
    assert verdict(name, supporting) == SUPPORTED
    if refuting is not None:
        assert verdict(name, refuting) == REFUTED
        # what differs from seed to seed much more than what is claimed decides nothing
        assert verdict(name, supporting, noise=100.0) == INCONCLUSIVE


def test_what_a_few_real_digits_may_have_done_by_chance_is_not_detected():
    assert verdict("detect", detected(0.7, 0.6, 0.52, 0.6)) == INCONCLUSIVE


def test_sixteen_seeds_of_twenty_are_too_few_to_decide():
    assert verdict("temporal_order_length", remembering(0)) == INCONCLUSIVE
    none = lambda key: {f"accuracy at {n} steps": 0.99 for n in (200, 500, 1000)}  # noqa: E731
    assert verdict("temporal_order_length", none) == REFUTED


def measured(monkeypatch, name, key, numbers=None, **parts):
    """What a claim measures of a run whose evidence is made up."""
    for function, made_up in parts.items():
        monkeypatch.setattr(evidence, function, made_up)
    monkeypatch.setattr(evidence, "measured", lambda one: numbers)
    return study.load(FOLDER, name).measure(key, {key: None})


def test_success_is_less_than_one_error_in_a_hundred(monkeypatch):
    for accuracy, success in ((0.991, 1.0), (0.989, 0.0)):
        found = measured(monkeypatch, "exploding", ("clipped", 20, 0), {ACCURACY: accuracy})
        assert found == {"success": success}
    norms = {"history": lambda one, number: {2: 5.0, 1: 1000.0}}
    found = measured(monkeypatch, "exploding", ("weights times", 2.0, 0), **norms)
    assert found == {NORM: pytest.approx(3)}


def test_an_error_counts_as_a_share_of_the_variance_and_at_most_all_of_it(monkeypatch):
    for error, left in ((1 / 60, 0.1), (1e30, 1.0), (np.nan, 1.0)):
        for claim, key in (("gates", ("RNN", 0)), ("identity", ("10 × rate", 0))):
            found = measured(monkeypatch, claim, key, {"squared_error": error})
            assert found == {LEFT: pytest.approx(left)}


def test_fakes_that_come_nearer_are_seen_to(monkeypatch):
    real_N2 = np.eye(2)
    moments = [
        frames.Moment(step, np.full((3, 2), 2.0 - step / 10), None, None, 0.5, 0.5)
        for step in range(11)
    ]
    film = {"film": lambda one: (real_N2, moments)}
    found = measured(monkeypatch, "drift", ("game", 0), {"classifier_accuracy": 0.5}, **film)
    assert found["rank correlation"] == pytest.approx(-1)
    assert found["distance, part 1"] == pytest.approx((np.sqrt(5) + np.hypot(0.9, 1.9)) / 2)
    film = {"film": lambda one: (real_N2, [m._replace(step=-m.step) for m in moments])}
    found = measured(monkeypatch, "drift", ("game", 0), {"classifier_accuracy": 0.5}, **film)
    assert found["rank correlation"] == pytest.approx(1)


def test_a_probability_that_rises_is_told_from_one_that_settles(monkeypatch):
    for rises in (True, False):
        d_real = {step: 0.5 + 0.4 * (step if rises else np.exp(-step)) / 100 for step in range(100)}
        parts = {"history": lambda one, number: d_real}  # noqa: B023
        found = measured(monkeypatch, "probability", ("game", 0), **parts)
        assert (found["last tenth minus first"] > 0) == rises
        assert (found["rank correlation with time"] > 0.9) == rises
        assert (found["last tenth minus the largest before"] > 0) == rises
    assert found["last tenth minus 1/2"] == pytest.approx(0, abs=1e-6)
