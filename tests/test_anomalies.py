"""A class that was never seen: its scores, recomputed, and what an evaluation says of them."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics

from seqgen import anomalies, evaluate, latents, predictions
from seqgen import config as configs
from seqgen import run as stored_runs
from seqgen.interrupt import Interrupt
from seqgen.objectives import elbo

SAMPLES = latents.CHUNK + 7  # not a whole number of chunks
OBJECTIVES = {"vae": "elbo", "autoencoder": "reconstruction"}


def untrained(workdir, model, held_out="8"):
    """(run, its parameters at the start, dataset); enough to be evaluated."""
    c = configs.default(dataset="digits", model=model, objective=OBJECTIVES[model])
    c.dataset.order, c.dataset.batch_size, c.dataset.held_out = "image", 60, held_out
    c.model.encoder_sizes = c.model.decoder_sizes = (64,)
    c.model.latent_size = 3
    if model == "vae":
        c.model.likelihood, c.objective.evaluation_samples = "gaussian", SAMPLES
    dataset = configs.part("dataset", "digits").make(configs.options(c, "dataset"))
    objective = configs.assemble(c, dataset.spec)
    run = stored_runs.Run(workdir, c, dataset.spec, dataset.fingerprint, objective)
    batch = stored_runs.example(dataset.spec, 1)
    begun = jax.jit(objective.init)(jax.random.key(0), batch)
    params, memory = jax.device_put(begun, jax.devices()[0])  # where a checkpoint is restored
    return run, stored_runs.Found(1, params, memory, "0" * 64), dataset


@pytest.mark.slow
def test_each_score_is_what_it_is_called_whatever_is_computed_together(tmp_path, monkeypatch):
    run, found, dataset = untrained(tmp_path, "vae")
    model, own = configs.model(run.config, run.spec), found.params["model"]
    seen, largest = [], []
    for together in (latents.TOGETHER, 2 * 60 * 64):  # two samples of a batch at once
        monkeypatch.setattr(latents, "TOGETHER", together)
        look = latents.posteriors(run, model, dataset, "test")
        traced = look.trace(found.params, dataset.arrays, jnp.int32(1), ())
        sizes = re.findall(r"f32\[([\d,]+)\]", str(traced.jaxpr))
        largest.append(max(math.prod(map(int, size.split(","))) for size in sizes))
        compiled = traced.lower().compile()
        seen.append(compiled(found.params, dataset.arrays, jnp.int32(1))["scores"])
    assert largest[0] >= latents.CHUNK * 60 * 64 and largest[1] < 4 * 60 * 64
    batch = dataset.batch(dataset.arrays, "test", jnp.int32(1), None)
    noise = [elbo.noise(batch, 1 + n, (latents.CHUNK, 3)) for n in range(2)]
    posterior = elbo.sampled(model, own, batch, jnp.concatenate(noise)[:SAMPLES])
    log_w_KB = np.asarray(elbo.log_weights(model, own, batch, posterior)[0], np.float64)
    made = model.apply({"params": own}, posterior.mean, method="decode")
    squared = 0.5 * np.sum(np.square(batch["inputs"] - made), axis=(1, 2, 3))
    for scores in seen:
        np.testing.assert_allclose(scores["elbo"], -log_w_KB.mean(0), rtol=1e-4, atol=1e-3)
        tight = -np.log(np.exp(log_w_KB).mean(0))
        np.testing.assert_allclose(scores["iwae"], tight, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(scores["squared_error"], squared, rtol=1e-4)
        assert np.all(scores["iwae"] <= scores["elbo"])


def test_an_evaluation_tells_regular_from_anomalous_where_there_are_both(tmp_path, monkeypatch):
    monkeypatch.setattr(latents, "draw", lambda *_: None)  # no other pictures
    run, found, dataset = untrained(tmp_path, "autoencoder")
    results = {}
    for split in ("test", "valid"):
        with Interrupt() as interrupt:
            results[split] = evaluate.checkpoint_evaluator(run, dataset, split)(found, interrupt)
    assert "anomalies" not in results["valid"]
    assert not any("auroc" in name for name in results["valid"]["metrics"])
    numbers, facts = results["test"]["metrics"], results["test"]["anomalies"]
    assert set(numbers) <= set(predictions.reports(run))
    assert (facts["held_out"], facts["n_regular"] + facts["n_anomalous"]) == ("8", 360)
    model, own = configs.model(run.config, run.spec), {"params": found.params["model"]}
    arrays = dataset.arrays["test"]
    x = arrays["inputs"] / np.float32(16)
    score_N = np.sum(np.square(x - np.asarray(model.apply(own, x))), axis=(1, 2, 3)) / 2
    eight_N = arrays["targets"] == 8
    assert numbers["auroc_squared_error"] == pytest.approx(
        metrics.roc_auc_score(eight_N, score_N), abs=1e-3
    )
    found_there = facts["scores"]["squared_error"]
    alarm_N = score_N > found_there["threshold"]["value"]
    assert numbers["false_alarms_squared_error"] == pytest.approx(
        alarm_N[~eight_N].mean(), abs=0.01
    )
    assert numbers["detections_squared_error"] == pytest.approx(alarm_N[eight_N].mean(), abs=0.04)
    assert found_there["threshold"]["n"] == len(dataset.arrays["valid"]["targets"])
    assert (tmp_path / "evaluations/test-1-anomalies.png").is_file()


def test_a_model_that_sees_all_classes_reports_none_of_it(tmp_path):
    run, _, _ = untrained(tmp_path, "vae", held_out=None)
    assert not any("auroc" in name for name in predictions.reports(run))


def test_scores_that_are_no_numbers_and_too_few_to_calibrate_are_said_so(tmp_path):
    run, _, _ = untrained(tmp_path, "autoencoder")
    targets_N = np.repeat([0, 8], 10)
    score_N = np.arange(20.0)
    few = anomalies.describe(
        run, {"squared_error": score_N}, targets_N, {"squared_error": np.zeros(5)}, tmp_path / "few"
    )
    assert few.metrics["auroc_squared_error"] == 1
    assert few.metrics["detections_squared_error"] == 0  # 5 examples allow no alarm at 5 %
    assert few.facts["anomalies"]["scores"]["squared_error"]["threshold"]["value"] is None
    none = anomalies.describe(
        run, {"squared_error": score_N * np.nan}, targets_N, {"squared_error": score_N}, tmp_path
    )
    assert np.isnan(none.metrics["auroc_squared_error"])
