"""Variations of a given example, against the posterior that they are drawn from."""

import sys

import jax.numpy as jnp
import numpy as np
import pytest
import runs

from seqgen import around, backend, generate, pictures, run_directory, verify
from seqgen import config as configs
from seqgen import run as stored_runs
from seqgen.errors import UsageError
from seqgen.objectives import elbo

sys.path.insert(0, str(runs.ROOT))
import launch


def config(dataset="digits", **changed):
    """A decoder without hidden layers: the moments of what it makes are known."""
    c = configs.default(dataset=dataset, model="vae", objective="elbo")
    c.dataset.batch_size = 50
    c.model.encoder_sizes, c.model.decoder_sizes = (8,), ()
    c.model.latent_size, c.model.likelihood = 3, "gaussian"
    c.num_steps = c.log_every = c.eval_every = c.checkpoint_every = 4
    c.update_from_flattened_dict(changed)
    return c


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("around") / "run"
    runs.run(config(**{"dataset.order": "image", "model.conditional": True}), workdir)
    run = stored_runs.load(workdir)
    return run, stored_runs.parameters(run, "best")


def unopened(dataset, **changed):
    """A run of which there is no more than its records."""
    c = config(dataset, **changed)
    made = configs.part("dataset", dataset).make(configs.options(c, "dataset"))
    return stored_runs.Run(None, c, made.spec, made.fingerprint, configs.assemble(c, made.spec))


def posterior(run, found, one):
    """(mean [Z], deviation [Z], decode)."""
    model, variables = configs.model(run.config, run.spec), {"params": found.params["model"]}
    x, label = one.batch["inputs"], one.batch["targets"]
    mean, log_variance = model.apply(variables, x, label, method="encode")
    decode = lambda z: model.apply(variables, z[None], label, method="decode")[0]  # noqa: E731
    return mean[0], jnp.exp(log_variance[0] / 2), decode


def test_scale_zero_makes_the_example_again(opened):
    run, found = opened
    one = around.example(run, 7, None)
    mean_Z, _, decode = posterior(run, found, one)
    for made in around.variations(run, found, one, range(2), 0.0, 0):
        np.testing.assert_allclose(made, decode(mean_Z), rtol=1e-5, atol=1e-6)


def test_mean_and_variance_over_many_draws_are_those_of_the_widened_posterior(opened):
    run, found = opened
    one, scale, n = around.example(run, 7, None), 1.7, 4000
    mean_Z, deviation_Z, decode = posterior(run, found, one)
    made_NP = around.variations(run, found, one, range(n), scale, 0).reshape(n, -1)
    base_P = np.ravel(decode(jnp.zeros(3)))
    slope_ZP = np.stack([np.ravel(decode(axis)) - base_P for axis in jnp.eye(3)])
    variance_P = scale**2 * np.asarray(deviation_Z**2) @ slope_ZP**2
    error_P = 5 * np.sqrt(variance_P / n) + 1e-6
    assert np.all(np.abs(made_NP.mean(0) - base_P - np.asarray(mean_Z) @ slope_ZP) < error_P)
    np.testing.assert_allclose(made_NP.var(0), variance_P, rtol=5 * np.sqrt(2 / n), atol=1e-9)


def test_a_variation_depends_on_seed_and_index_alone(opened):
    run, found = opened
    one, last = around.example(run, 7, None), around.samples.BLOCK + 1
    many = around.variations(run, found, one, range(last + 1), 1.0, 5)
    alone = around.variations(run, found, one, range(last, last + 1), 1.0, 5)
    assert many[last:].tobytes() == alone.tobytes()
    assert np.any(many[0] != many[1])
    assert np.any(many[0] != around.variations(run, found, one, range(1), 1.0, 6)[0])


def test_an_example_of_the_split_is_that_of_the_data_with_its_class(opened):
    run, _ = opened
    one = around.example(run, 123, None)
    part = configs.part("dataset", "digits")
    valid = part.make(configs.options(run.config, "dataset")).arrays["valid"]
    np.testing.assert_allclose(one.batch["inputs"][0], valid["inputs"][123] / 16.0)
    assert int(one.batch["targets"][0]) == valid["targets"][123]
    bits = {"model.likelihood": "bernoulli", "objective.binarization": "fixed"}
    drawn = around.example(unopened("digits", **bits, **{"dataset.order": "image"}), 123, None)
    expected = elbo.fixed_bits({"inputs": one.batch["inputs"], "index_B": jnp.asarray([123])})
    np.testing.assert_array_equal(drawn.batch["inputs"], expected)


