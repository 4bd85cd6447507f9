"""New examples out of a checkpoint, each in a file of its own that says it is generated and how."""

import dataclasses
import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from seqgen import backend, decoding, environment, run_directory
from seqgen import config as configs
from seqgen import run as runs
from seqgen.errors import UsageError
from seqgen.run import Found, Run, parameters

# Rows of one compiled program. Every sample is computed in a block of this size, whatever the
# number asked for, so that its bytes depend on neither the number nor its neighbours.
BLOCK = 16


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
    return {
        "generated": True,
        "digital_source_type": "trainedAlgorithmicMedia",  # IPTC's term
        **digests(run, found),
        "step": found.step,
        "seed": seed,
        "prompt": prompt,
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
            f"{run.config.model.name} on {run.config.dataset.name} answers, it can't generate: "
            "that takes a model of a text's next tokens"
        )
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
    keys_of = jax.jit(jax.vmap(partial(jax.random.fold_in, key)))
    write = jax.jit(partial(run.objective.generate, options=options))
    texts = []
    for first in range(0, len(indices), BLOCK):
        block = list(indices[first : first + BLOCK])
        padded = np.resize(np.asarray(block, np.int32), BLOCK)
        tokens_BT = np.asarray(write(found.params, keys_of(padded), inputs))
        begin = 0 if shown else tokens_T.size
        texts += [data.decode(run.spec, row[begin:]) for row in tokens_BT[: len(block)]]
    return texts


def main(
    workdir: Path,
    which: str,
    num: int,
    prompt: str | None,
    options: decoding.Options,
    seed: int,
    *,
    compilation_cache: bool,
) -> None:
    """The verb: generates, prints the texts and where they are."""
    run = runs.load(workdir)
    backend.start(BLOCK, compilation_cache=compilation_cache)
    for file in generate(run, parameters(run, which), num, prompt, options, seed):
        print(f"--- {file} (generated)\n{file.read_text('utf-8')}")
