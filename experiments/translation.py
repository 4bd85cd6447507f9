"""German to English on Multi30k, an encoder and a decoder with attention.

python launch.py train --config=experiments/translation.py     (needs $SEQGEN_DATA/multi30k)
87 minutes on one CPU core, of which it had 69. One seed: test score 36.4 BLEU greedy, by words in
lower case of test_2016_flickr, and 37.3 by `evaluate --beam=5 --length_power=1` (published for
attention, greedy, by another tokeniser: 28.30). By sacreBLEU against the untouched translations
(lower case, 13a): 34.3 and 35.5; chrF2 54.7 and 55.5. Validation has BLEU of whole words only: with
--config.dataset.unit=subword or character goes --config.monitor=loss.
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("default",)


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    config.variant_of(arg, VARIANTS)
    c = config.default(dataset="translation", model="encoder_decoder", objective="likelihood")
    c.dataset.batch_size, c.dataset.max_length = 128, 30
    c.dataset.buckets = 6  # half of a batch would be padding
    c.model.hidden_size, c.model.embedding_size = 320, 256
    c.model.bidirectional = True
    c.model.attention = "general"
    c.model.tie_embedding = True
    c.model.input_dropout, c.model.output_dropout = 0.3, 0.4
    c.objective.label_smoothing = 0.1
    c.num_steps = 2800
    c.log_every, c.eval_every, c.checkpoint_every = 50, 400, 400
    c.monitor = "bleu"
    c.ema = 0.99
    c.optimizer.rule, c.optimizer.learning_rate = "adamw", 2e-3
    c.optimizer.weight_decay = 0.01
    c.optimizer.schedule = "cosine"
    c.optimizer.warmup_steps = 200
    c.optimizer.clip_norm = 1.0
    return c
