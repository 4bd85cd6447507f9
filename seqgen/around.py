"""Variations of a given example: it is encoded, its mean and variance are perturbed, and decoded.

A variational autoencoder gives an example x a mean m and a deviation s of each latent number, the
posterior q(z | x). A variation is what is made of

    z = m + scale * s * noise,  noise from N(0, 1).

It perturbs both, the mean and the variance: a mean moved by a * s * noise, and a z drawn around it
with the deviation b * s, are together one draw with scale² = a² + b². Scale 0 makes the example
again, 1 draws from the posterior, 2 varies four times as much. The example is one of the run's own
validation split, or a file; a variation's noise depends on its seed and index alone.
"""

import math
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqgen import backend, decoding, generate, likeness, marks, pictures, run_directory, samples
from seqgen import config as configs
from seqgen import run as runs
from seqgen.datasets import files, images
from seqgen.errors import UsageError
from seqgen.objectives import elbo, importance
from seqgen.run import Found, Run, parameters

SPLIT = "valid"
SHOWN = 8  # variations in the picture, at most
GROWING = (1.0, 2.0, 4.0)  # times the scale: the rows of the picture
MARK = {"around": int | str, "around_sha256": str | None, "scale": float}  # what a record adds


class Example(NamedTuple):
    """What is varied, and what a record says of it."""

    batch: dict[str, Any]  # of this one row, as the model reads it
    around: int | str  # its number in the split, or its file
    digest: str | None  # of the file


def example(run: Run, around: int | str, prompt: str | None) -> Example:
    """Reads it. `prompt` is the class of a file, where the model is told one.

    Raises UsageError where the model gives no posterior, and for an example that there is not.
    """
    kind = run.spec["inputs"]["kind"]
    if "elbo" not in run.objective.reports or kind not in likeness.KINDS:
        raise UsageError(
            "--around is for a variational autoencoder of pictures, points or series, which gives "
            f"an example a mean and a variance, not for {run.config.model.name} on "
            f"{run.config.dataset.name}"
        )
    read = (
        of_split(run, around, prompt) if isinstance(around, int) else of_file(run, around, prompt)
    )
    if configs.options(run.config, "objective").binarization is None:
        return read
    # the bits by which an evaluation knows the example; of a file those of number 0
    return read._replace(batch=read.batch | {"inputs": elbo.fixed_bits(read.batch)})


def of_split(run: Run, number: int, prompt: str | None) -> Example:
    """An example of the validation split, its class its own."""
    if prompt is not None:
        raise UsageError("--prompt names the class of a file: an example of the data has its own")
    part = configs.part("dataset", run.config.dataset.name)
    dataset = part.make(configs.options(run.config, "dataset"))
    runs.refuse_other_data(run, dataset.fingerprint)
    for index in range(dataset.num_batches[SPLIT]):
        shape = dataset.shape(SPLIT, index, False)
        batch = dataset.batch(dataset.arrays, SPLIT, jnp.int32(index), None, *shape)
        number_B = np.asarray(batch["index_B"])
        (row,) = np.nonzero(np.asarray(batch["weight_B"] > 0) & (number_B == number))
        if row.size:
            return Example({name: x[row] for name, x in batch.items()}, number, None)
    raise UsageError(
        f"--around={number}: the examples of {SPLIT} have the numbers 0 to {number_B.max()}"
    )


def of_file(run: Run, name: str, prompt: str | None) -> Example:
    """The example in a file: a picture, or a CSV as samples are."""
    file, spec = Path(name), run.spec
    if not file.is_file():
        raise UsageError(f"--around={name}: there is no such file, and it is no example's number")
    if getattr(run.config.model, "conditional", False) and prompt is None:
        classes = ", ".join(map(str, spec["classes"]))
        raise UsageError(f"this model is told a class: give --prompt=CLASS, one of {classes}")
    label = samples.class_of(run, prompt, 0)
    if spec["inputs"]["kind"] == "image":
        x = images.scaled(images.read(file, spec["inputs"]["shape"]))
    else:
        data = configs.part("dataset", run.config.dataset.name)
        if not hasattr(data, "encode"):
            raise UsageError(
                f"dataset {run.config.dataset.name} reads no files of series: give the number of "
                f"an example of {SPLIT}"
            )
        try:
            x = data.encode(spec, files.text(file))
        except UsageError as error:
            raise UsageError(f"--around={name}: {error}") from error
    batch = {"inputs": x[None], "targets": np.asarray([label]), "index_B": np.zeros(1, np.int32)}
    return Example(jax.tree.map(jnp.asarray, batch), str(file), run_directory.file_digest(file))


