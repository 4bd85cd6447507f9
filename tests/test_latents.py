"""Evaluations of models with a latent vector, and the examples that they make."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs
from matplotlib import image

from seqgen import config as configs
from seqgen import decoding, evaluate, generate, latents, report, samples, verify
from seqgen import run as stored_runs
from seqgen.errors import UsageError
from seqgen.interrupt import Interrupt
from seqgen.objectives import elbo

SAMPLES = latents.CHUNK + 7  # not a whole number of chunks


def trained(workdir, dataset="digits", **changed):
    c = configs.default(dataset=dataset, model="vae", objective="elbo")
    c.dataset.batch_size = 32
    c.model.encoder_sizes = c.model.decoder_sizes = (8,)
    c.model.latent_size, c.objective.evaluation_samples = 3, SAMPLES
    c.num_steps = c.log_every = c.eval_every = c.checkpoint_every = 8
    c.update_from_flattened_dict(changed)
    runs.run(c, workdir)
    run = stored_runs.load(workdir)
    return run, stored_runs.parameters(run, "best")


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    changed = {"dataset.order": "image", "model.conditional": True}
    return trained(tmp_path_factory.mktemp("latents") / "run", **changed)


def evaluated(run, found, batch_size, split="valid"):
    options = configs.options(run.config, "dataset")
    dataset = configs.part("dataset", run.config.dataset.name).make(
        options.__class__(**{**vars(options), "batch_size": batch_size})
    )
    with Interrupt() as interrupt:
        result = evaluate.checkpoint_evaluator(run, dataset, split)(found, interrupt)
    return dataset, result


@pytest.mark.slow
def test_the_log_likelihood_is_the_bound_with_all_samples_at_once_whatever_the_batches(opened):
    run, found = opened
    dataset, result = evaluated(run, found, batch_size=50)
    _, other = evaluated(run, found, batch_size=180)
    for name, value in result["metrics"].items():
        assert other["metrics"][name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    batch = dataset.batch(dataset.arrays, "valid", jnp.int32(0), None)
    model, own = configs.model(run.config, run.spec), found.params["model"]
    noise = [elbo.noise(batch, 1 + n, (latents.CHUNK, 3)) for n in range(2)]
    noise_KBZ = jnp.concatenate(noise)[:SAMPLES]
    posterior = elbo.sampled(model, own, batch, noise_KBZ)
    log_w_KB = np.asarray(elbo.log_weights(model, own, batch, posterior)[0], np.float64)
    expected_B = -np.log(np.mean(np.exp(log_w_KB - log_w_KB.max(0)), axis=0)) - log_w_KB.max(0)
    look = latents.posteriors(run, model, dataset, "valid")
    seen = look(found.params, dataset.arrays, jnp.int32(0), ())
    np.testing.assert_allclose(seen["nats"], expected_B, rtol=1e-4)
    assert latents.named(run) == f"nll_iwae_{SAMPLES}" in result["metrics"]


def test_an_evaluation_leaves_pictures_that_the_report_shows(opened):
    run, found = opened
    evaluated(run, found, batch_size=90)
    folder = run.workdir / "evaluations" / "pictures"
    made = {p.stem.split("-")[-1] for p in folder.glob(f"valid-{found.step}-*.png")}
    assert made == {"reconstructions", "interpolation", "latent", "traversals", "samples"}
    for file in folder.glob("*.png"):
        assert "of an evaluation" in verify.verify(file).sentence
    runs_page = report.report(run.workdir).read_text()
    assert all(f"valid-{found.step}-{name}" in runs_page for name in made)


def test_an_example_depends_on_seed_index_and_class_alone(opened):
    run, found = opened
    options = decoding.Options()

    def made(indices, prompt=None, seed=0):
        every = samples.make(run, found, indices, prompt, options, seed)
        return [one.content for one in every]

    many = made(range(samples.BLOCK + 2))
    last = samples.BLOCK + 1
    assert many[last:] == made(range(last, last + 1))
    assert many[3] == made(range(3, 4), prompt="3")[0] != made(range(3, 4), prompt="4")[0]
    assert many[:2] != made(range(2), seed=1)


def test_a_picture_is_a_png_of_the_datas_shape_marked_and_made_again(opened):
    run, found = opened
    files = generate.generate(run, found, 2, None, decoding.Options(), 3)
    for file in files:
        assert image.imread(file).shape[:2] == (8, 8)
        assert verify.verify(file).finding is verify.Finding.GENERATED
    changed = files[0].read_bytes() + b" "
    files[0].write_bytes(changed)
    assert verify.verify(files[0]).finding is verify.Finding.ALTERED


def test_bad_requests_are_one_sentence(opened):
    run, found = opened
    for prompt, options, sentence in (
        ("ten", {}, "unknown class 'ten'"),
        (None, {"top_k": 3}, "--top_k is for tokens"),
        (None, {"beam": 3}, "--beam is for tokens"),
    ):
        with pytest.raises(UsageError, match=sentence):
            samples.make(run, found, range(1), prompt, decoding.Options(**options), 0)


@pytest.mark.slow
def test_series_are_generated_as_the_data_write_them(tmp_path):
    changed = {"model.likelihood": "gaussian", "dataset.length": 6, "dataset.test_size": 20}
    run, found = trained(tmp_path / "run", dataset="sines", **changed)
    (file,) = generate.generate(run, found, 1, None, decoding.Options(), 0)
    rows = [list(map(float, line.split(","))) for line in file.read_text().splitlines()]
    assert file.suffix == ".csv" and np.shape(rows) == (6, 5)
    with pytest.raises(UsageError, match="told none"):
        samples.make(run, found, range(1), "0", decoding.Options(), 0)


def untrained(dataset, model, objective, **changed):
    """(run, its parameters at the start, dataset) without a directory."""
    c = configs.default(dataset=dataset, model=model, objective=objective)
    c.dataset.batch_size = 10
    c.model.encoder_sizes = c.model.decoder_sizes = (4,)
    c.update_from_flattened_dict(changed)
    data = configs.part("dataset", dataset).make(configs.options(c, "dataset"))
    made = configs.assemble(c, data.spec)
    run = stored_runs.Run(None, c, data.spec, data.fingerprint, made)
    batch = stored_runs.example(data.spec, 1)
    params, memory = jax.jit(made.init)(jax.random.key(0), batch)
    return run, stored_runs.Found(0, params, memory, ""), data


def test_series_that_no_file_is_read_as_are_written_like_others():
    run, found, _ = untrained("digits", "gan", "adversarial", **{"dataset.order": "rows"})
    (one,) = samples.make(run, found, range(1), None, generate.usual(run), 0)
    rows = [list(map(float, line.split(","))) for line in one.content.decode().splitlines()]
    assert one.ending == "csv" and np.shape(rows) == (8, 8)


def test_pictures_are_made_of_data_that_have_answers_too():
    few = {"dataset.train_size": 20, "dataset.test_size": 10}
    run, found, data = untrained("shapes", "vae", "elbo", **few)
    (one,) = samples.make(run, found, range(1), None, generate.usual(run), 0)
    assert one.ending == "png"
    batch = data.batch(data.arrays, "valid", jnp.int32(0), None, *data.shape("valid", 0, False))
    assert latents.kept(batch, run.spec).keys() == {"inputs", "weight_B"}
    evaluate.refuse_search(run, evaluate.GREEDY)
    with pytest.raises(UsageError, match="is for answers"):
        evaluate.refuse_search(run, decoding.Options(beam=2))


@pytest.mark.slow
def test_sentences_are_written_marked_and_made_again(tmp_path):
    c = configs.default(dataset="sentences", model="sequence_vae", objective="elbo")
    c.dataset.size, c.dataset.batch_size = 100, 20
    c.model.hidden_size, c.model.embedding_size, c.model.latent_size = 8, 4, 3
    c.model.word_dropout, c.objective.evaluation_samples = 0.5, 7
    c.num_steps = c.log_every = c.eval_every = c.checkpoint_every = 4
    runs.run(c, tmp_path / "run")
    run = stored_runs.load(tmp_path / "run")
    found = stored_runs.parameters(run, "best")
    _, result = evaluated(run, found, batch_size=7)
    assert {"perplexity_bound", "active_units", "nll_iwae_7", "kl"} <= result["metrics"].keys()
    folder = run.workdir / "evaluations" / "sentences"
    texts = {p.stem.split("-")[-1]: p for p in folder.glob("*.txt")}
    assert texts.keys() == {"reconstructions", "interpolation", "samples"}
    assert verify.verify(texts["samples"]).finding is verify.Finding.UNREPEATED
    blocks = texts["interpolation"].read_text().strip().split("\n\n")
    again = texts["reconstructions"].read_text().split("\n\n")
    for number, block in enumerate(blocks):  # it begins at what an example becomes when made again
        example, first = block.splitlines()[:2]
        shown, made = again[2 * number].splitlines()
        assert example == shown and first.removeprefix("0.0") == made.removeprefix("written")
    files = generate.generate(run, found, 2, None, decoding.Options(length=5, top_k=3), 0)
    for file in files:
        assert len(file.read_text().split()) <= 5 and file.suffix == ".txt"
        assert verify.verify(file).finding is verify.Finding.GENERATED
    assert texts["interpolation"].name in report.report(run.workdir).read_text()
    with pytest.raises(UsageError, match="--beam is for answers"):
        samples.make(run, found, range(1), None, decoding.Options(beam=2), 0)


def test_keys_of_examples_are_their_numbers():
    batch = {"index_B": jnp.arange(5)}
    whole = elbo.noise(batch, 0, (2, 3))
    part = elbo.noise({"index_B": jnp.arange(3, 5)}, 0, (2, 3))
    np.testing.assert_array_equal(whole[:, 3:], part)
    assert len(np.unique(jax.device_get(whole))) == whole.size
