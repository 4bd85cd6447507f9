"""Texts and what they are: sentiment, topic, language, anything that a label says of a whole text.

`labelled_text.py` says which files are read: the Stanford Sentiment Treebank's, IMDB's, or a table.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from seqgen.datasets import Dataset, buckets, labelled_text, sampling, vocabulary
from seqgen.errors import not_among, out_of_range

SPECIALS = (vocabulary.UNKNOWN,)


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 64
    buckets: int | None = None  # batches of like length, in so many shapes at most
    path: str = "$SEQGEN_DATA/sst"  # folder or table, see labelled_text.py
    source: str | None = None  # where `path` is to be had, for whoever lacks it
    labels: str = "binary"  # of the Stanford Sentiment Treebank: binary, or fine for five classes
    text_column: str = "text"  # of a table
    label_column: str = "label"  # of a table
    shares: tuple[float, ...] = (0.8, 0.1, 0.1)  # of data without splits; a last 0: no test
    lowercase: bool = True
    unit: str = "word"  # what stands between spaces; or character, or subword
    min_count: int = 1  # rarer units of the training texts are "<unk>"
    vocabulary_size: int | None = None  # tokens at most, the most frequent; subwords need it
    max_length: int = 64  # tokens of a text; of a longer one the rest is cut off, unread

    def problems(self) -> Iterator[str]:
        yield from out_of_range(
            self, "dataset.", batch_size="[1, inf)", buckets="[1, inf)", max_length="[1, inf)"
        )
        yield from not_among(self, "dataset.", labels=labelled_text.SST_CLASSES)
        yield from vocabulary.problems(self, SPECIALS)
        yield from labelled_text.bad_shares(self.shares)


def make(options: Options) -> Dataset:
    """inputs [L]: tokens of a text; target: its class.

    The vocabulary is that of the training texts. No row is in two splits, but the data may have the
    same text twice: `repeated` in the spec counts the rows of valid and test whose text the
    training split has too. Raises UsageError for files that are missing or malformed.
    """
    sampling.check(options)
    rows, classes = labelled_text.read(
        sampling.located(options.path, options.source),
        options.labels,
        (options.text_column, options.label_column),
        options.shares,
        options.source,
    )
    texts = {split: [_cased(options.lowercase, row.text) for row in rows[split]] for split in rows}
    words = vocabulary.build(
        texts["train"], options.unit, SPECIALS, options.min_count, options.vocabulary_size
    )
    encode_one, longest = vocabulary.encoder(words), options.max_length
    tokens = {split: [encode_one(text)[:longest] for text in texts[split]] for split in texts}
    length = max(len(row) for split in tokens for row in tokens[split])
    spec = {
        "dataset": "sentiment",
        "length": length,
        "streamed": False,
        "inputs": {"kind": "token", "size": vocabulary.size(words)},
        "targets": {"kind": "category", "size": len(classes), "per": "sequence"},
        "unit": options.unit,
        "vocabulary": words,
        "lowercase": options.lowercase,
        "classes": classes,
        "repeated": _repeated(texts),
    }
    number = {name: place for place, name in enumerate(classes)}
    arrays = {
        split: {
            "inputs": sampling.padded(tokens[split], length, spec["inputs"]["size"]),
            "length_B": np.array([len(row) for row in tokens[split]], np.int32),
            "targets": np.array([number[row.label] for row in rows[split]], np.int32),
        }
        for split in rows
    }
    if options.buckets is None:
        return sampling.stored(spec, arrays, options.batch_size, read=dict)
    lengths = {split: {"inputs": fields["length_B"]} for split, fields in arrays.items()}
    return buckets.stored(spec, arrays, lengths, options.batch_size, options.buckets)


def encode(spec: dict[str, Any], raw: str) -> np.ndarray:
    """int32 tokens [L] of a text, no more than a row of the data has."""
    return vocabulary.encode(spec["vocabulary"], _cased(spec["lowercase"], raw))[: spec["length"]]


def decode(spec: dict[str, Any], array: np.ndarray) -> str:
    """The text of tokens [L], as far as its letters' case and its spaces were kept."""
    return vocabulary.decode(spec["vocabulary"], array)


def _cased(lowercase: bool, text: str) -> str:
    return text.lower() if lowercase else text


def _repeated(texts: dict[str, list[str]]) -> dict[str, int]:
    seen = set(texts["train"])
    return {
        split: sum(text in seen for text in texts[split]) for split in texts if split != "train"
    }
