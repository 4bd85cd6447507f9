"""A finished run as a claim sees it: its examples, what its evaluation measured, what it makes.

`study.py` loads it; the claims in `experiments/claims/` ask it. Arrays in and out are NumPy's.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from seqgen import (
    backend,
    decoding,
    diagnose,
    frames,
    gradient_flow,
    gradient_records,
    recognition,
    run_directory,
    spectral,
)
from seqgen import config as configs
from seqgen import run as runs
from seqgen.datasets import Dataset
from seqgen.errors import UsageError
from seqgen.evaluator import Evaluator
from seqgen.interrupt import Interrupt
from seqgen.metrics import gradients
from seqgen.run import Found, Run


class Evidence(NamedTuple):
    """A run with the parameters of the checkpoint it is known by, and its data."""

    run: Run
    found: Found
    dataset: Dataset
    # compiled: (parameters, memory, keys, inputs) -> examples; None where it can't make any
    make: Callable[..., jax.Array] | None


def load(workdir: Path) -> Evidence:
    """Raises UsageError where there is no run, or where its data have changed."""
    run = runs.load(workdir)
    dataset = _data(run)
    if dataset.fingerprint != run.fingerprint:
        raise UsageError(
            f"the data of {workdir} have changed since training: remove it, and study trains anew"
        )
    make = run.objective.generate
    if make is not None:
        make = jax.jit(partial(make, options=decoding.Options()))
    return Evidence(run, runs.parameters(run, runs.chosen(run)), dataset, make)


def whole(one: Evidence) -> Evidence:
    """With all the data that there are, where the run was trained on the first few of them."""
    return one._replace(dataset=_data(one.run, {"train_size": None}))


def _data(run: Run, changed: dict[str, Any] | None = None) -> Dataset:
    config = configs.from_json(configs.to_json(run.config))  # a copy, its types kept
    config.dataset.update(changed or {})
    options = configs.options(config, "dataset")
    return configs.part("dataset", config.dataset.name).make(options)


def measured(one: Evidence, split: str = "test") -> dict[str, float]:
    """The numbers of the evaluation with which training ended; NaN where the run had diverged."""
    file = one.run.workdir / "evaluations" / f"{split}-{one.found.step}.json"
    stored = run_directory.read_json(file, ("metrics",))["metrics"]
    return {name: float(value) for name, value in stored.items()}


def measured_on(one: Evidence, **options: Any) -> dict[str, float]:
    """The numbers of the test split of other data: options of the run's dataset, changed.

    Raises Interrupted when a signal has come.
    """
    mesh = backend.mesh(jax.devices())
    other = _data(one.run, options)
    evaluator = Evaluator(one.run.objective, other, "test", mesh)
    everywhere = NamedSharding(mesh, PartitionSpec())
    params, arrays = jax.device_put((one.found.params, other.arrays), everywhere)
    with Interrupt() as interrupt:
        return evaluator(params, arrays, interrupt)


def history(one: Evidence, number: str) -> dict[int, float]:
    """Step -> a number of training, the mean over the steps since the record before."""
    records = run_directory.read_metrics(one.run.workdir)
    return {r["step"]: r[number] for r in records if r["split"] == "train"}


class Reach(NamedTuple):
    """How far back in time an error reaches in a run's lowest recurrent layer."""

    norms: np.ndarray  # log [T], mean over examples, of the last step's error so many steps back
    decay: gradients.Decay  # of it
    bound: float  # log of what a step's Jacobian can be at most; NaN where the cell has no bound


def reach_at_start(one: Evidence) -> Reach:
    """Of the parameters with which the run began, on examples of validation."""
    subject = diagnose.subject(one.run.config, "valid")
    params = diagnose.begun(subject)
    lens = gradient_flow.lens(subject.objective, params, subject.batch)
    walks, flows = lens.look(params, subject.batch)
    path = gradient_flow.in_order(flows)[0]
    flow = jax.device_get(flows[path])
    log_TB = gradients.by_lag(flow.last, flow.before_last)
    bound = gradient_flow.bound(lens.layers[path], walks[path])
    log_bound = float("nan") if bound is None else float(np.log(bound.step))
    return Reach(gradients.means(log_TB), gradient_records.decay(flow), log_bound)


