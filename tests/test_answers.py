"""Metrics of whole answers against plain Python counts and an independent BLEU."""

import collections
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen.metrics import answers, means, texts

WORDS = {"unit": "word", "targets": {}}


@jax.jit
def measured(answer_BT, target_BKR):
    return answers.measured(answer_BT, target_BKR, WORDS)


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


def grams(row, n):
    return collections.Counter(tuple(row[i : i + n]) for i in range(len(row) - n + 1))


def plain_bleu(pairs, highest=4):
    """Of (answer, its references) in lists of words."""
    found, total = collections.Counter(), collections.Counter()
    own = other = 0
    for answer, references in pairs:
        own += len(answer)
        other += min((abs(len(r) - len(answer)), len(r)) for r in references)[1]
        for n in range(1, highest + 1):
            most = collections.Counter()
            for reference in references:
                most |= grams(reference, n)
            found[n] += sum((grams(answer, n) & most).values())
            total[n] += sum(grams(answer, n).values())
    logs = sum(math.log(found[n] / total[n]) for n in range(1, highest + 1)) / highest
    return 100 * math.exp(min(0, 1 - other / own) + logs)


@pytest.mark.parametrize("seed", range(3))
def test_bleu_is_the_plain_count_over_the_corpus_however_it_is_batched(seed):
    answer, target = drawn(seed)
    expected = plain_bleu([(words(a), [words(t)]) for a, t in zip(answer, target, strict=True)])
    for parts in (1, 4):
        pieces = [
            measured(a, t[:, None])
            for a, t in zip(jnp.split(answer, parts), jnp.split(target, parts), strict=True)
        ]
        assert answers.finalize(means(pieces), 1)["bleu"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_bleu_against_several_references_is_the_plain_count(seed):
    answer, first = drawn(seed)
    references = jnp.stack([first, *(drawn(seed + k)[1] for k in (10, 20, 30))], axis=1)
    lists = [(words(a), [words(r) for r in own]) for a, own in zip(answer, references, strict=True)]
    numbers = answers.finalize(means([measured(answer, references)]), 4)
    for name, highest in {"bleu_1": 1, "bleu_2": 2, "bleu_3": 3, "bleu": 4}.items():
        assert numbers[name] == pytest.approx(plain_bleu(lists, highest), rel=1e-5)
    # a reference more can only find more n-grams
    alone = answers.bleu_counts(answer, first[:, None])
    assert np.all(answers.bleu_counts(answer, references)["grams_1"][0] >= alone["grams_1"][0])


def test_the_nearest_length_counts_and_of_two_the_shorter():
    answer = jnp.asarray([[1, 2, 3, 0, 0, 0], [1, 2, 3, 0, 0, 0]])
    references = jnp.asarray(
        [[[1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]], [[1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0]]]
    )
    own, nearest = jax.jit(answers.bleu_counts)(answer, references)["grams_length"]
    np.testing.assert_array_equal(own, [3, 3])
    np.testing.assert_array_equal(nearest, [2, 4])


def test_to_answer_unknown_is_never_right():
    target = jnp.asarray([[3, 1, 4, 5, 0], [3, 2, 4, 5, 0]])
    spec = WORDS | {"targets": {"unknown": 1}}
    counts = jax.jit(lambda answer: answers.measured(answer, target[:, None], spec))(target)
    np.testing.assert_array_equal(counts["exact_match"][0], [0, 1])
    np.testing.assert_array_equal(counts["grams_1"][0], [3, 4])
    np.testing.assert_array_equal(counts["grams_1"][1], [4, 4])
    np.testing.assert_array_equal(measured(target, target[:, None])["grams_1"][0], [4, 4])


def test_bleu_of_the_target_itself_is_100_and_of_strangers_0():
    _, target = drawn(0)
    same = answers.finalize(means([measured(target, target[:, None])]), 1)
    assert same["bleu"] == pytest.approx(100)
    assert same["exact_match"] == 1
    other = jnp.where(target == 0, 0, target + 10)
    assert answers.finalize(means([measured(other, target[:, None])]), 1)["bleu"] == 0


def test_answers_too_short_for_four_words_have_no_bleu():
    short = jnp.asarray([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    assert answers.finalize(means([measured(short, short[:, None])]), 1)["bleu"] == 0


def test_exact_match_looks_up_to_the_end_and_no_further():
    target = jnp.asarray([[3, 1, 0, 0], [3, 1, 0, 0], [3, 1, 0, 0], [3, 1, 2, 4]])
    answer = jnp.asarray([[3, 1, 0, 9], [3, 1, 1, 0], [3, 0, 0, 0], [3, 1, 2, 4]])
    np.testing.assert_array_equal(answers.exact_match(answer, target[:, None]), [1, 0, 0, 1])


def test_characters_have_no_bleu_and_captions_have_four():
    answer, target = drawn(0)
    characters = {"unit": "character", "targets": {}}
    assert set(answers.measured(answer, target[:, None], characters)) == {"exact_match"}
    assert set(answers.reported(characters)) == {"exact_match"}
    assert set(answers.reported(WORDS)) == {"exact_match", "bleu"}
    several = answers.reported(WORDS | {"targets": {"references": 5}})
    assert set(several) == {"exact_match", "bleu", "bleu_1", "bleu_2", "bleu_3"}


@pytest.mark.parametrize("seed", range(3))
def test_bleu_is_sacrebleus_where_the_tokens_are_the_same(seed):
    answer, target = drawn(seed)
    lines = [[" ".join(f"w{t}" for t in words(row)) for row in rows] for rows in (answer, target)]
    expected, signature = texts.bleu(
        lines[0], [(line,) for line in lines[1]], lowercase=False, tokenised=True
    )
    found = means([measured(answer, target[:, None])])
    assert answers.finalize(found, 1)["bleu"] == pytest.approx(expected, rel=1e-5)
    assert "tok:none" in signature


def test_several_references_are_all_held_against_a_text():
    said, references = ["the cat sat on the mat"], [("a dog ran", "the cat sat on the mat")]
    for score, signature in (
        texts.bleu(said, references, lowercase=True),
        texts.chrf(said, references, lowercase=True),
    ):
        assert score == pytest.approx(100)
        assert "nrefs:2" in signature
