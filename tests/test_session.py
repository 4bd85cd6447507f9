"""A session is built as the config says: here, each player's optimizer."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqgen import config as configs
from seqgen import session as sessions
from seqgen import step as steps
from seqgen.errors import UsageError
from seqgen.progress import Progress


def game():
    c = configs.default(dataset="points", model="gan", objective="adversarial")
    c.dataset.batch_size, c.dataset.test_size = 32, 32
    c.model.encoder_sizes = c.model.decoder_sizes = (4,)
    c.model.latent_size, c.num_steps, c.schedule_steps = 2, 3, 2
    c.log_every = c.eval_every = c.checkpoint_every = 3
    c.optimizer.rule, c.optimizer.learning_rate = "sgd", 0.5
    return c


def prepared(config, workdir):
    workdir.mkdir()
    with Progress(workdir / "log.txt") as progress:
        return sessions.prepare(config, workdir, progress)


def explicit(config, session, rules, count):
    """The game as a loop of Python over optax's own optimizers, `rules` by player."""
    dataset, state = session.dataset, session.begin()
    objective = configs.assemble(config, dataset.spec)
    params = state.params
    chains = {name: rule.init(params[name]) for name, rule in rules.items()}

    def mean(own, params, batch, clock, player):
        total, (weight, _, _) = player.loss(own, params, state.memory, batch, clock)
        return total / weight

    @partial(jax.jit, static_argnums=3)
    def gradient(params, step, own_key, player):
        key = steps.fold(state.key, steps.DATA)
        batch = dataset.batch(session.arrays, "train", step, key)
        return jax.grad(mean)(params[player.name], params, batch, (step, own_key), player)

    for step in range(count):
        for number, player in enumerate(objective.players):
            # the last three: the only update, on the first device, of the first part of the batch
            own_key = steps.fold(state.key, steps.UPDATE, step, number, 0, 0, 0)
            grads = gradient(params, jnp.int32(step), own_key, player)
            rule, own = rules[player.name], params[player.name]
            updates, chains[player.name] = rule.update(grads, chains[player.name], own)
            params = params | {player.name: optax.apply_updates(own, updates)}
    return params


@pytest.mark.slow
def test_each_player_follows_an_optimizer_of_its_own(tmp_path):
    config = game()
    config.players.generator.rule = "adam"
    config.players.generator.learning_rate = 0.02
    config.players.generator.clip_norm = 0.01
    config.players.discriminator.warmup_steps = 4
    session = prepared(config, tmp_path / "run")
    rules = {
        "discriminator": optax.sgd(lambda count: 0.5 * (count + 1) / 4),
        "generator": optax.chain(optax.clip_by_global_norm(0.01), optax.adam(0.02)),
    }
    assert session.layout.devices == 1
    wanted = explicit(config, session, rules, 3)
    state, metrics = session.call(session.begin(), session.arrays, 0, 3)
    np.testing.assert_allclose(metrics["generator/clipped_norm"], 0.01, rtol=1e-4)
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6),
        state.params,
        wanted,
    )


def test_a_pattern_that_matches_nothing_names_the_player(tmp_path):
    config = game()
    config.optimizer.rule, config.players.generator.weight_decay = "adamw", 0.1
    config.players.generator.decay_parameters = "no_such_name"
    with pytest.raises(UsageError, match=r"players\.generator\.decay_parameters 'no_such_name'"):
        prepared(config, tmp_path / "run")


def test_each_schedule_that_ends_before_the_run_is_said_with_its_player(tmp_path):
    config = game()
    config.optimizer.schedule = "cosine"
    prepared(config, tmp_path / "alike")
    log = (tmp_path / "alike" / "log.txt").read_text()
    assert log.count("the cosine schedule ends at step 2 of 3") == 1
    config.players.generator.schedule, config.players.generator.final_scale = "linear", 0.1
    prepared(config, tmp_path / "apart")
    log = (tmp_path / "apart" / "log.txt").read_text()
    assert "the cosine schedule of discriminator ends at step 2 of 3" in log
    assert (
        "linear schedule of generator ends at step 2 of 3: from there the learning rate is 0.05"
        in log
    )
