"""Generated examples read by a classifier of another run."""

import json

import numpy as np
import pytest
import runs
from idx import write_mnist

from seqgen import config as configs
from seqgen import evaluate, recognition
from seqgen import run as stored_runs
from seqgen.datasets import digits, mnist
from seqgen.errors import UsageError
from seqgen.interrupt import Interrupt


def maker(workdir, model="gan", objective="adversarial", **changed):
    """A run that makes digits, after few steps."""
    c = configs.default(dataset="digits", model=model, objective=objective)
    c.dataset.order, c.dataset.batch_size = "image", 16
    c.model.encoder_sizes = c.model.decoder_sizes = (4,)
    c.model.latent_size, c.monitor = 2, None
    c.num_steps = c.log_every = c.eval_every = c.checkpoint_every = 2
    c.update_from_flattened_dict(changed)
    runs.run(c, workdir)
    return stored_runs.load(workdir)


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    """(a run that makes digits, the directory of one that tells them apart)."""
    folder = tmp_path_factory.mktemp("recognition")
    runs.run(runs.small("epochs", folder), folder / "reader")
    return maker(folder / "gan", **{"model.conditional": True}), folder / "reader"


def data(run):
    return digits.make(configs.options(run.config, "dataset"))


def test_pictures_are_laid_out_as_the_data_are_read(tmp_path):
    path = write_mnist(tmp_path, 30, 7)
    for module, given in ((mnist, {"path": path, "valid_size": 5}), (digits, {})):
        pictures = module.make(module.Options(order="image", **given)).arrays["test"]["inputs"]
        for order in module.SHAPES:
            options = module.Options(order=order, **given)
            expected = module.make(options).arrays["test"]["inputs"]
            np.testing.assert_array_equal(module.arranged(options, pictures), expected)


def test_held_out_pictures_are_recognised_as_often_as_their_rows(readers):
    """The classifier's own evaluation says how often that is."""
    run, reader = readers
    other = stored_runs.load(reader)
    dataset, classifier = data(run), recognition.load(reader, run)
    with Interrupt() as interrupt:
        own = evaluate.checkpoint_evaluator(other, data(other), "valid")(
            stored_runs.parameters(other, "best"), interrupt
        )
        details = recognition.describer(run, dataset, "valid", classifier)(
            stored_runs.parameters(run, "latest"), dataset.arrays, interrupt
        )
    assert details.metrics["recognised_real"] == pytest.approx(own["metrics"]["accuracy"])
    assert details.metrics.keys() == {
        *("recognised", "recognised_real", "fd-pixels, n=180", "fd-reader, n=180")
    }
    assert "fd-reader, n=180: " in details.sentence
    json.dumps(details.facts)
    low, high = (details.facts["features"]["of_generated"][end] for end in ("low", "high"))
    assert low < details.metrics["recognised"] < high


def test_the_features_are_what_the_output_layer_reads(readers):
    run, reader = readers
    classifier = recognition.load(reader, run)
    other = stored_runs.load(reader)
    output = stored_runs.parameters(other, "best").params["model"]["output"]
    x_NHWC = np.random.RandomState(0).uniform(size=(5, 8, 8, 1)).astype(np.float32)
    features_NF, class_N = classifier.read(x_NHWC)
    model = configs.model(other.config, other.spec)
    params = stored_runs.parameters(other, "best").params["model"]
    _, logits_NC = model.apply({"params": params}, x_NHWC[..., 0])
    written_NC = features_NF @ np.asarray(output["kernel"]) + np.asarray(output["bias"])
    np.testing.assert_allclose(written_NC, logits_NC, atol=1e-5)
    np.testing.assert_array_equal(class_N, np.argmax(logits_NC, axis=1))


def test_shares_and_distances_are_those_of_planted_ones():
    """All numbers moved by c are at the squared distance |c|^2."""

    def read(x):
        return x[:, 0, :, 0], np.round(x[:, 0, 0, 0]).astype(int)

    random = np.random.RandomState(0)
    real = random.uniform(0, 0.4, (20, 1, 3, 1))
    made = np.concatenate([real + 1, random.uniform(1, 1.4, (5, 1, 3, 1))])
    asked_M = np.repeat([1, 0], [20, 5])
    seen = recognition.recognised(
        recognition.Classifier("planted", {}, read), real, np.zeros(20), made, asked_M
    )
    assert (seen.of_generated.value, seen.of_real.value) == (0.8, 1.0)
    assert seen.distance.name == "fd-planted, n=20"
    assert seen.distance.distance.value == pytest.approx(3, rel=1e-5)
    assert seen.in_pixels.distance.value == pytest.approx(3, rel=1e-5)


def test_features_that_are_too_many_cost_their_distance_alone():
    wide = recognition.Classifier("wide", {}, lambda x: (np.zeros((len(x), 2049)), np.ones(len(x))))
    x = np.random.RandomState(0).uniform(size=(20, 1, 3, 1))
    seen = recognition.recognised(wide, x, np.ones(20), x, None)
    assert seen.distance is None and seen.in_pixels.distance.value < 1e-6
    assert seen.of_real.value == 1 and seen.of_generated is None


def test_what_a_classifier_can_not_read_is_refused(readers, tmp_path):
    run, reader = readers
    with pytest.raises(UsageError, match="must name a run that classifies"):
        recognition.load(run.workdir, run)
    with pytest.raises(UsageError, match="makes none"):
        recognition.load(reader, stored_runs.load(reader))
    for changed, sentence in (
        ({"dataset": "mnist"}, "classifier of digits, but .* makes examples of mnist"),
        ({"classes": ["shirt"]}, "the classes of .* are not those of"),
    ):
        with pytest.raises(UsageError, match=sentence):
            recognition.load(reader, run._replace(spec=run.spec | changed))
    series = run.spec | {"inputs": {"kind": "real", "size": 4}, "length": 16}
    with pytest.raises(UsageError, match="in another form"):
        recognition.load(reader, run._replace(spec=series))
