"""How text becomes token ids and back: by characters, words or subwords.

A vocabulary is JSON, so that it can stand in a dataset's spec. Its `specials` take the first ids,
in the order of the caller, who alone knows what they mean, but for "<unk>": that stands for what
the vocabulary lacks. Text never becomes another special, not even text that spells one.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from seqgen.errors import UsageError, not_among, out_of_range, require

UNITS = ("character", "word", "subword")
UNKNOWN = "<unk>"
BYTES = 256  # a subword vocabulary begins with every byte, so that it can spell anything


def problems(options: Any, specials: tuple[str, ...]) -> Iterator[str]:
    """Sentences for a dataset's `unit`, `min_count` and `vocabulary_size`."""
    yield from not_among(options, "dataset.", unit=UNITS)
    yield from out_of_range(options, "dataset.", min_count="[1, inf)")
    least = len(specials) + (BYTES if options.unit == "subword" else 1)
    yield from out_of_range(options, "dataset.", vocabulary_size=f"[{least}, inf)")
    if options.unit == "subword" and options.vocabulary_size is None:
        yield "dataset.unit=subword needs a number as dataset.vocabulary_size"


def build(
    texts: Iterable[str], unit: str, specials: tuple[str, ...], min_count: int, size: int | None
) -> dict[str, Any]:
    """The vocabulary of some texts.

    Args:
      texts: what it is learnt from: the training split alone.
      unit: character; word, which is whatever stands between spaces; or subword, byte-pair encoding
        (Sennrich, Haddow and Birch 2016) of bytes, whose spaces belong to the words they precede.
      specials: the tokens that take the first ids.
      min_count: units that occur less often are left out; for subwords, pairs are not joined.
      size: ids at most, the most frequent being kept; None is no limit, which subwords need.

    Returns:
      JSON: `unit`, `specials`, and `tokens`, which take the ids that follow, or for subwords
      `tokenizer`, the JSON text of the library tokenizers.
    """
    vocabulary = {"unit": unit, "specials": list(specials)}
    if unit == "subword":
        return vocabulary | {"tokenizer": _trained(texts, specials, min_count, size)}
    counts = Counter()
    for text in texts:
        counts.update(_units(text, unit))
    kept = [token for token in counts if counts[token] >= min_count and token not in specials]
    kept.sort(key=lambda token: (-counts[token], token))
    return vocabulary | {"tokens": kept if size is None else kept[: size - len(specials)]}


def unknown(vocabulary: dict[str, Any]) -> dict[str, int]:
    """What the targets' spec says of the token for units that are "unknown", if there is one."""
    specials = vocabulary["specials"]
    return {"unknown": specials.index(UNKNOWN)} if UNKNOWN in specials else {}


def size(vocabulary: dict[str, Any]) -> int:
    """The number of ids."""
    if vocabulary["unit"] == "subword":
        return _tokenizer(vocabulary).get_vocab_size()
    return len(vocabulary["specials"]) + len(vocabulary["tokens"])


def encode(vocabulary: dict[str, Any], text: str) -> np.ndarray:
    """int32 ids [T] of one text; see `encoder`."""
    return encoder(vocabulary)(text)


def encoder(vocabulary: dict[str, Any]) -> Callable[[str], np.ndarray]:
    """Looks up once what many texts need: text -> int32 ids [T].

    It raises UsageError for a character or word that is not in the vocabulary, where that has no
    "<unk>".
    """
    if vocabulary["unit"] == "subword":
        tokenizer = _tokenizer(vocabulary)
        return lambda text: np.array(tokenizer.encode(text).ids, np.int32)
    unit, specials, tokens = (vocabulary[name] for name in ("unit", "specials", "tokens"))
    number = {token: i for i, token in enumerate(tokens, len(specials))}
    unknown = specials.index(UNKNOWN) if UNKNOWN in specials else None

    def ids_of(text: str) -> np.ndarray:
        units = _units(text, unit)
        ids = [number.get(token, unknown) for token in units]
        if None in ids:
            missing = units[ids.index(None)]
            raise UsageError(f"the {unit} {missing!r} is not in the vocabulary of the data")
        return np.array(ids, np.int32)

    return ids_of


def decode(vocabulary: dict[str, Any], ids: np.ndarray) -> str:
    """The text of ids [T], specials spelled out: `encode`'s inverse, for words up to the spaces."""
    if vocabulary["unit"] == "subword":
        return _tokenizer(vocabulary).decode(np.asarray(ids).tolist(), skip_special_tokens=False)
    tokens = vocabulary["specials"] + vocabulary["tokens"]
    space = " " if vocabulary["unit"] == "word" else ""
    return space.join(tokens[number] for number in np.asarray(ids))


def _units(text: str, unit: str) -> str | list[str]:
    return text if unit == "character" else text.split()


def _trained(
    texts: Iterable[str], specials: tuple[str, ...], min_count: int, size: int | None
) -> str:
    """The JSON text of a byte-pair encoding."""
    tokenizers = require("tokenizers", "data")
    byte_level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = byte_level
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=min_count,
        special_tokens=list(specials),
        initial_alphabet=byte_level.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.to_str()


def _tokenizer(vocabulary: dict[str, Any]) -> Any:
    tokenizer = require("tokenizers", "data").Tokenizer.from_str(vocabulary["tokenizer"])
    tokenizer.encode_special_tokens = True  # text that spells a special is text
    return tokenizer
