"""What a checkpoint makes: texts, answers and examples of numbers, as the bytes of files.

A sample depends on the run, the seed and its index alone. `generate.py` writes them, `verify.py`
makes them again.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from seqgen import alignment, backend, decoding, pictures, plan
from seqgen import config as configs
from seqgen.datasets import files, images, tables
from seqgen.errors import UsageError, unknown
from seqgen.run import Found, Run, writes_answers

# Rows of one compiled program. Every sample is computed in a block of this size, whatever the
# number asked for, so that its bytes depend on neither the number nor its neighbours.
BLOCK = 16
keys_of = jax.jit(jax.vmap(jax.random.fold_in, (None, 0)))  # (key, numbers) -> a key of each
TEXT_LENGTH = 500  # tokens of a text where no length is asked for
SEARCH = ("length", "top_k", "top_p", "min_length", "beam", "n_best", "length_power")  # of tokens


class Made(NamedTuple):
    """A sample: its bytes, what else its record says of it, and the first answers that it holds."""

    content: bytes
    ending: str  # of its file's name: txt, csv or png
    facts: dict[str, Any]
    answers: list[alignment.Answered]


def make(
    run: Run, found: Found, indices: range, prompt: str | None, options: decoding.Options, seed: int
) -> list[Made]:
    """The samples of the given indices. Raises UsageError where the model can't generate."""
    longest = run.spec["targets"].get("length") if options.length is None else options.length
    if problems := list(dataclasses.replace(options, length=longest).problems()):
        raise UsageError("; ".join(problems))
    if run.objective.generate is None:
        raise UsageError(
            f"{run.config.model.name} on {run.config.dataset.name} can't generate: that takes a "
            "model of a text's next tokens, of answers, or of a distribution of examples"
        )
    if writes_answers(run.objective):
        return answers(run, found, indices, prompt, options, seed)
    if "start" not in run.spec or run.spec["inputs"]["kind"] == "image":
        return examples(run, found, indices, prompt, options, seed)
    if options.beam is not None or options.min_length is not None:
        raise UsageError("--beam and --min_length are for answers, and a text has no end")
    written = texts(run, found, indices, prompt, options, seed)
    return [Made(text.encode(), "txt", {}, []) for text in written]


def texts(
    run: Run, found: Found, indices: range, prompt: str | None, options: decoding.Options, seed: int
) -> list[str]:
    """What follows the prompt, once for each index."""
    data = configs.part("dataset", run.config.dataset.name)
    shown = prompt is not None
    tokens_T = np.asarray(data.encode(run.spec, prompt if shown else run.spec["start"]), np.int32)
    if not tokens_T.size:
        raise UsageError("the prompt is empty")
    inputs = {
        "tokens_BT": np.tile(tokens_T, (BLOCK, 1)),
        "length_B": np.full(BLOCK, tokens_T.size, np.int32),
    }
    key = jax.random.key(seed)
    write = writer(run, options, TEXT_LENGTH)
    written = []
    for block in blocks(list(indices)):
        padded = np.resize(np.asarray(block, np.int32), BLOCK)
        tokens_BT = np.asarray(write(found.params, found.memory, keys_of(key, padded), inputs))
        begin = 0 if shown else tokens_T.size
        written += [data.decode(run.spec, row[begin:]) for row in tokens_BT[: len(block)]]
    return written