def test_variations_are_marked_and_made_again(opened, tmp_path):
    run, found = opened
    stored = around.example(run, 7, None)
    label = str(int(stored.batch["targets"][0]))
    file = tmp_path / "seven.png"
    file.write_bytes(pictures.picture(np.asarray(stored.batch["inputs"][0])))
    read = around.example(run, str(file), label)
    np.testing.assert_allclose(read.batch["inputs"], stored.batch["inputs"], atol=1 / 255)
    for one, prompt in ((stored, None), (read, label)):
        *made, picture = around.write(run, found, one, 2, 1.5, prompt, 3)
        for variation in made:
            assert verify.verify(variation).finding is verify.Finding.GENERATED
        assert "variations of it" in verify.verify(picture).sentence
    record = run_directory.read_json(generate.record_of(made[0]))
    assert (record["around"], record["scale"]) == (str(file), 1.5)
    run_directory.write_json(generate.record_of(made[0]), record | {"scale": 40.0})
    assert verify.verify(made[0]).finding is verify.Finding.ALTERED
    run_directory.write_json(generate.record_of(made[0]), record | {"scale": "wide"})
    assert verify.verify(made[0]).finding is verify.Finding.UNKNOWN
    file.write_bytes(b"another picture")
    assert "is gone or another one" in verify.verify(made[1]).sentence


def test_what_can_not_be_varied_is_said_in_one_sentence(opened, tmp_path, capsys, monkeypatch):
    run, _ = opened
    monkeypatch.setattr(backend, "start", lambda *_, **__: None)  # JAX has begun
    (tmp_path / "text.png").write_text("no picture")
    for arguments, sentence in (
        (["--around=180"], "--around=180: the examples of valid have the numbers 0 to 179"),
        (["--around=-1"], "the numbers 0 to 179"),
        (["--around=3", "--prompt=3"], "an example of the data has its own"),
        (["--around=3", "--scale=-1"], "--scale must be a finite number of at least 0, not -1"),
        (["--around=3", "--scale=nan"], "--scale must be a finite number"),
        (["--around=3", "--top_k=2"], "--top_k says nothing of variations"),
        (["--scale=2"], "give --around too"),
        (["--around=none.png"], "none.png: there is no such file"),
        ([f"--around={tmp_path}/text.png"], "give --prompt=CLASS, one of 0, 1, 2"),
        ([f"--around={tmp_path}/text.png", "--prompt=3"], "can't be read as a picture"),
        ([f"--around={tmp_path}/text.png", "--prompt=x"], "unknown class 'x'"),
    ):
        code = launch.main(["launch.py", "generate", f"--workdir={run.workdir}", *arguments])
        err = capsys.readouterr().err
        assert code == 2 and sentence in err and err.count("\n") == 1, err
    other = run._replace(objective=run.objective._replace(reports={}))
    with pytest.raises(UsageError, match="for a variational autoencoder of pictures, points"):
        around.example(other, 3, None)
    changed = run._replace(fingerprint="another" * 4)
    with pytest.raises(UsageError, match="have changed since training"):
        around.example(changed, 3, None)


def test_points_and_series_are_read_as_they_are_written(tmp_path):
    points = unopened("points", **{"model.latent_size": 1})
    (tmp_path / "point.csv").write_text("0.5,-2\n")
    one = around.example(points, str(tmp_path / "point.csv"), None)
    np.testing.assert_array_equal(one.batch["inputs"], [[0.5, -2]])
    sines = unopened("sines", **{"dataset.length": 2, "dataset.features": 2})
    (tmp_path / "series.csv").write_text("0.5,1\n0,0.25\n")
    one = around.example(sines, str(tmp_path / "series.csv"), None)
    np.testing.assert_array_equal(one.batch["inputs"], [[[0.5, 1], [0, 0.25]]])
    with pytest.raises(UsageError, match="series.csv: the point has 3 fields, but 2 are needed"):
        around.example(points, str(tmp_path / "series.csv"), None)
    with pytest.raises(UsageError, match="point.csv: the series has 1 lines, but 2 are needed"):
        around.example(sines, str(tmp_path / "point.csv"), None)
    rows = unopened("digits")
    with pytest.raises(UsageError, match="digits reads no files of series"):
        around.example(rows, str(tmp_path / "series.csv"), None)