def film(one: Evidence) -> tuple[np.ndarray, list[frames.Moment]]:
    """(real points [N, 2], the moments that a game of points recorded)."""
    workdir = one.run.workdir
    recorded = frames.recording(workdir)
    if recorded is None:
        raise UsageError(f"{workdir} has recorded no moments of its game")
    return recorded.real, [frames.moment(workdir, step) for step in recorded.steps]


def examples(one: Evidence, split: str) -> tuple[np.ndarray, np.ndarray]:
    """(examples [N, …], their classes [N]) of one exact pass over a split."""

    @partial(jax.jit, static_argnums=2)
    def read(arrays, index, shape):
        return one.dataset.batch(arrays, split, index, None, *shape)

    pieces = []
    for index in range(one.dataset.num_batches[split]):
        shape = one.dataset.shape(split, index, False)
        batch = jax.device_get(read(one.dataset.arrays, jnp.int32(index), shape))
        real_B = batch["weight_B"] > 0
        pieces.append((batch["inputs"][real_B], batch["targets"][real_B]))
    inputs, classes = zip(*pieces, strict=True)
    return np.concatenate(inputs), np.concatenate(classes)


def generated(one: Evidence, class_N: np.ndarray, seed: int) -> np.ndarray:
    """So many new examples as there are classes; a conditional model makes those classes."""
    keys_N = jax.random.split(jax.random.key(seed), len(class_N))
    targets = {"targets": jnp.asarray(class_N, jnp.int32)}
    return np.asarray(one.make(one.found.params, one.found.memory, keys_N, targets))


def remade(one: Evidence, x: np.ndarray) -> np.ndarray:
    """Examples out of their own codes, of an autoencoder that is told no class.

    A variational one's code is the mean of the posterior.
    """
    model, variables = configs.model(one.run.config, one.run.spec), _variables(one, "model")
    code = model.apply(variables, jnp.asarray(x), method="encode")
    mean_NZ = code[0] if isinstance(code, tuple) else code
    return np.asarray(model.apply(variables, mean_NZ, method="decode"))


def varied(one: Evidence, x: np.ndarray, scale: float, seed: int) -> np.ndarray:
    """A variation of each example, of a variational autoencoder that is told no class.

    It is what `around.py` makes: z = mean + scale * deviation * noise.
    """
    model, variables = configs.model(one.run.config, one.run.spec), _variables(one, "model")
    mean_NZ, log_variance_NZ = model.apply(variables, jnp.asarray(x), method="encode")
    noise_NZ = jax.random.normal(jax.random.key(seed), mean_NZ.shape)
    z_NZ = mean_NZ + scale * jnp.exp(0.5 * log_variance_NZ) * noise_NZ
    return np.asarray(model.apply(variables, z_NZ, method="decode"))


def seen(reader: Evidence, one: Evidence, x: np.ndarray) -> np.ndarray:
    """The class [N] that a run's classifier takes each example of the other run to have."""
    return recognition.load(reader.run.workdir, one.run).read(x)[1]


def scores(one: Evidence, x: np.ndarray, class_N: np.ndarray) -> np.ndarray:
    """How real a game's discriminator takes each example to be, a logit [N]."""
    model = configs.model(one.run.config, one.run.spec)
    own = one.found.params["discriminator"]
    if one.run.config.objective.spectral_norm:
        own = spectral.normalised(own)
    given = (jnp.asarray(x), jnp.asarray(class_N, jnp.int32))
    return np.asarray(model.apply({"params": own}, *given, method="discriminate"))


def walk(one: Evidence, seed: int, places: int) -> np.ndarray:
    """Examples [S, …] of a game's generator along a straight line from noise to noise, of class 0.

    A line between two draws of a normal distribution passes through shorter vectors than are
    drawn; so it is a great circle that is walked, on which no place is less likely than its ends.
    """
    model = configs.model(one.run.config, one.run.spec)
    key_from, key_to = jax.random.split(jax.random.key(seed))
    size = (model.options.latent_size,)
    from_Z, to_Z = (np.asarray(jax.random.normal(key, size)) for key in (key_from, key_to))
    angle_S = np.linspace(0, np.pi / 2, places)[:, None]
    z_SZ = np.cos(angle_S) * from_Z + np.sin(angle_S) * to_Z
    class_S = jnp.zeros(places, jnp.int32)
    variables = _variables(one, "generator")
    return np.asarray(model.apply(variables, jnp.asarray(z_SZ), class_S, method="generate"))


def _variables(one: Evidence, player: str) -> dict[str, Any]:
    return {"params": one.found.params[player]}
