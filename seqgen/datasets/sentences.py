"""Sentences, one a line of a text file; without a file, those of a small grammar of English.

What a model of whole sentences learns from: each ends with a token of its own.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from seqgen.datasets import Dataset, files, labelled_text, sampling, translation, vocabulary
from seqgen.datasets.pairs import END
from seqgen.errors import UsageError, out_of_range

# ("yesterday", subject, verb in the past, object, place): a verb's time is that of the sentence,
# which begins by saying it, and its subject may stand several words before it
VERBS = {
    "watch": ("watched", "watches"),
    "follow": ("followed", "follows"),
    "draw": ("drew", "draws"),
    "find": ("found", "finds"),
    "feed": ("fed", "feeds"),
    "call": ("called", "calls"),
    "carry": ("carried", "carries"),
    "forget": ("forgot", "forgets"),
}
TIMES = {"yesterday": "past", "today": "present", "tomorrow": "future"}
PEOPLE = ("farmer", "teacher", "sailor", "girl", "boy", "doctor", "painter", "king")
ANIMALS = ("dog", "cat", "horse", "bird", "cow", "goat", "duck", "rabbit")
ADJECTIVES = (None, "old", "young", "small", "tall", "quiet", "happy", "tired")
COLOURS = (None, "white", "black", "brown", "grey", "red")
PLACES = (
    *(None, "in the garden", "near the river", "behind the house", "on the hill"),
    *("at the market", "under the bridge", "by the sea"),
)


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 64
    path: str | None = None  # text file, a sentence a line, gzipped or not; None: the grammar
    size: int = 10_000  # sentences of the grammar
    shares: tuple[float, ...] = (0.8, 0.1, 0.1)  # train, valid, test; a last 0: no test
    lowercase: bool = True
    unit: str = "word"  # a run of letters and digits, or one other sign; or character, or subword
    min_count: int = 1  # rarer units of the training sentences are "<unk>"
    vocabulary_size: int | None = None  # tokens at most, the most frequent; subwords need it
    max_length: int = 40  # sentences of more tokens are left out

    def problems(self) -> Iterator[str]:
        yield from out_of_range(
            self, "dataset.", batch_size="[1, inf)", size="[10, inf)", max_length="[1, inf)"
        )
        yield from vocabulary.problems(self, (END, vocabulary.UNKNOWN))
        yield from labelled_text.bad_shares(self.shares)


def make(options: Options) -> Dataset:
    """inputs [T]: tokens of a sentence and then 0, its end, which `length_B` counts; the target is
    always 0.

    A sentence that comes several times is one, so that none is in two splits. Raises UsageError for
    a file that is missing or leaves a split without sentences.
    """
    sampling.check(options)
    texts = grammar(options.size) if options.path is None else _lines(options)
    splits = labelled_text.cut({"train": list(dict.fromkeys(texts))}, options.shares)
    words = vocabulary.build(
        splits["train"],
        options.unit,
        (END, vocabulary.UNKNOWN),
        options.min_count,
        options.vocabulary_size,
    )
    size, encode_one = vocabulary.size(words), vocabulary.encoder(words)
    tokens = {split: [np.append(encode_one(t), 0) for t in splits[split]] for split in splits}
    kept = {split: [r for r in tokens[split] if len(r) <= options.max_length] for split in tokens}
    for split, rows in kept.items():
        if not rows:
            raise UsageError(
                f"{options.path or 'the grammar'} leaves no sentences of at most "
                f"dataset.max_length={options.max_length} tokens for the split {split}"
            )
    length = max(len(row) for rows in kept.values() for row in rows)
    spec = {
        "dataset": "sentences",
        "length": length,
        "streamed": False,
        "inputs": {"kind": "token", "size": size, "end": 0, **vocabulary.unknown(words)},
        "targets": {"kind": "category", "size": 1, "per": "sequence"},
        "classes": ["sentences"],
        "unit": options.unit,
        "vocabulary": words,
        "lowercase": options.lowercase,
        "left_out": sum(map(len, tokens.values())) - sum(map(len, kept.values())),
    }
    arrays = {
        split: {
            "inputs": sampling.padded(rows, length, size),
            "length_B": np.asarray([len(row) for row in rows], np.int32),
            "targets": np.zeros(len(rows), np.int32),
        }
        for split, rows in kept.items()
    }
    return sampling.stored(spec, arrays, options.batch_size, read=dict)


def encode(spec: dict[str, Any], raw: str) -> np.ndarray:
    """int32 tokens [L] of a sentence and its end."""
    text = translation.prepared(raw, spec["unit"], spec["lowercase"])
    return np.append(vocabulary.encode(spec["vocabulary"], text), np.int32(0))


def decode(spec: dict[str, Any], array: np.ndarray) -> str:
    """The text of tokens [T], up to the end."""
    tokens = np.asarray(array)
    ends = np.flatnonzero(tokens == 0)
    return vocabulary.decode(spec["vocabulary"], tokens[: ends[0]] if ends.size else tokens)


def _lines(options: Options) -> Iterator[str]:
    """A file's, but for empty ones, ready to be split into units."""
    for _, line in files.lines(sampling.located(options.path, None)):
        if line.strip():
            yield translation.prepared(line.strip(), options.unit, options.lowercase)


def grammar(size: int) -> list[str]:
    """So many sentences, each part of them drawn alike often and apart from the others."""
    random = np.random.RandomState(0)  # its numbers never change (NEP 19)

    def one(choices):
        return choices[random.randint(len(choices))]

    sentences = []
    for _ in range(size):
        time, many, verb = one(list(TIMES)), one((False, True)), one(list(VERBS))
        subject = _noun(
            one(("the", "some") if many else ("the", "this")), one(ADJECTIVES), one(PEOPLE), many
        )
        several = one((False, True))
        thing = _noun(
            one(("two", "three")) if several else "the", one(COLOURS), one(ANIMALS), several
        )
        words = (time, subject, inflected(verb, TIMES[time], many), thing, one(PLACES), ".")
        sentences.append(" ".join(word for word in words if word))
    return sentences


def inflected(verb: str, tense: str, many: bool) -> str:
    """A verb of the third person, of one or of many."""
    past, of_one = VERBS[verb]
    return {"past": past, "present": verb if many else of_one, "future": f"will {verb}"}[tense]


def _noun(article: str, adjective: str | None, noun: str, many: bool) -> str:
    return " ".join(w for w in (article, adjective, f"{noun}s" if many else noun) if w)
