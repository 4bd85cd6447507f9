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
    """An input and its answer, as tokens."""

    read: np.ndarray  # [S]
    written: np.ndarray  # [T], with its end


def can_show(run: Run) -> bool:
    """Whether the model attends to tokens."""
    attends = "attention" in run.config.model and run.config.model.attention is not None
    return attends and run.spec["inputs"]["kind"] == "token"


def weights(run: Run, found: Found, pairs: list[Answered]) -> list[np.ndarray]:
    """The attention weights [T, S] of each answer."""
    inputs, lengths = padded([pair.read for pair in pairs])
    targets, _ = padded([pair.written for pair in pairs])
    align = jax.jit(partial(configs.model(run.config, run.spec).apply, method="alignment"))
    weights_NTS = align({"params": found.params["model"]}, inputs, lengths, targets)
    return [
        np.asarray(weights_TS[: len(pair.written), : len(pair.read)])
        for weights_TS, pair in zip(weights_NTS, pairs, strict=True)
    ]


def picture(run: Run, found: Found, pairs: list[Answered], title: str) -> bytes:
    """A PNG of the weights of each answer, the tokens beside them."""
    return pictures.attention(
        [
            pictures.Alignment(
                weights_TS,
                tokens(run.spec["target_vocabulary"], pair.written),
                tokens(run.spec["vocabulary"], pair.read),
            )
            for weights_TS, pair in zip(weights(run, found, pairs), pairs, strict=True)
        ],
        title,
    )


def tokens(words: dict[str, Any], ids: np.ndarray) -> list[str]:
    """Each token by itself."""
    return [vocabulary.decode(words, ids[i : i + 1]) for i in range(len(ids))]


def padded(rows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens [N, longest], zeros past each end, and how many are real [N]."""
    lengths_N = np.asarray([len(row) for row in rows], np.int32)
    wide = [np.pad(row, (0, lengths_N.max() - len(row))) for row in rows]
    return np.stack(wide).astype(np.int32), lengths_N
