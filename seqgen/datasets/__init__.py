"""What supplies examples, one file each: `Options` and `make(options) -> Dataset`.

Every batch is a pure function of its number, so the position in the data needs no checkpoint.

Beside these a file may have `encode(spec, raw)` and `decode(spec, array)`, between what people
write and tokens, and, if its answers are natural language: `references(options, split)`, for each
example the texts that an answer is held against, untouched and as many for each; `natural(spec,
text)`, a decoded answer as one writes it; `units(spec, text)`, a text with spaces between its
units. `evaluate.py` scores such answers by sacreBLEU. One of pictures that may also be read as
sequences has `arranged(options, pictures)`: pictures, in any library's arrays, as inputs of such
options; so a classifier of sequences reads generated pictures.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

SPLITS = ("train", "valid", "test")


def one_shape(split: str, index: int, training: bool) -> tuple[int, ...]:
    """The `shape` of a Dataset whose batches are all alike."""
    del split, index, training
    return ()


class Dataset(NamedTuple):
    """Examples as a function of a batch number.

    spec: JSON, enough to build a model and to encode and decode without the data:
        {"dataset": name, "length": T at most, "streamed": bool,
        "inputs": {"kind": "token" | "real", "size": V or E} or, without "length" beside it since
        they have no steps, {"kind": "image", "shape": [H, W, C]} or {"kind": "vector", "size": E},
        "targets": {"kind": "category" | "real" | "binary", "size": C or F,
        "per": "step" | "sequence" | "answer"}}, binary ones being F answers of yes or no for each
        step, and where they exist "vocabulary", "classes" (names), "unit" of a text's tokens
        ("character" | "word" | "subword") and "start" (what generation begins with when nothing is
        given). Sentences name the token of the inputs that is their "end", which `length_B`
        counts, and the one for what is "unknown". An answer is a sequence of tokens of its own, as
        in translation: token 0 ends it and begins its writing, its targets have a "length" at most,
        and there is a "target_vocabulary".
        Where evaluated inputs have more than one answer to be compared with, targets have the
        number of "references"; where a token stands for all rare words and must not count as a
        right one, they name it as "unknown". The "start" of pictures is a list of them, see
        `images.packed`. Vectors have, of each feature, the "mean" and the "scale" that turn them
        back into the data's own units (x * scale + mean); draws from a mixture of Gaussians with
        equal weights have its "modes": {"centres": [[x, y], …], "sigma": s}, in the inputs' units.
        Where train and valid lack a class that test has, its number is "held_out".
    fingerprint: sha256 of the data, or of a generator's version and options.
    arrays: what lives on the device; handed to `batch`, so that no program holds it as a constant.
    num_batches: batches of one evaluation pass over each split. Not every dataset has a test split.
    batch: (arrays, split, index, key) -> batch, `split` a static string, `index` an int32 scalar.
        With a key (training) the batches of index 0, 1, 2, … are endless: generated tasks draw
        afresh, stored examples come once an epoch in an order keyed by the epoch, streamed text
        starts every epoch at another offset. With key None (evaluation) the batches 0 …
        num_batches[split] - 1 are one exact pass in a fixed order.
    shape: (split, index, training) -> the bucket of that batch: further arguments of `batch`,
        static and few, that decide its shape. A host function; () where all batches have one shape.

    A batch has:
        "inputs": int32 tokens [B, T], float32 features [B, T, E], float32 pictures
            [B, H, W, C] in [0, 1], however they are stored, or float32 vectors [B, E]
        "targets": int32 [B] or [B, T], or float32 [B, F] or, 0 and 1, [B, T, F];
            where there are K references those are int32 [B, K, T] in the evaluated splits, and one
            of them [B, T] is an example in training
        "index_B": int32 number of the example in its split
        "weight_B": float32, 0 for rows that only fill up the last batch, else 1
        "length_B": int32 real steps of each row, where lengths differ; past them tokens are 0
        "mask_BT": float32 weight of each target, where not all count
        "reset_B": bool, streamed data only: this row does not go on from the last batch's row
    """

    spec: dict[str, Any]
    fingerprint: str
    arrays: Any
    num_batches: dict[str, int]
    batch: Callable[..., dict[str, jax.Array]]
    shape: Callable[[str, int, bool], tuple[int, ...]] = one_shape