def variations(
    run: Run, found: Found, one: Example, indices: range, scale: float, seed: int
) -> np.ndarray:
    """The variations of those indices [N, *event], none of which depends on the others."""
    model = configs.model(run.config, run.spec)
    draw = partial(jax.random.normal, shape=(model.options.latent_size,))
    keys_of = jax.jit(jax.vmap(partial(jax.random.fold_in, jax.random.key(seed))))

    @jax.jit
    def vary(params, keys_B, scale, batch):
        own = params["model"]
        noise_BZ = scale * jax.vmap(draw)(keys_B)
        posterior = importance.sampled(model, own, batch, noise_BZ[None])
        label_B = batch.get("targets")
        return model.apply({"params": own}, posterior.z[0], label_B, method="decode")

    rows = {n: x for n, x in one.batch.items() if n in ("inputs", "targets", "length_B")}
    batch = {n: jnp.repeat(x, samples.BLOCK, axis=0) for n, x in rows.items()}
    made = []
    for block in samples.blocks(list(indices)):
        keys_B = keys_of(np.resize(np.asarray(block, np.int32), samples.BLOCK))
        made.append(np.asarray(vary(found.params, keys_B, jnp.float32(scale), batch))[: len(block)])
    return np.concatenate(made)


def write(
    run: Run, found: Found, one: Example, num: int, scale: float, prompt: str | None, seed: int
) -> list[Path]:
    """Writes the variations, each beside its record, and last a picture of them."""
    own = {"around": one.around, "around_sha256": one.digest, "scale": float(scale)}
    folder = run_directory.folder(run.workdir, "samples")
    asked = run_directory.digest([prompt, own])[:6]
    name = f"step{found.step}-{asked}-seed{seed}"
    common = generate.mark(run, found, prompt, decoding.Options(), seed) | own
    written = []
    made = variations(run, found, one, range(num), scale, seed)
    for index, row in enumerate(made):
        content, ending = samples.file_of(run, row)
        written.append(folder / f"{name}-{index:04d}.{ending}")
        marks.write(written[-1], content, common | {"index": index})
    what = f"an example and variations of it, {name}"
    drawn = picture(run, found, one, made[:SHOWN], scale, seed, f"{name} (generated)")
    written.append(folder / f"{name}-around.png")
    marks.write(written[-1], drawn, marks.mark(run, found) | {"what": what})
    return written


def picture(
    run: Run, found: Found, one: Example, made: np.ndarray, scale: float, seed: int, title: str
) -> bytes:
    """The example and its variations, in rows of growing scale; of points all of them in one."""
    x = np.asarray(one.batch["inputs"])
    if x[0].shape == (2,):
        names, kind_N = ["example", f"scale {scale:g}"], np.minimum(np.arange(1 + len(made)), 1)
        return pictures.scatter(np.concatenate([x, made]), kind_N, title, names)
    scales = [scale * times for times in GROWING] if scale else [scale]
    rows = [
        made if each == scale else variations(run, found, one, range(len(made)), each, seed)
        for each in scales
    ]
    shown = [np.concatenate([x, row]) for row in rows]
    return pictures.gallery(shown, [f"scale {each:g}" for each in scales], title)


def again(run: Run, found: Found, mark: dict[str, Any]) -> bytes:
    """The variation that a record describes. Raises UsageError where it can't be made again."""
    around, digest = mark["around"], mark["around_sha256"]
    if isinstance(around, str):
        file = Path(around)
        if not file.is_file() or run_directory.file_digest(file) != digest:
            raise UsageError(f"the example that it varies, {file}, is gone or another one")
    one = example(run, around, mark["prompt"])
    index = mark["index"]
    (row,) = variations(run, found, one, range(index, index + 1), mark["scale"], mark["seed"])
    return samples.file_of(run, row)[0]


def named(text: str) -> int | str:
    """What --around says: an example's number, or the path of a file."""
    try:
        return int(text)
    except ValueError:
        return str(Path(text).expanduser().resolve())


def main(
    workdir: Path,
    which: str,
    num: int,
    text: str,
    scale: float,
    prompt: str | None,
    seed: int,
    *,
    compilation_cache: bool,
) -> None:
    """The verb generate with --around: writes the variations, prints them and where they are."""
    if not 0 <= scale < math.inf:
        raise UsageError(f"--scale must be a finite number of at least 0, not {scale}")
    run = runs.load(workdir)
    backend.start(samples.BLOCK, compilation_cache=compilation_cache)
    one = example(run, named(text), prompt)
    for written in write(run, parameters(run, which), one, num, scale, prompt, seed):
        print(f"--- {written} (generated)\n{generate.shown(written)}")