def answers(
    run: Run, found: Found, indices: range, prompt: str | None, options: decoding.Options, seed: int
) -> list[Made]:
    """For each index an answer to everything that is asked, a line each.

    By beam search index 0 is the best answer, 1 the next, and the log-likelihoods are among the
    facts. With `n_best` there is but index 0: a line "NUMBER ||| ANSWER ||| LOG-LIKELIHOOD" for
    each of so many answers to each line, the number being the line's, from 0, as in Moses.
    """
    refuse_impossible(indices, options)
    data, encoded = configs.part("dataset", run.config.dataset.name), asked(run, prompt)
    ranks = range(options.n_best) if options.n_best is not None else indices
    tokens_KNT, nats_KN = answered(run, found, ranks, encoded, options, seed)
    written = [[data.decode(run.spec, row) for row in rows_NT] for rows_NT in tokens_KNT]
    first = [
        [
            alignment.Answered(read_S, up_to_end(row))
            for read_S, row in zip(encoded, rows_NT[: alignment.SHOWN], strict=False)
        ]
        for rows_NT in tokens_KNT
    ]
    if options.n_best is not None:
        listed = [
            f"{n} ||| {written[k][n]} ||| {nats_KN[k, n]:.4f}\n"
            for n in range(len(encoded))
            for k in ranks
            if not np.isneginf(nats_KN[k, n])  # there are not so many
        ]
        nats = {"log_likelihoods": plain(nats_KN.T)}
        return [Made("".join(listed).encode(), "txt", nats, first[0])]
    facts = [{}] * len(indices)
    if nats_KN is not None:
        refuse_missing(indices, nats_KN)
        facts = [{"log_likelihoods": nats_N} for nats_N in plain(nats_KN)]
    joined = ["".join(f"{line}\n" for line in one).encode() for one in written]
    return [Made(one, "txt", *more) for one, *more in zip(joined, facts, first, strict=True)]


def examples(
    run: Run, found: Found, indices: range, prompt: str | None, options: decoding.Options, seed: int
) -> list[Made]:
    """New examples: pictures as PNG; points, series and sentences as the dataset writes them.

    The prompt names the class of a conditional model, which else makes one class after the other.
    """
    refuse_unusual(run, options)
    classes_N = np.asarray([class_of(run, prompt, index) for index in indices], np.int32)
    key = jax.random.key(seed)
    if run.spec["inputs"]["kind"] == "token":
        write = writer(run, options, run.spec["length"])
    else:
        write = compiled(run.objective.generate, options, ())
    made = []
    for block in blocks(list(range(len(indices)))):
        padded = np.resize(block, BLOCK)
        numbers = np.asarray(list(indices), np.int32)[padded]
        rows = np.asarray(
            write(found.params, found.memory, keys_of(key, numbers), {"targets": classes_N[padded]})
        )
        made += [Made(*file_of(run, row), {}, []) for row in rows[: len(block)]]
    return made


def file_of(run: Run, row: np.ndarray) -> tuple[bytes, str]:
    """An example as the bytes of a file, and the ending of its name."""
    if run.spec["inputs"]["kind"] == "image":
        return pictures.picture(row), "png"
    data = configs.part("dataset", run.config.dataset.name)
    if run.spec["inputs"]["kind"] == "token":
        return f"{data.decode(run.spec, row)}\n".encode(), "txt"
    if hasattr(data, "decode"):
        return data.decode(run.spec, row).encode(), "csv"
    return tables.written(row).encode(), "csv"  # the rows of a picture, and the like


def refuse_unusual(run: Run, options: decoding.Options) -> None:
    """Raises UsageError for options that are of no use in making new examples."""
    unusual = [n for n in SEARCH if getattr(options, n) != getattr(decoding.Options(), n)]
    if unusual and run.spec["inputs"]["kind"] != "token":
        raise UsageError(f"--{unusual[0]} is for tokens: {run.config.model.name} makes numbers")
    if options.beam is not None:
        raise UsageError("--beam is for answers: a sentence out of a latent vector is drawn")


def class_of(run: Run, prompt: str | None, index: int) -> int:
    """The number of the class to make. Raises UsageError for one that there is not."""
    names = [str(name) for name in run.spec.get("classes", ["0"])]
    if not getattr(run.config.model, "conditional", False):
        if prompt is not None:
            raise UsageError("--prompt names a class, and this model is told none")
        return 0
    if prompt is None:
        return index % len(names)
    if prompt not in names:
        raise unknown("class", prompt, names)
    return names.index(prompt)


def refuse_impossible(indices: range, options: decoding.Options) -> None:
    """Raises UsageError for samples that a beam search has not."""
    if options.n_best is not None and indices[-1] > 0:
        raise UsageError("--n_best lists all answers in one file: leave out --num")
    if options.beam is not None and indices[-1] >= options.beam:
        raise UsageError(f"a beam of {options.beam} finds so many answers, not {indices[-1] + 1}")


