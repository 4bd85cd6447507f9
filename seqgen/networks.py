"""The two networks of every generative model: one reads an example, one makes one of a vector.

A model's Options inherit `NetworkOptions`; encoder and decoder combine freely.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from seqgen import cells, decoders, encoders
from seqgen.errors import UsageError, not_among, out_of_range
from seqgen.layers import RecurrentOptions


@dataclasses.dataclass(frozen=True)
class NetworkOptions:
    """What a generative model can choose of its networks."""

    encoder: str = "mlp"  # mlp; conv, for pictures; recurrent, for sequences
    encoder_sizes: tuple[int, ...] = (200, 200)  # channels or units of each of its layers
    decoder: str = "mlp"  # mlp, conv, recurrent
    decoder_sizes: tuple[int, ...] = (200, 200)  # from the latent vector on
    activation: str = "tanh"  # of mlp and conv: an elementwise function of jax.nn or jax.numpy
    normalize: bool = False  # mlp: layer normalisation, conv: of groups of channels
    cell: str = "lstm"  # of recurrent networks, all layers of one size; names as in layers.py
    latent_size: int = 50  # numbers of the latent vector

    def problems(self) -> Iterator[str]:
        """What is wrong with these options, one sentence each."""
        yield from not_among(self, "model.", encoder=encoders.NAMES, decoder=encoders.NAMES)
        yield from out_of_range(self, "model.", latent_size="[1, inf)")
        for side in ("encoder", "decoder"):
            name, sizes = getattr(self, side), getattr(self, f"{side}_sizes")
            if min(sizes, default=1) < 1:
                yield f"model.{side}_sizes must be numbers of at least 1, not {sizes}"
            if not sizes and name != "mlp":
                yield f"model.{side}_sizes is empty, which only an mlp may be: it is then linear"
            if name == "recurrent" and len(set(sizes)) > 1:
                yield f"model.{side}_sizes of recurrent layers must be equal, not {sizes}"
        for build in (
            lambda: cells.named(self.cell),
            lambda: cells.activation_named(self.activation),
        ):
            try:
                build()
            except UsageError as error:
                yield str(error)


def event(spec: dict[str, Any]) -> tuple[int, ...]:
    """The shape of an example's numbers: [H, W, C], [F] or [T, E]. Raises UsageError for tokens."""
    inputs = spec["inputs"]
    if inputs["kind"] == "image":
        return tuple(inputs["shape"])
    if inputs["kind"] == "vector":
        return (inputs["size"],)
    if inputs["kind"] == "real":
        return (spec["length"], inputs["size"])
    raise UsageError(
        f"dataset {spec['dataset']} has {inputs['kind']} inputs, and autoencoders and adversarial "
        "networks make examples of numbers: images, vectors or real sequences; sentences are for "
        "sequence_vae"
    )


def check(options: NetworkOptions, spec: dict[str, Any]) -> tuple[int, ...]:
    """The data's event. Raises UsageError for data that the networks can't read or make."""
    shape = event(spec)
    wanted = {"conv": (3, "pictures"), "recurrent": (2, "sequences of real numbers")}
    for side in ("encoder", "decoder"):
        name = getattr(options, side)
        axes, what = wanted.get(name, (len(shape), ""))
        if len(shape) != axes:
            kind = spec["inputs"]["kind"]
            raise UsageError(
                f"model.{side}={name} is for {what}; dataset {spec['dataset']} has {kind} inputs"
            )
    return shape


def refuse_lengths(length_B: jax.Array | None, model: str) -> None:
    """Raises UsageError for series of unlike lengths, by a model that makes whole ones.

    It would learn the padding as if it were data.
    """
    if length_B is not None:
        raise UsageError(
            f"model {model} makes series of one length, and those of the data differ: choose model "
            "autoencoder, or data such as sines"
        )


def classes(spec: dict[str, Any], conditional: bool) -> int | None:
    """The number of classes that a conditional model is told, None for one that is told none.

    Raises UsageError where a conditional model has no classes to be told, or would never be told
    one of them in training.
    """
    if not conditional:
        return None
    targets = spec["targets"]
    if targets["kind"] != "category" or targets["per"] != "sequence" or targets["size"] < 2:
        raise UsageError(
            f"model.conditional needs classes of examples, and dataset {spec['dataset']} has none"
        )
    if "held_out" in spec:
        raise UsageError(
            "dataset.held_out is a class that a model never sees: leave out model.conditional, "
            "which tells it"
        )
    return targets["size"]


class Encoder(nn.Module):
    """An example [B, *event], a label or none, to features [B, F]."""

    options: NetworkOptions

    @nn.compact
    def __call__(
        self, x: jax.Array, label_BL: jax.Array | None, length_B: jax.Array | None
    ) -> jax.Array:
        """label_BL: one-hot classes; they are among the features that a dense layer reads."""
        o = self.options
        if o.encoder == "recurrent":
            features = encoders.LastState(_stack(o, o.encoder_sizes))(x, length_B)
        else:
            activation = cells.activation_named(o.activation)
            features = encoders.make(o.encoder, o.encoder_sizes, activation, o.normalize)(x)
        return with_label(features.reshape(x.shape[0], -1), label_BL)


class Decoder(nn.Module):
    """A latent vector [B, Z], with a label or none, to numbers [B, *shape]."""

    options: NetworkOptions
    shape: tuple[int, ...]

    @nn.compact
    def __call__(self, z_BZ: jax.Array, label_BL: jax.Array | None) -> jax.Array:
        o = self.options
        z_BZ = with_label(z_BZ, label_BL)
        if o.decoder == "recurrent":
            return decoders.Steps(_stack(o, o.decoder_sizes), self.shape)(z_BZ)
        kind = {"mlp": decoders.MLP, "conv": decoders.Conv}[o.decoder]
        activation = cells.activation_named(o.activation)
        return kind(o.decoder_sizes, activation, o.normalize, self.shape)(z_BZ)


def with_label(x_BF: jax.Array, label_BL: jax.Array | None) -> jax.Array:
    return x_BF if label_BL is None else jnp.concatenate([x_BF, label_BL], axis=-1)


def refuse_wide(latent_size: int, shape: tuple[int, ...], spec: dict[str, Any]) -> None:
    """Raises UsageError for a latent vector that compresses nothing."""
    if latent_size >= math.prod(shape):
        raise UsageError(
            f"model.latent_size={latent_size} compresses nothing: an example of dataset "
            f"{spec['dataset']} has {math.prod(shape)} numbers, the latent vector must have fewer"
        )


def _stack(options: NetworkOptions, sizes: tuple[int, ...]) -> RecurrentOptions:
    return RecurrentOptions(cell=options.cell, hidden_size=sizes[0], num_layers=len(sizes))
