"""Text as a stream of characters or words, for language models.

The training text is cut into as many rows as a batch has; batch i is the next `length` tokens of
every row, and a row's recurrent state goes on from batch to batch (truncated backpropagation
through time). Evaluation cuts each split into a fixed number of streams, so that no number depends
on the batch size, and scores every token but a split's first exactly once.
"""

import dataclasses
import math
import pydoc_data.topics
import re
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqgen.datasets import SPLITS, Dataset, files, sampling
from seqgen.errors import UsageError, not_among, out_of_range

UNITS = ("character", "word")
LAYOUTS = ("ptb.{}.txt", "{}.txt", "wiki.{}.tokens")  # Penn Treebank, anybody's, WikiText
END, UNKNOWN = "<eos>", "<unk>"  # as Penn Treebank writes them


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 32
    length: int = 64  # tokens of a row in one batch
    unit: str = "character"  # or word
    path: str | None = None  # UTF-8 file, or folder with a file per split; None: Python's own help
    source: str | None = None  # where `path` is to be had, for whoever lacks it
    shares: tuple[float, ...] = (0.9, 0.05, 0.05)  # of one file, by position; a last 0: no test
    random_offset: bool = True  # training epochs start at another token, so blocks border elsewhere
    restart: float | None = 0.05  # share of rows that start anew with each batch, to learn to begin
    carry: bool = True  # training rows go on from batch to batch; False: each batch starts anew
    eval_carry: bool = True  # the same for evaluation; False: blocks of `length` scored alone
    eval_streams: int = 32  # rows of an evaluation batch

    def problems(self) -> Iterator[str]:
        yield from out_of_range(
            self,
            "dataset.",
            batch_size="[1, inf)",
            length="[1, inf)",
            eval_streams="[1, inf)",
            restart="[0, 1)",
        )
        yield from not_among(self, "dataset.", unit=UNITS)
        if len(self.shares) != 3 or min(self.shares) < 0 or not math.isclose(sum(self.shares), 1):
            yield f"dataset.shares must be three shares that add up to 1, not {self.shares}"
        elif min(self.shares[:2]) == 0:
            yield f"dataset.shares must leave text for train and valid, not {self.shares}"


def make(options: Options) -> Dataset:
    """inputs [T]: tokens; targets [T]: the tokens that follow them.

    Characters: the vocabulary is every character of all splits. Words: it is the words of the
    training split, with "<eos>" for each line's end and "<unk>" for every other word. Raises
    UsageError for text that is missing, empty, not UTF-8, or too short for its rows.
    """
    sampling.check(options)
    texts, name = _read(options)
    if options.unit == "character":
        vocabulary = sorted(set().union(*texts.values()))
    else:
        counts = Counter(texts["train"])
        counts.update({END: 0, UNKNOWN: 0})  # in the vocabulary, also where the text has none
        vocabulary = sorted(counts, key=lambda word: (-counts[word], word))
    spec = {
        "dataset": "text",
        "length": options.length,
        "streamed": True,
        "inputs": {"kind": "token", "size": len(vocabulary)},
        "targets": {"kind": "category", "size": len(vocabulary), "per": "step"},
        "unit": options.unit,
        "vocabulary": vocabulary,
        "start": "\n" if options.unit == "word" or "\n" in vocabulary else texts["train"][0],
    }
    smallest = np.min_scalar_type(len(vocabulary) - 1)
    arrays = {split: _numbers(spec, units).astype(smallest) for split, units in texts.items()}
    sizes = {split: len(tokens) for split, tokens in arrays.items()}
    _check_sizes(options, name, sizes)
    fingerprint = sampling.digest(
        {"unit": options.unit, "vocabulary": vocabulary},
        {split: {"tokens": tokens} for split, tokens in arrays.items()},
    )
    batches = {split: _eval_batches(options, size) for split, size in sizes.items()}

    def batch(arrays, split, index, key):
        if key is None:
            return _eval_batch(options, arrays[split], index)
        return _train_batch(options, arrays[split], index, key)

    return Dataset(spec, fingerprint, arrays, batches, batch)


def encode(spec: dict[str, Any], raw: str) -> np.ndarray:
    """int32 tokens [T] of a text. Words outside the vocabulary become "<unk>".

    Raises UsageError for a character outside the vocabulary, which no other could stand for.
    """
    return _numbers(spec, _units(raw, spec["unit"])).astype(np.int32)


def decode(spec: dict[str, Any], array: np.ndarray) -> str:
    """The text of tokens [T]: `encode`'s inverse, for words up to the spaces between them."""
    units = [spec["vocabulary"][token] for token in np.asarray(array)]
    if spec["unit"] == "character":
        return "".join(units)
    return re.sub(f" ?{END} ?", "\n", " ".join(units))


def _units(text: str, unit: str) -> str | list[str]:
    return text if unit == "character" else text.replace("\n", f" {END} ").split()


def _numbers(spec: dict[str, Any], units: str | list[str]) -> np.ndarray:
    """The places of characters or words in the vocabulary."""
    vocabulary = spec["vocabulary"]
    if spec["unit"] == "word":
        number = {word: i for i, word in enumerate(vocabulary)}
        places = (number.get(word, number[UNKNOWN]) for word in units)
        return np.fromiter(places, np.int32, len(units))
    # one look-up for the whole text: character by character takes eight times as long
    place = np.full(sys.maxunicode + 1, -1, np.int32)
    place[_code_points("".join(vocabulary))] = np.arange(len(vocabulary))
    numbers = place[_code_points(units)]
    missing = np.flatnonzero(numbers < 0)
    if missing.size:
        shown = "".join(vocabulary[:100])
        raise UsageError(
            f"the character {units[missing[0]]!r} is not among the {len(vocabulary)} of the data: "
            f"{shown!r}{'' if len(vocabulary) <= 100 else ' and more'}"
        )
    return numbers


