"""What an evaluation says of a model with a latent vector, beside its numbers.

Of a variational one the log-likelihood by importance sampling, the units in use, and how the
posteriors fill the prior; of every such model pictures of what it makes, or texts, how like the
data new examples of numbers are (`likeness.py`), and how well it tells a held-out class.
"""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqgen import (
    anomalies,
    densities,
    latent_texts,
    likeness,
    marks,
    pictures,
    run_directory,
)
from seqgen import config as configs
from seqgen.datasets import Dataset
from seqgen.details import Details, Predict, Show, every, unseen
from seqgen.interrupt import Interrupt
from seqgen.metrics import Meaning
from seqgen.metrics import latents as metrics
from seqgen.objectives import Batch, elbo, importance, reconstruction
from seqgen.run import Found, Run

CHUNK = 50  # samples of each example whose noise is drawn together
TOGETHER = 2**20  # numbers of examples to be made at once, at most: so memory stays small
SHOWN = 10  # examples of a picture
REACH = 3.0  # deviations of the prior that traversals walk to either side


def reports(run: Run) -> dict[str, Meaning]:
    """What the evaluations of a run add to the numbers of its objective."""
    if "elbo" not in run.objective.reports:
        return anomalies.reports(run)
    return {
        named(run): Meaning("nats", larger_is_better=False),
        "active_units": Meaning("", larger_is_better=True),
        "aggregate_kl": Meaning("nats", larger_is_better=False),
        "mutual_information": Meaning("nats", larger_is_better=True),
        **anomalies.reports(run),
    }


def named(run: Run) -> str:
    """A likelihood is called after its estimator."""
    return f"nll_iwae_{run.config.objective.evaluation_samples}"


def describer(
    run: Run, dataset: Dataset, split: str, show: Show = unseen
) -> Callable[[Found, Any, Interrupt, Path], Details]:
    """(checkpoint, the dataset's arrays, interrupt, path) -> details; draws beside the path."""
    model = configs.model(run.config, run.spec)
    variational = "elbo" in run.objective.reports
    textual = run.spec["inputs"]["kind"] == "token"
    compare = likeness.describer(run, dataset, split)
    looks = {
        name: posteriors(run, model, dataset, name) if variational else codes(model, dataset, name)
        for name in dict.fromkeys((split, "valid"))
    }

    def describe(found: Found, arrays: Any, interrupt: Interrupt, path: Path) -> Details:
        def look(name: str) -> dict[str, Any]:
            """What there is to see of all examples of a split."""
            pieces = every(looks[name], found, dataset, name, arrays, interrupt, show)
            return jax.tree.map(lambda *rows: np.concatenate(rows), *pieces)

        seen = look(split)
        write = latent_texts.write if textual else draw
        write(run, model, found, seen, path)
        details = spread(run, seen) if variational else Details({}, {}, "")
        if not textual:
            alike = compare(found, arrays, interrupt, path)
            details = Details(
                details.metrics | alike.metrics, details.facts | alike.facts, alike.sentence
            )
        if "scores" not in seen or not anomalies.both_kinds(run, seen["targets"]):
            return details
        calibration = look("valid")["scores"]
        told = anomalies.describe(run, seen["scores"], seen["targets"], calibration, path)
        return details._replace(
            metrics=details.metrics | told.metrics, facts=details.facts | told.facts
        )

    return describe


def spread(run: Run, seen: dict[str, np.ndarray]) -> Details:
    """The numbers of a variational model."""
    used_Z, whole = (
        metrics.active_units(seen["mean"]),
        metrics.aggregate(seen["mean"], seen["log_variance"]),
    )
    numbers = {
        named(run): math.fsum(map(float, seen["nats"])) / len(seen["nats"]),
        "active_units": float(used_Z.sum()),
        "aggregate_kl": whole.kl,
        "mutual_information": whole.mutual_information,
    }
    return Details(numbers, {"n": len(seen["nats"]), "aggregate_n": whole.n}, "")


