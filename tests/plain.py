"""A scalar of what a function of three arguments gives, and all of its gradients."""

import jax
import jax.numpy as jnp


def value_and_grads(run):
    """A scalar that weighs each number of a function of three arguments differently, and all three
    of its gradients; the function's outputs beside the scalar."""

    def total(*arguments):
        outputs = run(*arguments)
        value = 0.0
        for number, leaf in enumerate(jax.tree.leaves(outputs)):
            weight = jax.random.normal(jax.random.key(number), leaf.shape)
            value += jnp.sum(jnp.sin(leaf) * weight)
        return value, outputs

    return jax.value_and_grad(total, (0, 1, 2), has_aux=True)
