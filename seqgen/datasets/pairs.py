"""Stored pairs of an input and its answer, both tokens: what the datasets with answers share."""

from typing import Any

import numpy as np

from seqgen.datasets import Dataset, buckets, sampling, vocabulary

END = "<end>"  # token 0 of the answers: ends one, and begins the writing of one
Pairs = list[tuple[str, str]]  # (input, answer), ready to be split into units
Vocabularies = tuple[dict[str, Any], dict[str, Any]]  # of the inputs and of the answers


def closed(splits: dict[str, Pairs], unit: str) -> Vocabularies:
    """All units of all splits: for languages that have no other."""
    every = [pair for pairs in splits.values() for pair in pairs]
    asked, answers = ({pair[side] for pair in every} for side in (0, 1))
    return (
        vocabulary.build(asked, unit, (), 1, None),
        vocabulary.build(answers, unit, (END,), 1, None),
    )


def learnt(train: Pairs, unit: str, min_count: int, size: int | None) -> Vocabularies:
    """The units of the training pairs, and "<unk>" for all others; see `vocabulary.build`."""
    asked, answers = ([pair[side] for pair in train] for side in (0, 1))
    unknown = vocabulary.UNKNOWN
    return (
        vocabulary.build(asked, unit, (unknown,), min_count, size),
        vocabulary.build(answers, unit, (END, unknown), min_count, size),
    )


def stored(
    name: str, splits: dict[str, Pairs], words: Vocabularies, options: Any, start: str
) -> Dataset:
    """A Dataset of the pairs of each split, padded to the longest of that split or of its bucket.

    `options` have a `batch_size` and `buckets`, the shapes of batches at most, None for one.
    `start` is the input, or several in a line each, that is answered when none is given.
    """
    sizes = [vocabulary.size(v) for v in words]
    encode_input, encode_answer = (vocabulary.encoder(v) for v in words)
    arrays, lengths = {}, {}
    for split, pairs in splits.items():
        inputs = [encode_input(source) for source, _ in pairs]
        answers = [np.append(encode_answer(answer), 0) for _, answer in pairs]
        arrays[split] = {
            "inputs": sampling.padded(inputs, max(map(len, inputs)), sizes[0]),
            "length_B": np.asarray([len(row) for row in inputs], np.int32),
            "targets": sampling.padded(answers, max(map(len, answers)), sizes[1]),
        }
        lengths[split] = {
            name: np.asarray([len(row) for row in rows])
            for name, rows in (("inputs", inputs), ("targets", answers))
        }
    longest = {
        name: max(fields[name].shape[1] for fields in arrays.values())
        for name in ("inputs", "targets")
    }
    spec = {
        "dataset": name,
        "length": longest["inputs"],
        "streamed": False,
        "inputs": {"kind": "token", "size": sizes[0]},
        "targets": {
            "kind": "category",
            "size": sizes[1],
            "per": "answer",
            "length": longest["targets"],
            **vocabulary.unknown(words[1]),
        },
        "unit": words[1]["unit"],
        "vocabulary": words[0],
        "target_vocabulary": words[1],
        "start": start,
    }
    if options.buckets is None:
        return sampling.stored(spec, arrays, options.batch_size, dict)
    return buckets.stored(spec, arrays, lengths, options.batch_size, options.buckets)


def encode(spec: dict[str, Any], raw: str) -> np.ndarray:
    """int32 tokens [S] of an input. Raises UsageError for a unit that the vocabulary lacks."""
    return vocabulary.encode(spec["vocabulary"], raw)


def decode(spec: dict[str, Any], array: np.ndarray) -> str:
    """The text of an answer's tokens [T], up to its end."""
    tokens = np.asarray(array)
    ends = np.flatnonzero(tokens == 0)
    return vocabulary.decode(spec["target_vocabulary"], tokens[: ends[0]] if ends.size else tokens)
