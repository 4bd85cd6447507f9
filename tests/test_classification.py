"""F1 against scikit-learn's, over splits that are batched in several ways."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import f1_score

from seqgen.metrics import classification, means

N, C = 50, 4


def examples(seed, classes=C):
    random = np.random.RandomState(seed)
    return random.randn(N, C).astype(np.float32), random.randint(0, classes, N)


def reported(logits_NC, target_N, weight_N, batch_size):
    parts = [slice(i, i + batch_size) for i in range(0, N, batch_size)]
    pieces = [
        classification.f1(*(jnp.asarray(x[part]) for x in (logits_NC, target_N, weight_N)))
        for part in parts
    ]
    return classification.finalize(means(pieces) | {"accuracy": 0.5})


@pytest.mark.parametrize("batch_size", [1, 7, 50])
@pytest.mark.parametrize("seed", [0, 1])
def test_macro_f1_is_scikit_learns_whatever_the_batches(seed, batch_size):
    logits_NC, target_N = examples(seed)
    weight_N = (np.arange(N) < 43).astype(np.float32)  # the others fill up
    expected = f1_score(target_N[:43], logits_NC[:43].argmax(-1), average="macro")
    found = reported(logits_NC, target_N, weight_N, batch_size)
    assert found == {"accuracy": 0.5, "macro_f1": pytest.approx(expected, rel=1e-6)}


def test_a_class_that_does_not_occur_does_not_count():
    logits_NC, target_N = examples(2, classes=3)
    logits_NC[:, 3] = -9
    expected = f1_score(target_N, logits_NC.argmax(-1), average="macro")  # of three classes
    found = reported(logits_NC, target_N, np.ones(N, np.float32), 10)
    assert found["macro_f1"] == pytest.approx(expected, rel=1e-6)
    logits_NC[0, 3] = 9  # taken for the fourth class once: its score is 0
    expected = f1_score(target_N, logits_NC.argmax(-1), average="macro", zero_division=0)
    found = reported(logits_NC, target_N, np.ones(N, np.float32), 10)
    assert found["macro_f1"] == pytest.approx(expected, rel=1e-6)


def test_without_classes_there_is_no_f1():
    assert classification.finalize({"loss": 1.0}) == {"loss": 1.0}
