"""Where a model with attention looked while it wrote: pictures beside the answers of `generate`."""

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from seqgen import config as configs
from seqgen import pictures
from seqgen.datasets import vocabulary
from seqgen.run import Found, Run

SHOWN = 3  # answers in a picture at most
ATTENTION = "-attention"  # ends the names of the pictures


class Answered(NamedTuple):
    """An input and its answer."""

    read: np.ndarray  # tokens [S], or a picture [H, W, C]
    written: np.ndarray  # tokens [T], with its end


def can_show(run: Run) -> bool:
    """Whether the model attends to what it reads."""
    model = run.config.model
    attends = "attention" in model and model.attention is not None
    return attends and not ("blind" in model and model.blind)


def weights(run: Run, found: Found, pairs: list[Answered]) -> list[np.ndarray]:
    """The attention weights of each answer: [T, S] of tokens, [T, h, w] of places in a picture."""
    of_pictures = run.spec["inputs"]["kind"] == "image"
    reads, targets = [pair.read for pair in pairs], padded([pair.written for pair in pairs])[0]
    inputs, lengths = (np.stack(reads), None) if of_pictures else padded(reads)
    align = jax.jit(partial(configs.model(run.config, run.spec).apply, method="alignment"))
    weights_NTX = np.asarray(align({"params": found.params["model"]}, inputs, lengths, targets))
    return [
        weights_TX[: len(pair.written)]
        if of_pictures
        else weights_TX[: len(pair.written), : len(pair.read)]
        for weights_TX, pair in zip(weights_NTX, pairs, strict=True)
    ]


def picture(run: Run, found: Found, pairs: list[Answered], title: str) -> bytes:
    """A PNG of the weights of each answer, with what was written and what was read."""
    shown, spec = [], run.spec
    for weights_TX, pair in zip(weights(run, found, pairs), pairs, strict=True):
        written = tokens(spec["target_vocabulary"], pair.written)
        if spec["inputs"]["kind"] == "image":
            shown.append(pictures.Looks(weights_TX, written, pair.read))
        else:
            read = tokens(spec["vocabulary"], pair.read)
            shown.append(pictures.Alignment(weights_TX, written, read))
    draw = pictures.looks if spec["inputs"]["kind"] == "image" else pictures.attention
    return draw(shown, title)


def tokens(words: dict[str, Any], ids: np.ndarray) -> list[str]:
    """Each token by itself."""
    return [vocabulary.decode(words, ids[i : i + 1]) for i in range(len(ids))]


def padded(rows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens [N, longest], zeros past each end, and how many are real [N]."""
    lengths_N = np.asarray([len(row) for row in rows], np.int32)
    wide = [np.pad(row, (0, lengths_N.max() - len(row))) for row in rows]
    return np.stack(wide).astype(np.int32), lengths_N
