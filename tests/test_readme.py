"""The layer in the models of others: the README does what it says, Flax may transform it."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs
from flax import nnx

from seqgen.layers import Recurrent, RecurrentOptions

README = (runs.ROOT / "README.md").read_text()
SECTION = README.split("## In your own Flax model")[1].split("\n## ")[0]
ECHO, WEIGHTS = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
OPTIONS = RecurrentOptions(hidden_size=4)


def assert_close(actual, wanted):
    jax.tree.map(
        lambda a, w: np.testing.assert_allclose(a, w, rtol=1e-5, atol=1e-6), actual, wanted
    )


def test_the_readmes_model_learns():
    names = {}
    exec(ECHO, names)
    assert names["nats"] < 0.5  # every batch is new: without memory it is log 8 = 2.08


@pytest.mark.slow
def test_the_readmes_weights_come_and_go():
    torch = pytest.importorskip("torch")
    lstm = torch.nn.LSTM(3, 4, 2, batch_first=True)
    x_BTE = torch.randn(2, 5, 3)
    wanted = lstm(x_BTE)[0].detach()
    names = {"Recurrent": Recurrent, "lstm": lstm, "torch": torch, "x_BTE": jnp.asarray(x_BTE)}
    exec(WEIGHTS, names)
    assert_close(names["h_BTD"], wanted.numpy())
    np.testing.assert_allclose(lstm(x_BTE)[0].detach(), wanted, rtol=1e-5, atol=1e-6)


def test_flax_transforms_the_layer():
    """`nn.vmap` walks each member of an ensemble by itself, `nn.remat` has the same gradient."""
    x_BTE = jax.random.normal(jax.random.key(0), (2, 5, 3))
    apart = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}, "axis_size": 2}
    ensemble = nn.remat(nn.vmap(Recurrent, in_axes=None, **apart))(OPTIONS)
    members = ensemble.init(jax.random.key(1), x_BTE)

    def outputs(apply, variables):
        loss = lambda v: (lambda h: (jnp.sum(h**2), h))(apply(v, x_BTE)[1])  # noqa: E731
        grads, h = jax.jit(jax.grad(loss, has_aux=True))(variables)
        return h, grads

    whole = outputs(ensemble.apply, members)
    one, other = (jax.tree.map(lambda a, i=i: a[i], (members, whole)) for i in (0, 1))
    for variables, part in (one, other):
        assert_close(part, outputs(Recurrent(OPTIONS).apply, variables))
    assert np.abs(one[1][0] - other[1][0]).max() > 0.01


def test_an_nnx_model_holds_the_layers_parameters():
    x_BTE = jax.random.normal(jax.random.key(0), (2, 5, 3))
    names = {"nnx": nnx, "Recurrent": Recurrent, "options": OPTIONS, "x_BTE": x_BTE}
    (line,) = re.findall(r"`(nnx\.bridge.*)`", SECTION)
    bridged = eval(line, names | {"rngs": nnx.Rngs(0)})
    params = nnx.to_pure_dict(nnx.state(bridged, nnx.Param))
    assert_close(bridged(x_BTE)[1], Recurrent(OPTIONS).apply({"params": params}, x_BTE)[1])
    grads = nnx.grad(lambda layer: jnp.sum(layer(x_BTE)[1] ** 2))(bridged)
    for grad in jax.tree.leaves(nnx.to_pure_dict(grads)):
        assert np.abs(grad).max() > 0