def refuse_missing(indices: range, nats_KN: np.ndarray) -> None:
    """Raises UsageError where a search has found fewer answers than are asked for."""
    if np.isneginf(nats_KN).any():
        raise UsageError(f"there are fewer than {indices[-1] + 1} answers of the length asked for")


def answered(
    run: Run,
    found: Found,
    indices: range,
    encoded: list[np.ndarray],
    options: decoding.Options,
    seed: int,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Answers to N inputs: tokens [K, N, T] of K indices, by beam search log-likelihoods [K, N]."""
    write = writer(run, options, run.spec["targets"]["length"])
    tokens, nats = [], []
    for block in blocks(list(range(len(encoded)))):
        inputs = together(run, [encoded[i] for i in np.resize(block, BLOCK)])
        # a search finds all its answers at once, and draws none
        seeds = indices if options.beam is None else [0]
        keys = [jax.random.fold_in(jax.random.key(seed), index) for index in seeds]
        made = [
            write(found.params, found.memory, keys_of(key, np.resize(block, BLOCK)), inputs)
            for key in keys
        ]
        if options.beam is None:
            tokens.append(np.stack(made)[:, : len(block)])
        else:
            found_BKT, nats_BK = (np.asarray(x)[: len(block), indices] for x in made[0])
            tokens.append(found_BKT.swapaxes(0, 1))
            nats.append(nats_BK.T)
    return np.concatenate(tokens, axis=1), np.concatenate(nats, axis=1) if nats else None


def up_to_end(tokens_T: np.ndarray) -> np.ndarray:
    """An answer's tokens with its end, if it has come to one."""
    ends = np.flatnonzero(tokens_T == 0)
    return tokens_T[: ends[0] + 1] if ends.size else tokens_T


def plain(nats_KN: np.ndarray) -> list[list[float | None]]:
    """Numbers for JSON, None for those of answers that there are not: the beam was too wide."""
    return [[round(float(x), 5) if math.isfinite(x) else None for x in row] for row in nats_KN]


def describes(run: Run) -> bool:
    """Whether what is asked is a picture, and the answer says what it shows."""
    return run.spec["inputs"]["kind"] == "image" and writes_answers(run.objective)


def asked(run: Run, prompt: str | None) -> list[np.ndarray]:
    """What is to be answered: the prompt's lines, or the picture in the file that it names."""
    data, spec = configs.part("dataset", run.config.dataset.name), run.spec
    if describes(run):
        if prompt is not None:
            return [data.encode(spec, prompt)]
        return list(images.scaled(images.unpacked(spec["start"], spec["inputs"]["shape"])))
    encoded = []
    for number, line in enumerate(files.split(spec["start"] if prompt is None else prompt), 1):
        if not line.strip():
            raise UsageError(f"line {number} of the input is empty: there is nothing to answer")
        try:
            encoded.append(np.asarray(data.encode(spec, line), np.int32))
        except UsageError as error:
            raise UsageError(f"line {number} of the input: {error}") from error
    return encoded


def together(run: Run, encoded: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Inputs of a model that answers, as one batch."""
    if describes(run):
        return {"inputs": np.stack(encoded)}
    # longer than any of the data: another program, but for the same numbers
    size = run.spec["length"]
    width = size * -(-max(map(len, encoded)) // size)
    return {
        "inputs": np.stack([np.pad(t, (0, width - len(t))) for t in encoded]),
        "length_B": np.asarray([len(t) for t in encoded], np.int32),
    }


def writer(run: Run, options: decoding.Options, usual_length: int) -> Callable[..., jax.Array]:
    """The objective's compiled `generate`."""
    if options.length is None:
        options = dataclasses.replace(options, length=usual_length)
    how = plan.writing_options(jax.default_backend())
    return compiled(run.objective.generate, options, tuple(how.items()))


@functools.lru_cache(8)  # runs of one objective share it, such as those of several seeds
def compiled(
    generate: Callable[..., Any], options: decoding.Options, how: tuple[tuple[str, str], ...]
) -> Callable[..., Any]:
    compiler_options = backend.supported(dict(how))
    return jax.jit(partial(generate, options=options), compiler_options=compiler_options)


def blocks(items: list[int]) -> Iterator[list[int]]:
    return (items[first : first + BLOCK] for first in range(0, len(items), BLOCK))
