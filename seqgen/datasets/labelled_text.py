"""Texts with a label each, from the files that people have them in.

`read` knows the Stanford Sentiment Treebank's and IMDB's folders, and tables: CSV, TSV or JSON
lines, gzipped or not. The dataset `sentiment` makes tokens of what it returns.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seqgen.datasets import files, sampling
from seqgen.errors import UsageError, unknown

SST_CLASSES = {
    "binary": ("negative", "positive"),
    "fine": ("very negative", "negative", "neutral", "positive", "very positive"),
}
SST_SPLITS = {"train": "train", "valid": "dev", "test": "test"}
IMDB_CLASSES = {"neg": "negative", "pos": "positive"}  # folder -> name
SEPARATORS = {"csv": ",", "tsv": "\t"}
TABLES = (*SEPARATORS, "jsonl")
ENDINGS = ("", ".gz")
SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can spell it, and no file can hold it
TABLE_ENDINGS = tuple(kind + ending for kind in TABLES for ending in ENDINGS)


class Row(NamedTuple):
    """A text, its label, and where it stands, for a sentence about it."""

    text: str
    label: str
    place: str


Splits = dict[str, list[Row]]


def read(
    path: Path,
    labels: str,
    columns: tuple[str, str],
    shares: tuple[float, ...],
    source: str | None,
) -> tuple[Splits, list[str]]:
    """(split -> rows, names of the classes) of a file, or of a folder in one of the layouts.

    Args:
      path: of a table, or of a folder with `stsa.{labels}.{train,dev,test}`, or with
        `{train,test}/{pos,neg}/*.txt`, or with a table for each split.
      labels: which of the treebank's files: binary or fine.
      columns: names of a table's columns: of the text, and of the label.
      shares: of train, valid and test, where the data do not come in splits.
      source: where the data are to be had, for whoever lacks them.

    Rows are shuffled, always in the same way, before any are taken from them for another split. The
    classes of a table are the labels that it, or the one for training, has. Raises UsageError, with
    file and line, for what is missing or malformed.
    """
    classes = None
    if path.is_file():
        found = {"train": _table(path, columns)}
    elif _found(path, f"stsa.{labels}.train", ENDINGS):
        found, classes = _treebank(path, labels), list(SST_CLASSES[labels])
    elif (path / "train" / "pos").is_dir():
        found = {split: _reviews(path / split) for split in ("train", "test")}
        classes = list(IMDB_CLASSES.values())
    elif _found(path, "train.", TABLE_ENDINGS):
        found = _tables(path, columns)
    else:
        raise _no_layout(path, labels, source)
    if classes is None:
        classes = sorted({row.label for row in found["train"]})
    splits = cut(found, shares)
    _check(path, splits, classes)
    return splits, classes


def _no_layout(path: Path, labels: str, source: str | None) -> UsageError:
    problem = "has no labelled training texts" if path.is_dir() else "does not exist"
    return UsageError(
        f"dataset.path={path} {problem}{sampling.from_source(source)}: name a table (.csv, .tsv or "
        f".jsonl), or a folder with stsa.{labels}.train, with train/pos and train/neg, or with "
        "train.csv, train.tsv or train.jsonl"
    )


def _found(folder: Path, name: str, endings: Iterable[str]) -> Path | None:
    return next((f for e in endings if (f := folder / f"{name}{e}").is_file()), None)


def _check(path: Path, splits: Splits, classes: list[str]) -> None:
    """Raises UsageError for a split, a text or a class that can't be used."""
    for split, rows in splits.items():
        if not rows:
            raise UsageError(f"{path} leaves no rows for the split {split}")
        for row in rows:
            if not row.text.strip():
                raise UsageError(f"{row.place} has an empty text")
            if not row.label.strip():
                raise UsageError(f"{row.place} has an empty label")
            if row.label not in classes:
                raise unknown(f"label in {row.place}:", row.label, classes)
    if len(classes) < 2:
        raise UsageError(f"{path} has the one label {classes[0]!r}: there is nothing to tell apart")


def _treebank(folder: Path, labels: str) -> Splits:
    """Lines `number text`; the phrases that the treebank also labels are not among them."""
    classes, splits = SST_CLASSES[labels], {}
    for split, name in SST_SPLITS.items():
        file = _found(folder, f"stsa.{labels}.{name}", ENDINGS)
        if file is None:
            raise UsageError(f"{folder} has no stsa.{labels}.{name}, beside its training file")
        splits[split] = []
        for place, line in files.lines(file):
            number, space, text = line.partition(" ")
            if not space or number not in map(str, range(len(classes))):
                raise UsageError(
                    f"{place} is {line[:40]!r}, not a label from 0 to {len(classes) - 1}, a space "
                    "and a text"
                )
            splits[split].append(Row(text, classes[int(number)], place))
    return splits


