"""Sentences and their translations: two text files for each split, line n of one being that of the
other, as Multi30k (Elliott et al. 2016) has them.
"""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from seqgen.datasets import Dataset, files, pairs, sampling, vocabulary
from seqgen.datasets.pairs import decode  # noqa: F401  (the dataset's own)
from seqgen.errors import UsageError, out_of_range

SOURCE = "https://github.com/multi30k/dataset"
# what a split's files are called before ".LANGUAGE" or ".LANGUAGE.gz"; a test split may be missing
NAMES = {
    "train": ("train",),
    "valid": ("val", "valid", "dev"),
    "test": ("test", "test_2016_flickr"),
}
SHOWN = 3  # sentences that are translated when none is given


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 128
    buckets: int | None = None  # batches of like length, in so many shapes at most
    path: str = "$SEQGEN_DATA/multi30k"  # folder of the files
    from_language: str = "de"  # the ending of the files to be translated
    to_language: str = "en"  # the ending of their translations
    lowercase: bool = True
    unit: str = "word"  # a run of letters and digits, or one other sign; or character, or subword
    min_count: int = 2  # rarer units of the training sentences are "<unk>"
    vocabulary_size: int | None = None  # tokens at most on either side; subwords need it
    max_length: int | None = 40  # training pairs with more units on either side are left out

    def problems(self) -> Iterator[str]:
        yield from out_of_range(
            self, "dataset.", batch_size="[1, inf)", buckets="[1, inf)", max_length="[1, inf)"
        )
        yield from vocabulary.problems(self, (pairs.END, vocabulary.UNKNOWN))


def make(options: Options) -> Dataset:
    """inputs [S]: tokens of a sentence; answers: its translation.

    Evaluation leaves no sentence out. Raises UsageError for files that are missing, unreadable or
    of different length, and for empty lines.
    """
    sampling.check(options)
    folder = sampling.located(options.path, SOURCE)
    splits = {}
    for split, names in NAMES.items():
        found = _found(folder, split, options)
        if found is None and split != "test":
            wanted = " or ".join(f"{name}.{options.from_language}[.gz]" for name in names)
            raise UsageError(
                f"no {wanted} in {folder}: those of Multi30k are to be had from {SOURCE}"
            )
        if found is not None:
            splits[split] = _pairs(folder, found, options)
    words = pairs.learnt(splits["train"], options.unit, options.min_count, options.vocabulary_size)
    if options.max_length is not None:
        encoders = [vocabulary.encoder(v) for v in words]
        splits["train"] = [
            pair
            for pair in splits["train"]
            if all(len(e(t)) <= options.max_length for e, t in zip(encoders, pair, strict=True))
        ]
        if not splits["train"]:
            raise UsageError(f"no training pair is within dataset.max_length={options.max_length}")
    start = "\n".join(source for source, _ in splits["valid"][:SHOWN])
    dataset = pairs.stored("translation", splits, words, options, start)
    return dataset._replace(spec=dataset.spec | {"lowercase": options.lowercase})


def encode(spec: dict[str, Any], raw: str) -> np.ndarray:
    """int32 tokens [S] of a sentence."""
    return pairs.encode(spec, units(spec, raw))


def units(spec: dict[str, Any], text: str) -> str:
    """A sentence with spaces between the units that data of that spec are made of."""
    return prepared(text, spec["unit"], spec["lowercase"])


def prepared(text: str, unit: str, lowercase: bool) -> str:
    """A sentence whose units are told apart: words and signs with spaces between them."""
    text = text.lower() if lowercase else text
    return " ".join(re.findall(r"\w+|[^\w\s]", text)) if unit == "word" else text


def references(options: Options, split: str) -> list[tuple[str, ...]]:
    """The translations of a split as they stand in their file: one for each sentence."""
    folder = sampling.located(options.path, SOURCE)
    file = files.found(folder, f"{_found(folder, split, options)}.{options.to_language}")
    return [(line.strip(),) for _, line in files.lines(file)]


def natural(spec: dict[str, Any], text: str) -> str:
    """A decoded answer as one writes it: `prepared` taken back, but for letters made small."""
    if spec["unit"] != "word":
        return text
    text = re.sub(r" ([.,!?;:%)\]}])", r"\1", text)
    text = re.sub(r"([(\[{$#]) ", r"\1", text)
    text = re.sub(r"(\w) (['’]) (s|t|re|ve|ll|d|m)\b", r"\1\2\3", text)
    text = re.sub(r"s (['’]) ", r"s\1 ", text)
    text = re.sub(r"(\w) ([-/]) (?=\w)", r"\1\2", text)
    return re.sub(r'" ([^"]*) "', r'"\1"', text)


def _found(folder: Path, split: str, options: Options) -> str | None:
    """What the split's files are called before the language."""
    names = (n for n in NAMES[split] if files.found(folder, f"{n}.{options.from_language}"))
    return next(names, None)


def _pairs(folder: Path, name: str, options: Options) -> pairs.Pairs:
    sides, read = [], []
    for language in (options.from_language, options.to_language):
        file = files.found(folder, f"{name}.{language}")
        if file is None:
            raise UsageError(f"no {name}.{language}[.gz] in {folder}, beside the other language's")
        sides.append([])
        for place, line in files.lines(file):
            if not line.strip():
                raise UsageError(f"{place} is empty")
            sides[-1].append(prepared(line, options.unit, options.lowercase))
        read.append(f"{file} has {len(sides[-1])} lines")
    if len(sides[0]) != len(sides[1]):
        raise UsageError(", but ".join(read))
    return list(zip(*sides, strict=True))
