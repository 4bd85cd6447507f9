"""New examples out of a checkpoint, each in a file of its own that says it is generated and how."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from seqgen import backend, decoding, environment, run_directory
from seqgen import config as configs
from seqgen import run as runs
from seqgen.datasets import images
from seqgen.errors import UsageError
from seqgen.run import Found, Run, parameters

# Rows of one compiled program. Every sample is computed in a block of this size, whatever the
# number asked for, so that its bytes depend on neither the number nor its neighbours.
BLOCK = 16
TEXT_LENGTH = 500  # tokens of a text where no length is asked for


def generate(
    run: Run, found: Found, num: int, prompt: str | None, options: decoding.Options, seed: int
) -> list[Path]:
    """Writes the samples, each beside its record FILE.json; returns the text files."""
    texts = sample(run, found, range(num), prompt, options, seed)
    folder = run_directory.folder(run.workdir, "samples")
    asked = run_directory.digest([prompt, dataclasses.asdict(options)])[:6]
    common = mark(run, found, prompt, options, seed)
    written = []
    for index, text in enumerate(texts):
        file, content = (
            folder / f"step{found.step}-{asked}-seed{seed}-{index:04d}.txt",
            text.encode(),
        )
        own = {"index": index, "file_sha256": hashlib.sha256(content).hexdigest()}
        run_directory.write_json(record_of(file), common | own)  # first: no file without a mark
        run_directory.write_bytes(file, content)
        written.append(file)
    return written


def mark(
    run: Run, found: Found, prompt: str | None, options: decoding.Options, seed: int
) -> dict[str, Any]:
    """The statement that samples were generated, and what is needed to make them again."""
    shown = prompt is not None and of_pictures(run)
    return {
        "generated": True,
        "digital_source_type": "trainedAlgorithmicMedia",  # IPTC's term
        **digests(run, found),
        "step": found.step,
        "seed": seed,
        "prompt": prompt,
        "input_sha256": run_directory.file_digest(Path(prompt)) if shown else None,
        "decoding": dataclasses.asdict(options),
        "environment": environment.record(devices=True),  # where the same bytes are promised
    }


def digests(run: Run, found: Found) -> dict[str, str]:
    """What the samples come from; a run that is lengthened remains the same."""
    identity = configs.identity(run.config)
    return {
        "run_sha256": run_directory.digest([identity, run.spec, run.fingerprint]),
        "config_sha256": run_directory.digest(identity),
        "checkpoint_sha256": found.digest,
    }


def record_of(file: Path) -> Path:
    """Where the record of a generated file stands."""
    return file.with_name(file.name + ".json")


def sample(
    run: Run, found: Found, indices: range, prompt: str | None, options: decoding.Options, seed: int
) -> list[str]:
    """The texts of the given sample indices. Raises UsageError where the model can't generate."""
    problems = list(options.problems())
    if problems:
        raise UsageError("; ".join(problems))
    if run.objective.generate is None:
        raise UsageError(
            f"{run.config.model.name} on {run.config.dataset.name} names classes or numbers, it "
            "can't generate: that takes a model of a text's next tokens, or of answers"
        )
    if run.spec["targets"]["per"] == "answer":
        return answers(run, found, indices, prompt, options, seed)
    if options.beam is not None or options.min_length is not None:
        raise UsageError("--beam and --min_length are for answers, and a text has no end")
    return texts(run, found, indices, prompt, options, seed)


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
    keys_of = jax.jit(jax.vmap(partial(jax.random.fold_in, jax.random.key(seed))))
    write = writer(run, options, TEXT_LENGTH)
    written = []
    for block in blocks(list(indices)):
        padded = np.resize(np.asarray(block, np.int32), BLOCK)
        tokens_BT = np.asarray(write(found.params, keys_of(padded), inputs))
        begin = 0 if shown else tokens_T.size
        written += [data.decode(run.spec, row[begin:]) for row in tokens_BT[: len(block)]]
    return written


def answers(
    run: Run, found: Found, indices: range, prompt: str | None, options: decoding.Options, seed: int
) -> list[str]:
    """For each index an answer to everything that is asked, a line each.

    By beam search index 0 is the best answer, 1 the next.
    """
    if options.beam is not None and indices[-1] >= options.beam:
        raise UsageError(f"a beam of {options.beam} finds so many answers, not {indices[-1] + 1}")
    data, encoded = configs.part("dataset", run.config.dataset.name), asked(run, prompt)
    write = writer(run, options, run.spec["targets"]["length"])
    keys_of = jax.jit(jax.vmap(jax.random.fold_in, (None, 0)))
    written = [[] for _ in indices]
    for block in blocks(list(range(len(encoded)))):
        inputs = together(run, [encoded[i] for i in np.resize(block, BLOCK)])
        for place, index in enumerate(indices):
            key = jax.random.fold_in(jax.random.key(seed), index)
            keys_B = keys_of(key, np.resize(block, BLOCK))
            made = np.asarray(write(found.params, keys_B, inputs))
            rows = made if options.beam is None else made[:, index]
            written[place] += [data.decode(run.spec, row) for row in rows[: len(block)]]
    return ["".join(f"{line}\n" for line in one) for one in written]


def of_pictures(run: Run) -> bool:
    return run.spec["inputs"]["kind"] == "image"


def asked(run: Run, prompt: str | None) -> list[np.ndarray]:
    """What is to be answered: the prompt's lines, or the picture in the file that it names."""
    data, spec = configs.part("dataset", run.config.dataset.name), run.spec
    if of_pictures(run):
        if prompt is not None:
            return [data.encode(spec, prompt)]
        return list(images.scaled(images.unpacked(spec["start"], spec["inputs"]["shape"])))
    lines = (spec["start"] if prompt is None else prompt).splitlines()
    encoded = [np.asarray(data.encode(spec, line), np.int32) for line in lines]
    if not encoded or not min(map(len, encoded)):
        raise UsageError("there is nothing to answer: the input is empty, or one of its lines is")
    return encoded


def together(run: Run, encoded: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Inputs of a model that answers, as one batch."""
    if of_pictures(run):
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
    return jax.jit(partial(run.objective.generate, options=options))


def blocks(items: list[int]) -> Iterator[list[int]]:
    return (items[first : first + BLOCK] for first in range(0, len(items), BLOCK))


def given(run: Run, prompt: str | None, file: Path | None) -> str | None:
    """The prompt of a run: as it is, the lines of a file, or the name of a file with a picture."""
    if not of_pictures(run):
        return prompt if file is None else read_lines(file)
    if prompt is not None:
        raise UsageError("this model describes pictures: give it one by --input=FILE, not --prompt")
    return None if file is None else str(file.resolve())


def read_lines(file: Path) -> str:
    """The text of a file. Raises UsageError where it is none."""
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"--input={file} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--input={file} is not UTF-8 text: byte {error.start}") from error


def main(
    workdir: Path,
    which: str,
    num: int,
    prompt: str | None,
    file: Path | None,
    options: decoding.Options,
    seed: int,
    *,
    compilation_cache: bool,
) -> None:
    """The verb: generates, prints the texts and where they are."""
    run = runs.load(workdir)
    backend.start(BLOCK, compilation_cache=compilation_cache)
    prompt = given(run, prompt, file)
    for written in generate(run, parameters(run, which), num, prompt, options, seed):
        print(f"--- {written} (generated)\n{written.read_text('utf-8')}")
