"""A training step of generative models against the same models in PyTorch, as ratios of medians.

python benchmarks/generative.py [--rounds=7] [--json=FILE]     (extra `bench`)
PyTorch runs eagerly and compiled (`torch.compile`); the faster of the two counts. `ring_gan` and
`mnist_gan` are the experiments of that name, `vae` is experiments/mnist_vae.py, and `iwae` the same
with 50 samples of 20 pictures. Ours is the train step of every run, with all that it logs and
guards, and as many of them in one dispatch as a run would have. A step of an adversarial game is
one update of each player, with noise and bits drawn anew. Each peer is a process that is asked in
turn (`processes.py`).
"""

import argparse
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import processes

from seqgen import environment
from seqgen.errors import UsageError, require

HERE = Path(__file__).parent
STEPS = {"vae": 128, "iwae": 64, "ring_gan": 128, "mnist_gan": 8}  # between two looks at the clock
EVENTS = {"vae": (28, 28, 1), "iwae": (28, 28, 1), "ring_gan": (2,), "mnist_gan": (28, 28, 1)}


def config_of(name: str) -> Any:
    """The experiment's config, changed to the size that is measured."""
    file = {"vae": "mnist_vae", "iwae": "mnist_vae"}.get(name, name)
    config = runpy.run_path(str(HERE.parent / "experiments" / f"{file}.py"))["get_config"]()
    if name == "iwae":
        config.dataset.batch_size, config.objective.samples = 20, 50
        config.objective.bound = "iwae"
    return config


def batch_of(name: str, rows: int) -> dict[str, Any]:
    """Numbers in [0, 1], the same for both sides."""
    import numpy as np

    generator = np.random.default_rng(0)
    return {
        "inputs": generator.random((rows, *EVENTS[name]), np.float32),
        "targets": generator.integers(0, 10, rows, dtype=np.int32),
        "index_B": np.arange(rows, dtype=np.int32),
        "weight_B": np.ones(rows, np.float32),
    }


def seqgen(name: str):
    from peers import trained

    from seqgen import backend, optimizer
    from seqgen import config as configs

    config = configs.settled(config_of(name), None)
    rows, event = config.dataset.batch_size, EVENTS[name]
    backend.start(rows, compilation_cache=False)
    inputs = {"kind": "image", "shape": event} if len(event) == 3 else {"kind": "vector", "size": 2}
    spec = {
        "dataset": name,
        "streamed": False,
        "inputs": inputs,
        "targets": {"kind": "category", "size": 10, "per": "sequence"},
    }
    run = configs.options(config)
    chain = optimizer.make(configs.options(config, "optimizer"), run.schedule_steps)
    objective = configs.assemble(config, spec)
    step = trained(objective, chain, batch_of(name, rows), run, rows, rows, STEPS[name])
    return step.run


def averaged(model: Any, decay: float | None):
    """What moves the average of the weights, as ours is averaged."""
    from torch.optim import swa_utils

    if decay is None:
        return lambda: None
    average = swa_utils.AveragedModel(model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(decay))
    return lambda: average.update_parameters(model)


def adam(config: Any, model: Any):
    import torch as t

    o = config.optimizer
    betas = (o.beta1, o.beta2)
    return t.optim.Adam(model.parameters(), o.learning_rate, betas, eps=o.epsilon, fused=True)


def eager(name: str):
    return torch(name, compiled=False)


def inductor(name: str):
    return torch(name, compiled=True)


def torch(name: str, *, compiled: bool):
    import torch as t

    t.set_flush_denormal(True)
    config = config_of(name)
    batch = batch_of(name, config.dataset.batch_size)
    real, labels = t.from_numpy(batch["inputs"]), t.from_numpy(batch["targets"])
    prepared = t.compile if compiled else lambda f: f
    if config.objective.name == "elbo":
        step = of_bound(config, real, prepared)
    else:
        step = of_game(config, real, labels, prepared)

    def run(steps):
        for _ in range(steps):
            step()

    return run


def dense(sizes: list[int], activation: Any) -> Any:
    """Layers with an activation between each two."""
    import torch as t

    layers = [t.nn.Linear(*pair) for pair in zip(sizes, sizes[1:], strict=False)]
    between = [part for layer in layers for part in (layer, activation())]
    return t.nn.Sequential(*between[:-1])


def of_bound(config: Any, pictures: Any, prepared: Any):
    """A step of a variational autoencoder: fresh bits, K samples, Adam."""
    import math

    import torch as t

    rows, size = pictures.shape[0], pictures[0].numel()
    latent, samples = config.model.latent_size, config.objective.samples
    encoder = dense([size, *config.model.encoder_sizes, 2 * latent], t.nn.Tanh)
    decoder = dense([latent, *config.model.decoder_sizes, size], t.nn.Tanh)
    model = t.nn.ModuleList([encoder, decoder])
    optimizer, average = adam(config, model), averaged(model, config.ema)
    flat, nats = pictures.reshape(rows, size), t.nn.functional.binary_cross_entropy_with_logits

    @prepared
    def loss_of(bits, noise):
        mean, log_variance = encoder(2 * bits - 1).chunk(2, -1)
        z = mean + (0.5 * log_variance).exp() * noise
        logits = decoder(z)
        cost = nats(logits, bits.expand_as(logits), reduction="none").sum(-1)
        if samples == 1:
            kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(-1)
            return (cost[0] + kl).mean()
        of_prior, of_posterior = -0.5 * (z**2).sum(-1), -0.5 * (noise**2 + log_variance).sum(-1)
        return (math.log(samples) - (of_prior - of_posterior - cost).logsumexp(0)).mean()

    def step():
        optimizer.zero_grad()
        loss_of(t.bernoulli(flat), t.randn(samples, rows, latent)).backward()
        optimizer.step()
        average()

    return step


