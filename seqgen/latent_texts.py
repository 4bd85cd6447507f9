"""Texts of a model with a latent vector: what `latents.py` writes of one of sentences, as files.

Where a model of pictures shows reconstructions, samples and what lies between two examples, one of
sentences writes them down.
"""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqgen import config as configs
from seqgen import decoding, marks, run_directory
from seqgen.objectives import elbo
from seqgen.run import Found, Run

FOLDER = "sentences"
SHOWN = 10  # sentences of a file
PAIRS = 5  # between which are interpolations
STEPS = 6  # of an interpolation, both ends counted


def write(run: Run, model: Any, found: Found, seen: dict[str, np.ndarray], path: Path) -> None:
    """Writes sentences/NAME-reconstructions.txt, -interpolation and -samples, NAME the path's.

    seen: of the split's examples their "inputs" [N, T] and posterior "mean" [N, Z].
    """
    data = configs.part("dataset", run.config.dataset.name)
    decode = partial(data.decode, run.spec)
    greedy = decoding.Options(length=run.spec["length"], temperature=0.0)
    make = jax.jit(partial(elbo.written, model, options=greedy))
    folder = run_directory.folder(path.parent, FOLDER)

    def likeliest(z_NZ: np.ndarray) -> list[str]:
        keys_N = jax.random.split(jax.random.key(0), len(z_NZ))  # of no effect
        return [decode(row) for row in np.asarray(make(found.params, jnp.asarray(z_NZ), keys_N))]

    def save(what: str, lines: list[str]) -> None:
        mark = marks.mark(run, found) | {"what": f"{what} of an evaluation"}
        content = "".join(f"{line}\n" for line in lines).encode()
        marks.write(folder / f"{path.name}-{what}.txt", content, mark)

    examples, mean_NZ = [decode(row) for row in seen["inputs"][:SHOWN]], seen["mean"][:SHOWN]
    again = likeliest(mean_NZ)
    save("reconstructions", alternating(("example: ", examples), ("written: ", again)))
    save("interpolation", between(examples, mean_NZ, likeliest))
    save("samples", drawn(run, found, decode))


def alternating(*kinds: tuple[str, list[str]]) -> list[str]:
    """Line n of each of several texts, one below the other, each behind the name of its kind."""
    columns = [[f"{name}{line}" for line in lines] for name, lines in kinds]
    return [line for rows in zip(*columns, strict=True) for line in (*rows, "")]


def between(examples: list[str], mean_NZ: np.ndarray, likeliest: Any) -> list[str]:
    """The likeliest sentences at equal steps from one posterior mean to the next, pair by pair."""
    pairs = [(n, n + 1) for n in range(0, min(2 * PAIRS, len(examples)) - 1, 2)]
    share_S1 = np.linspace(0, 1, STEPS)[:, None]
    z_NZ = [(1 - share_S1) * mean_NZ[a : a + 1] + share_S1 * mean_NZ[b : b + 1] for a, b in pairs]
    texts = np.reshape(likeliest(np.concatenate(z_NZ)), (len(pairs), STEPS)) if pairs else []
    lines = []
    for (a, b), own in zip(pairs, texts, strict=True):
        steps = [f"{share:.1f}: {text}" for share, text in zip(share_S1[:, 0], own, strict=True)]
        lines += [f"example: {examples[a]}", *steps, f"example: {examples[b]}", ""]
    return lines


def drawn(run: Run, found: Found, decode: Any) -> list[str]:
    """New sentences, each of a draw of the prior, their tokens drawn as `generate` does."""
    options = decoding.Options(length=run.spec["length"])
    keys_N = jax.random.split(jax.random.key(0), 2 * SHOWN)
    make = jax.jit(partial(run.objective.generate, options=options))
    return [decode(row) for row in np.asarray(make(found.params, found.memory, keys_N, {}))]