def _reviews(folder: Path) -> list[Row]:
    """One text a file. A line break is written `<br />` there, which is no word."""
    rows = []
    for name, label in IMDB_CLASSES.items():
        found = sorted((folder / name).glob("*.txt"))
        if not found:
            raise UsageError(f"{folder / name} has no texts: IMDB's are files *.txt there")
        rows += [Row(files.text(f).replace("<br />", " "), label, f"{f} line 1") for f in found]
    return rows


def _tables(folder: Path, columns: tuple[str, str]) -> Splits:
    """The tables of a folder; validation may be called dev, and all but training may be missing."""
    names = {"train": ("train",), "valid": ("valid", "dev"), "test": ("test",)}
    splits = {}
    for split, known in names.items():
        found = (_found(folder, f"{name}.", TABLE_ENDINGS) for name in known)
        if file := next(filter(None, found), None):
            splits[split] = _table(file, columns)
    return splits


def _table(file: Path, columns: tuple[str, str]) -> list[Row]:
    kind = file.name.removesuffix(".gz").rpartition(".")[2]
    if kind not in TABLES:
        raise UsageError(f"{file} is no table: those end in {', '.join(TABLES)}, with .gz or not")
    named_rows = _json_rows if kind == "jsonl" else partial(_separated_rows, SEPARATORS[kind])
    rows = []
    for place, fields in named_rows(file, columns):
        text, label = (fields[column] for column in columns)
        whole = isinstance(label, int) and not isinstance(label, bool)
        if not isinstance(text, str) or not (isinstance(label, str) or whole):
            raise UsageError(
                f"{place} has {text!r:.40} as its text and {label!r:.40} as its label: a text and "
                "a text or whole number are needed"
            )
        if half := SURROGATE.search(f"{text} {label}"):
            raise UsageError(f"{place} has {half[0]!r}, one half of a character without the other")
        rows.append(Row(text, str(label), place))
    if not rows:
        raise UsageError(f"{file} has no rows")
    return rows


def _json_rows(file: Path, columns: tuple[str, str]) -> Iterator[tuple[str, dict]]:
    for place, line in files.lines(file):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # the latter for thousands of brackets
            raise UsageError(f"{place} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise UsageError(f"{place} is no JSON object with named fields")
        _check_columns(place, row, columns)
        yield place, row


def _separated_rows(
    separator: str, file: Path, columns: tuple[str, str]
) -> Iterator[tuple[str, dict]]:
    """Rows named by the first one. Quotes are characters like others where tabs separate."""
    quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    # a row may have line breaks within quotes, so that the reader alone knows where one ends
    stream = io.StringIO(files.text(file), newline="")
    reader = csv.reader(stream, delimiter=separator, quoting=quoting, strict=True)
    header = None
    try:
        for fields in filter(None, reader):
            place = f"{file} line {reader.line_num}"
            if header is None:
                _check_columns(place, fields, columns)
                header = fields
            elif len(fields) != len(header):
                raise UsageError(f"{place} has {len(fields)} fields, the header {len(header)}")
            else:
                yield place, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise UsageError(f"{file} line {reader.line_num} is malformed: {error}") from error


def _check_columns(place: str, names: Iterable[str], columns: tuple[str, str]) -> None:
    for column in columns:
        if column not in names:
            raise unknown(f"column in {place}:", column, names)


def bad_shares(shares: tuple[float, ...]) -> Iterator[str]:
    """Sentences for a dataset's `shares` of train, valid and test."""
    if len(shares) != 3 or min(shares) < 0 or not math.isclose(sum(shares), 1):
        yield f"dataset.shares must be three shares that add up to 1, not {shares}"
    elif min(shares[:2]) == 0:
        yield f"dataset.shares must leave texts for train and valid, not {shares}"


def cut(splits: dict[str, list[Any]], shares: tuple[float, ...]) -> dict[str, list[Any]]:
    """Without a validation split, the training rows give up some for it, and for a test split
    where that is missing too."""
    if "valid" in splits:
        return splits
    train_share, valid_share, test_share = shares
    if "test" in splits:
        test_share = 0.0
    rows = splits["train"]
    # RandomState's numbers never change (NEP 19), those of default_rng may
    order = np.random.RandomState(0).permutation(len(rows))
    total = train_share + valid_share + test_share
    begin = round(len(rows) * train_share / total)
    end = round(len(rows) * (train_share + valid_share) / total)
    cut = {"train": order[:begin], "valid": order[begin:end], "test": order[end:]}
    if test_share == 0:
        del cut["test"]
    return splits | {split: [rows[i] for i in places] for split, places in cut.items()}
