"""Random changes of a picture that a game's discriminator sees instead of it, one function each.

Every real and every fake picture is changed, each by numbers of its own, in the losses of both
players: so the discriminator can't learn few pictures by heart, and as it never sees an unchanged
one, the generator does not learn to make changed ones (Zhao et al. 2020, Karras et al. 2020). That
takes changes through which the generator's slope passes. Pictures are [H, W, C] in [0, 1].
"""

import jax
import jax.numpy as jnp

# As in Zhao et al. 2020, whose pictures are in [-1, 1]: there brightness moves by twice as much.
BRIGHTER = 0.25  # at most, or darker
CONTRAST = (0.5, 1.5)
FARTHEST = 1 / 8  # of a side
HOLE = 1 / 2  # of a side


def brightness(key: jax.Array, x_HWC: jax.Array) -> jax.Array:
    """The same number added to all."""
    return x_HWC + jax.random.uniform(key, (), x_HWC.dtype, -BRIGHTER, BRIGHTER)


def contrast(key: jax.Array, x_HWC: jax.Array) -> jax.Array:
    """All differences from the picture's mean times the same number."""
    mean = jnp.mean(x_HWC)
    return mean + jax.random.uniform(key, (), x_HWC.dtype, *CONTRAST) * (x_HWC - mean)


def translation(key: jax.Array, x_HWC: jax.Array) -> jax.Array:
    """Moved by whole pixels down and across; what moves in is 0."""
    for axis, key_side in enumerate(jax.random.split(key)):
        side = x_HWC.shape[axis]
        far = round(FARTHEST * side)
        moved_by = jax.random.randint(key_side, (), -far, far + 1)
        # a product with a shifted identity: fast also backward, where indexing would scatter
        to_from = jnp.arange(side)[:, None] == jnp.arange(side)[None] + moved_by
        moved = jnp.tensordot(to_from.astype(x_HWC.dtype), x_HWC, (1, axis))
        x_HWC = jnp.moveaxis(moved, 0, axis)
    return x_HWC


def cutout(key: jax.Array, x_HWC: jax.Array) -> jax.Array:
    """A rectangle of half of each side is 0; its middle lies anywhere in the picture."""
    inside = True
    for axis, key_side in enumerate(jax.random.split(key)):
        side = x_HWC.shape[axis]
        size = round(HOLE * side)
        half = size // 2
        first = jax.random.randint(key_side, (), -half, side - size + half + 1)
        place = jnp.arange(side).reshape([-1 if a == axis else 1 for a in range(3)])
        inside &= (first <= place) & (place < first + size)
    return jnp.where(inside, 0, x_HWC)


CHANGES = {f.__name__: f for f in (brightness, contrast, translation, cutout)}


def augmented(names: tuple[str, ...], key: jax.Array, x_BHWC: jax.Array) -> jax.Array:
    """Each picture changed by all of the named, one after the other, by a key of its own."""
    for name, key_change in zip(names, jax.random.split(key, len(names)), strict=True):
        x_BHWC = jax.vmap(CHANGES[name])(jax.random.split(key_change, len(x_BHWC)), x_BHWC)
    return x_BHWC
