"""Verdicts on generators: planted faults are named, honest samplers are left in peace."""

import numpy as np
import pytest

from seqgen.errors import UsageError
from seqgen.metrics import two_sample, verdict

N = 200


def drawn(seed):
    """Training and held-out data of four clusters, and an honest sampler's samples."""
    random = np.random.RandomState(seed)
    centres = np.asarray([[0, 0], [4, 0], [0, 4], [4, 4]])
    return [centres[random.randint(4, size=n)] + random.randn(n, 2) for n in (2 * N, N, N)]


def test_an_honest_sampler_is_indistinguishable_and_the_sentence_says_how_far():
    found = verdict.judged(*drawn(0), look=2, looks=5)
    assert found.word == verdict.ALIKE
    assert found.level == pytest.approx(0.05 / 5 / 3)
    least = two_sample.detectable(N, found.level, 0.8)
    assert found.sentence == (
        f"indistinguishable at n={N}: "
        f"a classifier right on {100 * least:.1f} % would be noticed with power 0.8"
    )


def test_planted_faults_are_named():
    train, held_out, honest = drawn(1)
    random = np.random.RandomState(2)
    faults = {
        verdict.COLLAPSED: (
            honest[honest[:, 0] < 2],
            np.zeros((N, 2)),
            train[:1].repeat(N, axis=0),
        ),
        verdict.MEMORISED: (
            train[:N],
            train[:N] + 0.01 * random.randn(N, 2),
            np.concatenate([train[: N // 2], honest[N // 2 :]]),
        ),
        verdict.TOLD_APART: (
            honest + 0.8,
            2 + 9 * random.randn(N, 2),
            np.concatenate([honest, 2 + 5 * random.randn(N, 2)]),
        ),
    }
    for word, samples in faults.items():
        for fake in samples:
            found = verdict.judged(train, held_out, fake, look=1, looks=2)
            assert found.word == word, found.sentence
            assert found.sentence.startswith(f"{word}: ")


def test_a_copier_is_named_where_data_repeat_themselves():
    train, held_out, honest = drawn(3)
    held_out[: N // 20], honest[: N // 20] = train[: N // 20], train[N // 20 : N // 10]
    assert verdict.judged(train, held_out, honest, look=1).word != verdict.MEMORISED
    found = verdict.judged(train, held_out, train[:N], look=1)
    assert found.word == verdict.MEMORISED
    assert (
        "100.0 % of n=200 samples are training examples, of held-out data 5.0 %" in found.sentence
    )


def test_a_collapse_is_seen_however_many_samples_there_are():
    train, held_out, _ = drawn(4)
    random = np.random.RandomState(5)
    kept = held_out[:20]
    few, many = (kept[random.randint(20, size=n)] + 0.15 * random.randn(n, 2) for n in (N, 5 * N))
    for samples in (few, many):
        found = verdict.judged(train, held_out, samples, look=1)
        assert found.neighbours.m == found.neighbours.n == N
        assert found.word == verdict.COLLAPSED, found.sentence


def test_honest_samplers_are_accused_no_more_often_than_alpha_over_all_looks():
    accused = 0
    for seed in range(25):
        train, held_out, _ = drawn(seed)
        accused += any(
            verdict.judged(
                train, held_out, drawn(1000 + 3 * seed + look)[2], look=look, looks=2, most=60
            ).word
            != verdict.ALIKE
            for look in (1, 2)
        )
    assert accused <= 4  # of 25 at 5 %: more with a probability below 0.01


def test_few_examples_notice_nothing_and_say_so():
    few = [samples[:12] for samples in drawn(3)]
    found = verdict.judged(*few, look=1, alpha=0.001)
    assert found.sentence == "indistinguishable at n=12: too few examples to notice anything"
    with pytest.raises(UsageError, match="at least 12 examples"):
        verdict.judged(few[0], few[1][:11], few[2], look=1)
    with pytest.raises(UsageError, match="power"):
        verdict.judged(*few, look=1, power=1.0)