def posteriors(run: Run, model: Any, dataset: Dataset, split: str) -> Predict:
    """Compiles once for each shape: each example's posterior, and -log p(x) in nats.

    The importance-weighted bound with many samples (Burda et al. 2016), a few at a time. Where a
    class is held out also each example's scores as an anomaly, the ELBO of as many samples.
    """
    options = configs.options(run.config, "objective")
    of_tokens = run.spec["inputs"]["kind"] == "token"
    numbers = run.spec["inputs"]["size"] if of_tokens else 1  # made of each of the inputs
    size = min(CHUNK, options.evaluation_samples)
    chunks = -(-options.evaluation_samples // size)

    @partial(jax.jit, static_argnums=3)
    def predict(params, arrays, index, shape):
        batch = dataset.batch(arrays, split, index, None, *shape)
        if options.binarization is not None:
            batch = batch | {"inputs": elbo.fixed_bits(batch)}
        own, latent = params["model"], (size, model.options.latent_size)
        at_once = min(size, max(1, TOGETHER // (numbers * batch["inputs"].size)))

        def one_chunk(sums, number):
            log_sum_B, plain_B = sums
            # further noise than that which the evaluated bound has had
            noise_KBZ = elbo.noise(batch, 1 + number, latent)
            posterior = importance.sampled(model, own, batch, noise_KBZ)

            def log_weight(z_BZ):
                one = posterior._replace(z=z_BZ[None])
                return importance.log_weights(model, own, batch, one)[0][0]

            log_w_KB = jax.lax.map(log_weight, posterior.z, batch_size=at_once)
            real_K1 = (number * size + jnp.arange(size) < options.evaluation_samples)[:, None]
            more_B = jax.nn.logsumexp(jnp.where(real_K1, log_w_KB, -jnp.inf), axis=0)
            plain_B = plain_B + jnp.sum(jnp.where(real_K1, log_w_KB, 0.0), axis=0)
            sums = jnp.logaddexp(log_sum_B, more_B), plain_B
            return sums, (posterior.mean, posterior.log_variance)

        nothing_B = jnp.zeros(batch["weight_B"].shape)
        sums, (mean, log_variance) = jax.lax.scan(
            one_chunk, (nothing_B - jnp.inf, nothing_B), jnp.arange(chunks)
        )
        nats_B = math.log(options.evaluation_samples) - sums[0]
        told = kept(batch, dataset.spec) | {
            "mean": mean[0],
            "log_variance": log_variance[0],
            "nats": nats_B,
        }
        if "held_out" in dataset.spec:
            squared_B = squared_error(model, own, batch, mean[0])
            minus_B = -sums[1] / options.evaluation_samples
            told["scores"] = {"squared_error": squared_B, "elbo": minus_B, "iwae": nats_B}
        return told

    return predict


def codes(model: Any, dataset: Dataset, split: str) -> Predict:
    """Compiles once for each shape: each example's latent vector, as `mean`.

    Where a class is held out also each example's score as an anomaly.
    """

    @partial(jax.jit, static_argnums=3)
    def predict(params, arrays, index, shape):
        batch = dataset.batch(arrays, split, index, None, *shape)
        variables = {"params": params["model"]}
        code_BZ = model.apply(
            variables, batch["inputs"], length_B=batch.get("length_B"), method="encode"
        )
        told = kept(batch, dataset.spec) | {"mean": code_BZ}
        if "held_out" in dataset.spec:
            squared_B = squared_error(model, params["model"], batch, code_BZ)
            told["scores"] = {"squared_error": squared_B}
        return told

    return predict


def kept(batch: Batch, spec: dict[str, Any]) -> Batch:
    """What of a batch its pictures show: targets where there is one of each example."""
    names = ("inputs", "weight_B", *(("targets",) if spec["targets"]["per"] == "sequence" else ()))
    return {n: batch[n] for n in names if n in batch}


def squared_error(model: Any, params: Any, batch: Batch, z_BZ: jax.Array) -> jax.Array:
    """½ |x - x'|² of what a model that is told no class makes of a latent vector, [B]."""
    made = model.apply({"params": params}, z_BZ, method="decode")
    return 0.5 * densities.total(reconstruction.real(batch, (batch["inputs"] - made) ** 2))


def draw(run: Run, model: Any, found: Found, seen: dict[str, np.ndarray], path: Path) -> None:
    """Writes pictures/NAME-reconstructions.png, -interpolation and -latent, NAME being the path's.

    Of a variational model also -traversals, along the units that vary most.
    """

    folder = run_directory.folder(path.parent, "pictures")

    def write(what: str, drawn: bytes) -> None:
        mark = marks.mark(run, found) | {"what": f"{what} of an evaluation"}
        marks.write(folder / f"{path.name}-{what}.png", drawn, mark)

    conditional = getattr(model, "classes", None) is not None
    labels_N = seen["targets"] if conditional else None

    @jax.jit
    def decode(z_NZ, labels_N):
        variables = {"params": found.params["model"]}
        told = () if labels_N is None else (labels_N,)
        return model.apply(variables, z_NZ, *told, method="decode")

    def made(z_NZ, examples: np.ndarray) -> np.ndarray:
        """Decoded with the classes of those examples."""
        told = None if labels_N is None else labels_N[examples]
        return np.asarray(decode(jnp.asarray(z_NZ), told))

    title, mean_NZ = f"{path.name} (generated)", seen["mean"]
    first = np.arange(min(SHOWN, len(mean_NZ)))
    again = made(mean_NZ[first], first)
    rows = [seen["inputs"][first], again]
    write("reconstructions", pictures.gallery(rows, ["example", "made again"], title))
    others, share_S = np.roll(first, 1), np.linspace(0, 1, SHOWN)[:, None]
    between = [
        made((1 - share_S) * mean_NZ[a] + share_S * mean_NZ[b], np.full(SHOWN, a))
        for a, b in zip(first[:6], others[:6], strict=True)
    ]
    write("interpolation", pictures.gallery(between, None, title))
    order = np.argsort(-np.var(mean_NZ, axis=0))
    if len(order) > 1:
        write("latent", pictures.scatter(mean_NZ[:, order[:2]], seen.get("targets"), path.name))
    if "log_variance" not in seen:
        return
    walks = []
    for unit in order[:8]:
        z_SZ = np.repeat(mean_NZ[:1], SHOWN, axis=0)
        z_SZ[:, unit] = np.linspace(-REACH, REACH, SHOWN)
        walks.append(made(z_SZ, np.zeros(SHOWN, int)))
    write("traversals", pictures.gallery(walks, [f"z {unit}" for unit in order[:8]], title))
