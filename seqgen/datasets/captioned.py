"""Stored pictures with captions: what the datasets of such share."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqgen.datasets import Dataset, images, sampling, vocabulary

SHOWN = 3  # validation pictures that are described when none is given
# beyond every batch number: the epochs' orders are folded from the same key
MOVES = 2**32 - 1


def stored(
    name: str,
    pictures: dict[str, np.ndarray],
    captions: dict[str, list[list[str]]],
    words: dict[str, Any],
    *,
    batch_size: int,
    references: int,
    flip: bool,
    shift: int | None,
) -> Dataset:
    """A Dataset of the pictures of each split and their captions, padded to the split's longest.

    Each picture is stored once. In training an example is one caption and its picture, mirrored or
    not where `flip`, and moved by up to `shift` pixels in either direction; in the evaluated splits
    it is a picture with all its captions.

    Args:
      pictures: split -> uint8 [N, H, W, C].
      captions: split -> for each picture its captions, ready to be split into words; in the
        evaluated splits so many as there are `references`.
      words: the vocabulary of the captions.
    """
    encode_caption, size = vocabulary.encoder(words), vocabulary.size(words)
    arrays = {}
    for split, of_pictures in captions.items():
        tokens = [np.append(encode_caption(c), 0) for own in of_pictures for c in own]
        targets = sampling.padded(tokens, max(map(len, tokens)), size)
        owner = np.repeat(np.arange(len(of_pictures), dtype=np.int32), list(map(len, of_pictures)))
        if split != "train":
            owner = np.arange(len(of_pictures), dtype=np.int32)
            if references > 1:
                targets = targets.reshape(len(owner), references, -1)
        arrays[split] = {"picture": owner, "targets": targets}
    shape = next(iter(pictures.values())).shape[1:]
    spec = {
        "dataset": name,
        "streamed": False,
        "inputs": {"kind": "image", "shape": list(shape)},
        "targets": {
            "kind": "category",
            "size": size,
            "per": "answer",
            "length": max(fields["targets"].shape[-1] for fields in arrays.values()),
            **({"references": references} if references > 1 else {}),
            **vocabulary.unknown(words),
        },
        "unit": "word",
        "target_vocabulary": words,
        "start": images.packed(pictures["valid"][:SHOWN]),
    }
    examples = sampling.stored(spec, arrays, batch_size, dict)

    def batch(arrays, split, index, key):
        drawn = examples.batch(arrays["examples"], split, index, key)
        stored_BHWC = jnp.take(arrays["pictures"][split], drawn.pop("picture"), axis=0)
        if key is not None:
            key = jax.random.fold_in(jax.random.fold_in(key, MOVES), index)
            stored_BHWC = moved(key, stored_BHWC, flip, shift)
        return drawn | {"inputs": images.scaled(stored_BHWC)}

    everything = {split: arrays[split] | {"pictures": pictures[split]} for split in arrays}
    return examples._replace(
        fingerprint=sampling.digest(spec | {"flip": flip, "shift": shift}, everything),
        arrays={"examples": arrays, "pictures": pictures},
        batch=batch,
    )


def moved(key: jax.Array, x_BHWC: jax.Array, flip: bool, shift: int | None) -> jax.Array:
    """Each picture mirrored or not, and moved by up to `shift` pixels, its border repeated."""
    key_flip, key_shift = jax.random.split(key)
    if flip:
        flip_B = jax.random.bernoulli(key_flip, 0.5, x_BHWC.shape[:1])
        x_BHWC = jnp.where(flip_B[:, None, None, None], x_BHWC[:, :, ::-1], x_BHWC)
    if shift is not None:
        begin_B2 = jax.random.randint(key_shift, (len(x_BHWC), 2), 0, 2 * shift + 1)
        wide_BHWC = jnp.pad(x_BHWC, ((0, 0), (shift, shift), (shift, shift), (0, 0)), "edge")
        cut = partial(jax.lax.dynamic_slice, slice_sizes=x_BHWC.shape[1:])
        x_BHWC = jax.vmap(lambda x, b: cut(x, (b[0], b[1], 0)))(wide_BHWC, begin_B2)
    return x_BHWC


def encode(spec: dict[str, Any], raw: str) -> np.ndarray:
    """float32 [H, W, C] of the image file of that name. Raises UsageError where it is none."""
    return images.scaled(images.read(Path(raw), spec["inputs"]["shape"]))
