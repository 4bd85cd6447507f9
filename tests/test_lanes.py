"""A lane is the run that it would be alone, and its own business."""

import contextlib
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs

from seqgen import backend, group, lanes, plan, run_directory, train
from seqgen import config as configs
from seqgen.checkpoint import Checkpoints
from seqgen.errors import Failure, UsageError
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.lane_program import Program, Stacked
from seqgen.lane_session import Shared
from seqgen.parts import lane_fields
from seqgen.progress import Progress


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """JAX has begun already: the settings of a fresh process would come too late."""
    monkeypatch.setattr(backend, "start", lambda *_, **__: None)


def tiny(objective):
    """A config of the objective with its numbers set, its steps one call."""
    dataset, model = {
        "likelihood": ("adding", "many_to_one"),
        "reconstruction": ("points", "autoencoder"),
        "elbo": ("points", "vae"),
        "adversarial": ("points", "gan"),
    }[objective]
    c = configs.default(dataset=dataset, model=model, objective=objective)
    c.dataset.batch_size, c.dataset.test_size = 4, 8
    c.num_steps = c.log_every = c.eval_every = c.checkpoint_every = 100
    c.optimizer.learning_rate, c.ema = 0.01, 0.9
    c.optimizer.clip_norm, c.optimizer.weight_decay = 1.0, 0.01
    if objective == "likelihood":
        c.dataset.length, c.model.hidden_size, c.model.num_layers = 5, 3, 2
        c.model.dropout, c.model.zoneout = 0.2, 0.1
        return c
    c.model.encoder_sizes = c.model.decoder_sizes = (4,)
    c.model.latent_size = 1
    if objective == "reconstruction":
        c.objective.noise = 0.1
    if objective == "elbo":
        c.model.likelihood, c.model.variance, c.objective.beta = "gaussian", "fixed", 0.5
    if objective == "adversarial":
        c.objective.r1, c.objective.gradient_penalty = 0.1, 1.0
        c.players.generator.learning_rate = 0.02
    return c


def varied(config, count):
    """Configs whose seeds and numbers all differ."""
    found = []
    for number in range(count):
        own = configs.settled(config, None)
        for name in lane_fields(own):
            section, _, leaf = name.rpartition(".")
            place = own[section] if section else own
            place[leaf] = number if name == "seed" else place[leaf] * (1 - 0.1 * number)
        found.append(own)
    return found


def stacked(program, all_configs, change=lambda number, state: state):
    values = [program.shared.values(config) for config in all_configs]
    states = [change(n, program.shared.begin(own)) for n, own in enumerate(values)]
    return Stacked(program, values, states)


def assert_close(ours, theirs):
    for (path, one), other in zip(
        jax.tree.leaves_with_path(ours), jax.tree.leaves(theirs), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10, err_msg=str(path))


@pytest.mark.parametrize(
    "objective",
    [
        "likelihood",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("reconstruction", "elbo")),
        pytest.param("adversarial", marks=pytest.mark.slow),
    ],
)
def test_a_lane_of_other_numbers_is_its_run_alone(objective, tmp_path, float64):
    """Also one that has a device with another, or none: three lanes on two devices."""
    every = varied(tiny(objective), 3)
    assert len(lanes.groups(every)) == 1
    program = Program(Shared(every))
    assert (program.shared.lanes.devices, program.shared.layout.steps_per_call) == (2, 100)
    together = stacked(program, every)
    measured = together.call(0, 100, [0, 1, 2])
    for number in (0, 2):
        (tmp_path / str(number)).mkdir()
        with Progress(tmp_path / "log.txt") as progress, Interrupt() as interrupt:
            session = train.prepare(every[number], tmp_path / str(number), progress)
            state, metrics = session.call(session.begin(), session.arrays, 0, 100)
            valid = session.validate(state.evaluated, session.arrays, interrupt)
            ours = together.state(number)
            measure = program.shared.measure(program.shared.values(every[number]), "valid")
            assert_close(measure(ours.evaluated, program.shared.arrays, interrupt), valid)
        assert jax.tree.leaves(state.params)[0].dtype == jnp.float64
        assert_close(ours.replace(key=None), state.replace(key=None))
        assert_close({name: np.asarray(row) for name, row in measured[number].items()}, metrics)
        np.testing.assert_array_equal(*(jax.random.key_data(s.key) for s in (ours, state)))


@pytest.mark.parametrize("how", ["map", pytest.param("vmap", marks=pytest.mark.slow)])
def test_a_lane_without_numbers_or_at_rest_leaves_the_others_as_they_are(how):
    every = varied(tiny("adversarial"), 4)
    shared = Shared(every)
    shared.lanes = shared.lanes._replace(how=how)
    program = Program(shared)

    def poisoned(number, state):
        return state.replace(params=jax.tree.map(lambda x: x * jnp.nan, state.params))

    whole, broken, resting = (
        stacked(program, every),
        stacked(program, every, lambda n, s: poisoned(n, s) if n == 1 else s),
        stacked(program, every),
    )
    whole.call(0, 100, range(4))
    measured = broken.call(0, 100, range(4))
    resting.call(0, 100, [0, 2, 3])
    assert np.asarray(measured[1]["nonfinite"])[-1] == 100
    assert int(resting.state(1).step) == 0
    for number in (0, 2, 3):
        wanted = bytes_of(whole.state(number))
        assert bytes_of(broken.state(number)) == wanted
        assert bytes_of(resting.state(number)) == wanted


def bytes_of(state):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state.replace(key=None))]