def _code_points(text: str) -> np.ndarray:
    """uint32 [T]. Lone surrogates, which a shell may hand over, are code points like the others."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _read(options: Options) -> tuple[dict[str, str | list[str]], str]:
    """(split -> characters or words, what to call their source)."""
    if options.path is None:
        topics = pydoc_data.topics.topics
        return _cut(options, "\n".join(topics[name] for name in sorted(topics))), "Python's help"
    path = sampling.located(options.path, options.source)
    if path.is_file():
        return _cut(options, files.text(path)), str(path)
    layout = next((names for names in LAYOUTS if (path / names.format("train")).is_file()), None)
    if layout is None:
        have = ", ".join(names.format("train") for names in LAYOUTS)
        problem = "has no training text" if path.is_dir() else "does not exist"
        raise UsageError(
            f"dataset.path={path} {problem}{sampling.from_source(options.source)}: name a UTF-8 "
            f"file, or a folder with one of {have}"
        )
    named = {split: path / layout.format(split) for split in SPLITS}
    if not named["test"].exists():
        del named["test"]
    texts = {split: _units(files.text(file), options.unit) for split, file in named.items()}
    return texts, str(path)


def _cut(options: Options, text: str) -> dict[str, str | list[str]]:
    """One text's splits by position; the first two take whole tokens, the last takes the rest."""
    units = _units(text, options.unit)
    train_share, _, test_share = options.shares
    begin = int(len(units) * train_share)
    end = len(units) - int(len(units) * test_share)
    splits = {"train": units[:begin], "valid": units[begin:end], "test": units[end:]}
    return splits if test_share > 0 else {split: splits[split] for split in ("train", "valid")}


def _check_sizes(options: Options, name: str, sizes: dict[str, int]) -> None:
    for split, size in sizes.items():
        if size - 1 < options.eval_streams:
            raise UsageError(
                f"the {split} split of {name} has {size} tokens, too few for "
                f"dataset.eval_streams={options.eval_streams}"
            )
    if _train_batches(options, sizes["train"]) < 1:
        raise UsageError(
            f"the train split of {name} has {sizes['train']} tokens, too few for one batch of "
            f"dataset.batch_size={options.batch_size} rows of dataset.length={options.length}"
        )


def _train_batches(options: Options, size: int) -> int:
    """Batches of a training epoch; with a random offset, room is left for `length` of them."""
    room = options.length - 1 if options.random_offset else 0
    return (size - 1 - room) // (options.batch_size * options.length)


def _eval_batches(options: Options, size: int) -> int:
    stream = -(-(size - 1) // options.eval_streams)
    return sampling.num_batches(stream, options.length)


def _train_batch(
    options: Options, tokens_N: jax.Array, index: jax.Array, key: jax.Array
) -> dict[str, jax.Array]:
    """Batch `index` of an endless run. An epoch leaves out less than one batch and one block."""
    size = tokens_N.shape[0]
    batches = _train_batches(options, size)
    epoch, number = index // batches, index % batches
    row_length = batches * options.length
    key_offset, key_restart = jax.random.split(jax.random.fold_in(key, epoch))
    begin = 0
    if options.random_offset:
        spare = size - 1 - options.batch_size * row_length
        begin = jax.random.randint(key_offset, (), 0, spare + 1, jnp.int32)
    row_B = jnp.arange(options.batch_size)
    begin_B = begin + row_B * row_length + number * options.length
    place_BT = begin_B[:, None] + jnp.arange(options.length)[None]
    starts_B = jnp.broadcast_to((number == 0) | (not options.carry), row_B.shape)
    if options.restart is not None:
        key_batch = jax.random.fold_in(key_restart, number)
        starts_B |= jax.random.uniform(key_batch, row_B.shape, jnp.float32) < options.restart
    return {
        "inputs": jnp.take(tokens_N, place_BT).astype(jnp.int32),
        "targets": jnp.take(tokens_N, place_BT + 1).astype(jnp.int32),
        "reset_B": starts_B,
        "index_B": (row_B * batches + number).astype(jnp.int32),
        "weight_B": jnp.ones(options.batch_size, jnp.float32),
    }


def _eval_batch(options: Options, tokens_N: jax.Array, index: jax.Array) -> dict[str, jax.Array]:
    """Batch `index` of one pass. Streams are equally long, but the last ones may end early."""
    last = tokens_N.shape[0] - 1
    stream = -(-last // options.eval_streams)
    row_B = jnp.arange(options.eval_streams)
    step_T = index * options.length + jnp.arange(options.length)
    place_BT = (row_B * stream)[:, None] + step_T[None]
    counts_BT = (step_T < stream)[None] & (place_BT < last)
    starts = (index == 0) | (not options.eval_carry)
    return {
        "inputs": jnp.take(tokens_N, jnp.minimum(place_BT, last)).astype(jnp.int32),
        "targets": jnp.take(tokens_N, jnp.minimum(place_BT + 1, last)).astype(jnp.int32),
        "mask_BT": counts_BT.astype(jnp.float32),
        "reset_B": jnp.broadcast_to(starts, row_B.shape),
        "index_B": (row_B * _eval_batches(options, last + 1) + index).astype(jnp.int32),
        "weight_B": counts_BT.any(axis=1).astype(jnp.float32),
    }