def of_game(config: Any, real: Any, labels: Any, prepared: Any):
    """A step of the relativistic game with R1 and R2, both players with Adam."""
    import torch as t

    o, latent, rows = config.objective, config.model.latent_size, real.shape[0]
    event = real[0].shape
    generator, discriminator = dense_players(config, event)
    if len(event) == 3:
        real = real.permute(0, 3, 1, 2).contiguous()
        generator, discriminator = picture_players(config, t.eye(10)[labels.long()])
    optimizers = [adam(config, player) for player in (discriminator, generator)]
    averages = [averaged(player, config.ema) for player in (discriminator, generator)]
    softplus = t.nn.functional.softplus

    def slope(scores, x):
        (found,) = t.autograd.grad(scores.sum(), x, create_graph=True)
        return found.flatten(1).square().sum(-1).mean()

    def of_discriminator(noise):
        with t.no_grad():
            fake = generator(noise)
        x, y = real.detach().requires_grad_(), fake.requires_grad_()
        d_x, d_y = discriminator(x), discriminator(y)
        penalty = 0.5 * ((o.r1 or 0) * slope(d_x, x) + (o.r2 or 0) * slope(d_y, y))
        return softplus(d_y - d_x).mean() + penalty

    @prepared
    def of_generator(noise):
        return softplus(discriminator(real) - discriminator(generator(noise))).mean()

    def step():
        # PyTorch does not compile a gradient's gradient: that loss is eager in either case
        for loss_of, optimizer, average in zip(
            (of_discriminator, of_generator), optimizers, averages, strict=True
        ):
            optimizer.zero_grad()
            loss_of(t.randn(rows, latent)).backward()
            optimizer.step()
            average()

    return step


def dense_players(config: Any, event: Any) -> tuple[Any, Any]:
    import torch as t

    o = config.model
    made = dense([o.latent_size, *o.decoder_sizes, *event], t.nn.LeakyReLU)
    return made, dense([*event, *o.encoder_sizes, 1], t.nn.LeakyReLU)


def picture_players(config: Any, label_BL: Any) -> tuple[Any, Any]:
    """Of 28 x 28 pictures in two halvings and two doublings, told their classes."""
    import torch as t

    o, classes = config.model, label_BL.shape[1]
    (wide, narrow), (first, second) = o.decoder_sizes, o.encoder_sizes
    act = t.nn.LeakyReLU

    class Generator(t.nn.Sequential):
        def __init__(self):
            super().__init__(
                t.nn.Linear(o.latent_size + classes, 49 * wide),
                t.nn.Unflatten(1, (wide, 7, 7)),
                act(),
                t.nn.Conv2d(wide, 4 * narrow, 3, padding=1),
                t.nn.PixelShuffle(2),
                act(),
                t.nn.Conv2d(narrow, 4, 3, padding=1),
                t.nn.PixelShuffle(2),
                t.nn.Sigmoid(),
            )

        def forward(self, noise):
            return super().forward(t.cat((noise, label_BL), -1))

    class Discriminator(t.nn.Module):
        def __init__(self):
            super().__init__()
            self.reader = t.nn.Sequential(
                t.nn.Conv2d(1, first, 3, stride=2, padding=1),
                act(),
                t.nn.Conv2d(first, second, 3, stride=2, padding=1),
                act(),
                t.nn.Flatten(),
            )
            self.score = t.nn.Linear(49 * second, 1)
            self.projection = t.nn.Linear(49 * second, classes, bias=False)

        def forward(self, pictures):
            features_BF = self.reader(2 * pictures - 1)
            of_class_B = (self.projection(features_BF) * label_BL).sum(-1)
            return self.score(features_BF)[:, 0] + of_class_B

    return Generator(), Discriminator()


PEERS = {"seqgen": seqgen, "eager": eager, "inductor": inductor}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    try:
        require("torch", "bench")
    except UsageError as error:
        sys.exit(f"error: {error}")
    peers, rows = {peer: processes.start(Path(__file__), peer) for peer in PEERS}, []
    for name, steps in STEPS.items():
        ms = processes.medians(peers, given.rounds, name, steps)
        best = min(("eager", "inductor"), key=ms.get)
        rows.append({"model": name, "ms": ms, "ratio": ms[best] / ms["seqgen"]})
        print(f"{name}: {ms['seqgen']:.2f} ms, PyTorch ({best}) {rows[-1]['ratio']:.2f}x")
    for process in peers.values():
        process.stdin.close()
    if given.json:
        found = {"machine": environment.record(), "generative": rows}
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1] in PEERS:
        processes.serve(PEERS[sys.argv[1]])
    else:
        main()
