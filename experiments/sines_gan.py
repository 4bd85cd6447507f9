"""Series of sines, by an adversarial game of two recurrent networks.

python launch.py train --config=experiments/sines_gan.py        (default, paper)
4 minutes on one CPU core, of a machine that was busy for six times as long. One seed, test coverage
0.54 (0.49 to 0.59), where 0.8 was hoped for; discriminative score 0.397 (0.383 to 0.412, 5 refits;
published, TimeGAN: 0.011); forecasting error 0.0033, of a forecaster of real series 0.0027. The
generated sines still bend where real ones do not, and the discriminator is near ln 2 from early on.
With r1 and r2 of 0.1 coverage was 0.61 after 2000 of 4000 steps. These are the sines of TimeGAN's
code; paper, with its frequencies and phases, was not run.
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("default", "paper")


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    variant = config.variant_of(arg, VARIANTS)
    c = config.default(dataset="sines", model="gan", objective="adversarial")
    c.dataset.batch_size = 64
    c.dataset.ranges = "paper" if variant == "paper" else "code"
    c.model.encoder = c.model.decoder = "recurrent"
    c.model.encoder_sizes = c.model.decoder_sizes = (48,)
    c.model.cell = "gru"
    c.model.latent_size = 16
    c.objective.r1 = c.objective.r2 = 0.01
    c.num_steps = 2500
    c.objective.penalty_steps, c.objective.penalty_end = c.num_steps, 0.01
    c.log_every, c.eval_every, c.checkpoint_every = 100, 2500, 500
    c.monitor = None
    c.ema = 0.995
    c.optimizer.rule, c.optimizer.learning_rate = "adam", 2e-3
    c.optimizer.beta1, c.optimizer.beta2 = 0.0, 0.99
    c.optimizer.schedule = "cosine"
    return c
