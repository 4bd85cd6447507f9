"""Metrics of whole answers against plain Python counts and an independent BLEU."""

import collections
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen.evaluate import means
from seqgen.metrics import answers, texts


def words(row):
    row = row.tolist()
    return row[: row.index(0)] if 0 in row else row


def drawn(seed, rows=20, length=12, size=5):
    """Answers and targets that share n-grams, with ends anywhere and noise past them."""
    random = np.random.RandomState(seed)
    target = random.randint(1, size, (rows, length))
    answer = np.where(
        random.rand(rows, length) < 0.8, target, random.randint(1, size, target.shape)
    )
    for array in (answer, target):
        array[np.arange(rows), random.randint(3, length, rows)] = 0
    return jnp.asarray(answer), jnp.asarray(target)


def plain_bleu(pairs):
    found, total = collections.Counter(), collections.Counter()
    own = other = 0
    for answer, target in pairs:
        own, other = own + len(answer), other + len(target)
        for n in answers.ORDERS:
            grams = [
                collections.Counter(tuple(x[i : i + n]) for i in range(len(x) - n + 1))
                for x in (answer, target)
            ]
            found[n] += sum((grams[0] & grams[1]).values())
            total[n] += sum(grams[0].values())
    logs = sum(math.log(found[n] / total[n]) for n in answers.ORDERS) / 4
    return 100 * math.exp(min(0, 1 - other / own) + logs)


@pytest.mark.parametrize("seed", range(3))
def test_bleu_is_the_plain_count_over_the_corpus_however_it_is_batched(seed):
    answer, target = drawn(seed)
    expected = plain_bleu([(words(a), words(t)) for a, t in zip(answer, target, strict=True)])
    for parts in (1, 4):
        pieces = [
            jax.jit(answers.measured, static_argnums=2)(a, t, "word")
            for a, t in zip(jnp.split(answer, parts), jnp.split(target, parts), strict=True)
        ]
        assert answers.finalize(means(pieces))["bleu"] == pytest.approx(expected, rel=1e-5)


def test_bleu_of_the_target_itself_is_100_and_of_strangers_0():
    _, target = drawn(0)
    same = answers.finalize(means([answers.measured(target, target, "word")]))
    assert same["bleu"] == pytest.approx(100)
    assert same["exact_match"] == 1
    other = jnp.where(target == 0, 0, target + 10)
    assert answers.finalize(means([answers.measured(other, target, "word")]))["bleu"] == 0


def test_answers_too_short_for_four_words_have_no_bleu():
    short = jnp.asarray([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    assert answers.finalize(means([answers.measured(short, short, "word")]))["bleu"] == 0


def test_exact_match_looks_up_to_the_end_and_no_further():
    target = jnp.asarray([[3, 1, 0, 0], [3, 1, 0, 0], [3, 1, 0, 0], [3, 1, 2, 4]])
    answer = jnp.asarray([[3, 1, 0, 9], [3, 1, 1, 0], [3, 0, 0, 0], [3, 1, 2, 4]])
    np.testing.assert_array_equal(answers.exact_match(answer, target), [1, 0, 0, 1])


def test_characters_have_no_bleu():
    answer, target = drawn(0)
    assert set(answers.measured(answer, target, "character")) == {"exact_match"}
    assert set(answers.reported("character")) == {"exact_match"}
    assert set(answers.reported("word")) == {"exact_match", "bleu"}


@pytest.mark.parametrize("seed", range(3))
def test_bleu_is_sacrebleus_where_the_tokens_are_the_same(seed):
    answer, target = drawn(seed)
    lines = [[" ".join(f"w{t}" for t in words(row)) for row in rows] for rows in (answer, target)]
    expected, signature = texts.bleu(
        lines[0], [(line,) for line in lines[1]], lowercase=False, tokenised=True
    )
    ours = answers.finalize(means([answers.measured(answer, target, "word")]))["bleu"]
    assert ours == pytest.approx(expected, rel=1e-5)
    assert "tok:none" in signature


def test_several_references_are_all_held_against_a_text():
    said, references = ["the cat sat on the mat"], [("a dog ran", "the cat sat on the mat")]
    for score, signature in (
        texts.bleu(said, references, lowercase=True),
        texts.chrf(said, references, lowercase=True),
    ):
        assert score == pytest.approx(100)
        assert "nrefs:2" in signature
