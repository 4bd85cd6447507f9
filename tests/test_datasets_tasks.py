"""The generated tasks, held against what plain Python makes of their inputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen.datasets import adding, copying, parity, temporal_order, word_order


def sample(dataset, split="valid"):
    """All examples of the first batch of an evaluated split."""
    return jax.device_get(jax.jit(dataset.batch, static_argnums=1)({}, split, jnp.int32(0), None))


@pytest.mark.parametrize("per_half", [False, True])
def test_adding_targets_are_the_sums_of_the_marked_numbers(per_half):
    length = 9
    options = adding.Options(4000, length, marker_per_half=per_half, test_size=4000)
    batch = sample(adding.make(options))
    pairs = set()
    for sequence, target in zip(batch["inputs"].tolist(), batch["targets"].tolist(), strict=True):
        marked = [step for step, (_, mark) in enumerate(sequence) if mark == 1]
        assert len(marked) == 2 and all(mark in (0, 1) for _, mark in sequence)
        assert all(0 <= number < 1 for number, _ in sequence)
        assert target == pytest.approx([sum(sequence[step][0] for step in marked)])
        pairs.add(tuple(marked))
    anywhere = {(i, j) for i in range(length) for j in range(i + 1, length)}
    assert pairs == ({(i, j) for i, j in anywhere if i < 4 <= j} if per_half else anywhere)
    # always answering 1: the variance of a sum of two, 1/6, here with its standard error of 0.0035
    assert np.mean((batch["targets"] - 1) ** 2) == pytest.approx(1 / 6, abs=0.015)


@pytest.mark.parametrize("delay", [1, 7])
def test_copying_repeats_the_digits_after_the_delay(delay):
    batch = sample(copying.make(copying.Options(500, delay, test_size=500)))
    digits_seen = set()
    for inputs, targets in zip(batch["inputs"].tolist(), batch["targets"].tolist(), strict=True):
        digits = inputs[:10]
        digits_seen |= set(digits)
        assert inputs[10:] == [0] * (delay - 1) + [9] * 11
        assert targets == [0] * (delay + 10) + digits
    assert digits_seen == set(range(1, 9))


def test_temporal_order_has_its_symbols_in_their_tenths():
    options = temporal_order.Options(3000, length=40, min_length=10, test_size=3000)
    dataset = temporal_order.make(options)
    batch = sample(dataset)
    vocabulary, classes = dataset.spec["vocabulary"], dataset.spec["classes"]
    places, lengths = set(), set()
    for tokens, target, length in zip(
        batch["inputs"].tolist(), batch["targets"].tolist(), batch["length_B"].tolist(), strict=True
    ):
        text = "".join(vocabulary[token] for token in tokens[:length])
        first, second = (step for step, symbol in enumerate(text) if symbol in "AB")
        assert length <= 10 * first + 9 and 10 * first < 2 * length
        assert 5 * length <= 10 * second + 9 and 10 * second < 6 * length
        assert classes[target] == text[first] + text[second]
        assert not any(tokens[length:])
        places.add((length, first, second))
        lengths.add(length)
    assert lengths == set(range(10, 41))
    assert len([place for place in places if place[0] == 40]) > 9  # of 16: both places vary
    assert np.bincount(batch["targets"]).min() > 3000 / 4 - 120  # four classes, equally likely
    for symbol in range(2, 6):
        assert (batch["inputs"] == symbol).any()


def test_temporal_order_of_one_length_has_no_lengths():
    batch = sample(temporal_order.make(temporal_order.Options(4, length=10, test_size=4)))
    assert "length_B" not in batch
    assert (batch["inputs"][:, [1, 5]] < 2).all()


def test_parity_counts_ones_up_to_the_length():
    batch = sample(parity.make(parity.Options(2000, length=12, min_length=3, test_size=2000)))
    for bits, target, length in zip(
        batch["inputs"].tolist(), batch["targets"].tolist(), batch["length_B"].tolist(), strict=True
    ):
        odd = False
        for bit in bits[:length]:
            odd ^= bool(bit)
        assert target == odd
        assert not any(bits[length:])
    assert set(batch["length_B"].tolist()) == set(range(3, 13))
    assert batch["targets"].mean() == pytest.approx(0.5, abs=0.05)


def test_parity_of_one_length_has_no_lengths():
    batch = sample(parity.make(parity.Options(50, length=12, min_length=None, test_size=50)))
    assert "length_B" not in batch
    assert (batch["inputs"].sum(axis=1) % 2 == batch["targets"]).all()


def chaser(words):
    """Who chases, by plain reading; None for what is no sentence."""
    nouns = [word for word in words if word in ("fox", "hen")]
    verb = "is chased by" if "is" in words else "chases"
    before, _, after = (part.split() for part in " ".join(words).partition(verb))
    right = (
        before[0] == "the"
        and before[-1] == nouns[0]
        and after[0] == "the"
        and after.count(nouns[1]) == 1
        and set(before[1:-1] + after[1 : after.index(nouns[1])]) <= set(word_order.ADJECTIVES)
        and set(after[after.index(nouns[1]) + 1 :]) <= set(word_order.ADVERBS)
    )
    return nouns["is" in words] if right else None


def test_word_order_is_english_that_says_who_chases():
    options = word_order.Options(2000, most_words=3, test_size=2000)
    dataset = word_order.make(options)
    batch, vocabulary = sample(dataset), np.array(dataset.spec["vocabulary"])
    lengths, seen = set(), set()
    for tokens, target, length in zip(
        batch["inputs"], batch["targets"], batch["length_B"], strict=True
    ):
        words = vocabulary[tokens[:length]].tolist()
        assert chaser(words) == dataset.spec["classes"][target]
        swapped = [{"fox": "hen", "hen": "fox"}.get(word, word) for word in words]
        assert chaser(swapped) == dataset.spec["classes"][1 - target]  # the same bag, otherwise
        assert not tokens[length:].any()
        lengths.add(int(length))
        seen |= set(words)
    assert lengths == set(range(5, 17))
    assert seen == set(vocabulary)


def test_word_order_has_the_same_bags_in_both_classes():
    batch = sample(word_order.make(word_order.Options(20_000, most_words=1, test_size=20_000)))
    bags = [{}, {}]
    for tokens, target, length in zip(
        batch["inputs"].tolist(), batch["targets"].tolist(), batch["length_B"].tolist(), strict=True
    ):
        bag = tuple(sorted(tokens[:length]))
        bags[target][bag] = bags[target].get(bag, 0) + 1
    frequent = {bag for counts in bags for bag, count in counts.items() if count >= 30}
    assert len(frequent) > 20
    for bag in frequent:
        one, other = (counts.get(bag, 0) for counts in bags)
        assert abs(one - other) < 5 * np.sqrt(one + other)


def test_word_order_without_adjectives_is_the_bare_sentence():
    dataset = word_order.make(word_order.Options(50, most_words=0, test_size=50))
    batch, vocabulary = sample(dataset), dataset.spec["vocabulary"]
    texts = {
        " ".join(vocabulary[t] for t in tokens[:n])
        for tokens, n in zip(batch["inputs"].tolist(), batch["length_B"].tolist(), strict=True)
    }
    pairs = [("fox", "hen"), ("hen", "fox")]
    assert texts == {f"the {a} {v} the {b}" for a, b in pairs for v in ("chases", "is chased by")}
