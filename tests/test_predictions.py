"""What evaluation says of each example: exact over the split, whatever the batch size."""

import json

import jax
import numpy as np
import pytest
import runs
from flickr import write_captions
from sklearn.metrics import confusion_matrix

from seqgen import config as configs
from seqgen import decoding, evaluate, report, verify
from seqgen import run as stored_runs
from seqgen.datasets import vocabulary
from seqgen.errors import UsageError
from seqgen.interrupt import Interrupt
from seqgen.metrics import texts

GERMAN = ["Ein Hund läuft.", "Eine Katze schläft.", "Ein Hund schläft.", "Eine Katze läuft."]
ENGLISH = ["A dog's run.", "A cat sleeps.", "A dog sleeps.", "A well-fed cat runs."]


def trained(config, workdir):
    runs.run(config, workdir)
    run = stored_runs.load(workdir)
    return run, stored_runs.parameters(run, "latest")


def evaluated(run, found, split, **changes):
    options = configs.options(run.config, "dataset")
    for name, value in changes.items():
        run.config.dataset[name] = value
    dataset = configs.part("dataset", run.config.dataset.name).make(
        configs.options(run.config, "dataset")
    )
    for name in changes:
        run.config.dataset[name] = getattr(options, name)
    with Interrupt() as interrupt:
        result = evaluate.checkpoint_evaluator(run, dataset, split)(found, interrupt)
    return dataset, result


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    return trained(runs.small("epochs", folder), folder / "run")


@pytest.fixture(scope="module")
def translation(tmp_path_factory):
    """(run, checkpoint) on sentences of which some words are too rare to be known."""
    folder = tmp_path_factory.mktemp("translation")
    for language, lines in (("de", GERMAN), ("en", ENGLISH)):
        text = "".join(f"{line}\n" for line in lines)
        for split in ("train", "val", "test"):
            (folder / f"{split}.{language}").write_text(text, "utf-8")
    c = configs.default(dataset="translation", model="encoder_decoder", objective="likelihood")
    c.dataset.path, c.dataset.batch_size = str(folder), 2
    c.model.hidden_size = c.model.embedding_size = 8
    c.num_steps = c.log_every = c.eval_every = c.checkpoint_every = 8
    return trained(c, folder / "run")


def test_confusions_are_scikit_learns_whatever_the_batches(digits):
    run, found = digits
    results = []
    for batch_size in (64, 7, 1000):
        dataset, result = evaluated(run, found, "valid", batch_size=batch_size)
        results.append(result["confusion"])
    assert results[0] == results[1] == results[2]
    batch = dataset.batch(dataset.arrays, "valid", np.int32(0), None)
    real = np.asarray(batch["weight_B"]) > 0
    model = configs.model(run.config, run.spec)
    _, logits = model.apply({"params": found.params["model"]}, batch["inputs"])
    expected = confusion_matrix(
        np.asarray(batch["targets"])[real], np.argmax(logits, -1)[real], labels=range(10)
    )
    np.testing.assert_array_equal(results[0], expected)
    trace = np.trace(expected) / expected.sum()
    assert result["metrics"]["accuracy"] == pytest.approx(trace)


def test_the_report_shows_the_confusions(digits):
    run, found = digits
    evaluated(run, found, "valid")
    drawn = run.workdir / "evaluations" / f"valid-{found.step}-confusion.png"
    assert drawn.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert f'alt="{drawn.stem}"' in report.report(run.workdir).read_text()


def test_every_answer_is_written_in_the_order_of_the_data(translation):
    """Against `generate` on the sentences themselves."""
    run, found = translation
    greedy = decoding.Options(temperature=0.0)
    (expected,) = runs.texts(run, found, range(1), "\n".join(GERMAN), greedy, 0)
    for batch_size in (1, 3, 100):
        evaluated(run, found, "test", batch_size=batch_size)
        file = run.workdir / "evaluations" / "answers" / f"test-{found.step}.txt"
        assert file.read_text() == expected
    assert verify.verify(file).finding is verify.Finding.UNREPEATED
    file.write_text(expected + "more")
    assert verify.verify(file).finding is verify.Finding.ALTERED


def test_sacrebleu_is_held_against_the_untouched_translations(translation):
    run, found = translation
    _, result = evaluated(run, found, "test")
    assert {"sacrebleu", "sacrebleu_tokenised", "chrf"} <= result["metrics"].keys()
    assert "case:lc" in result["signatures"]["sacrebleu"]
    assert "tok:13a" in result["signatures"]["sacrebleu"]
    assert "tok:none" in result["signatures"]["sacrebleu_tokenised"]
    file = run.workdir / "evaluations" / f"test-{found.step}.json"
    assert json.loads(file.read_text())["signatures"] == result["signatures"]
    data = configs.part("dataset", "translation")
    options = configs.options(run.config, "dataset")
    assert data.references(options, "test") == [(line,) for line in ENGLISH]


def test_without_sacrebleu_its_numbers_are_left_out_with_a_sentence(translation, monkeypatch):
    def missing(module, extra):
        raise UsageError(f"{module} is not installed")

    run, found = translation
    monkeypatch.setattr(texts, "require", missing)
    _, result = evaluated(run, found, "test")
    assert "sacrebleu" not in result["metrics"]
    assert "sacrebleu is not installed" in evaluate.line(result, run.objective.reports)


def test_words_are_put_together_as_they_were(translation):
    run, _ = translation
    data = configs.part("dataset", "translation")
    for sentence in (
        *ENGLISH,
        "two men's t-shirts, a boy's hat (red) and/or the girls' ball.",
        'a sign that says "no parking" hangs here; why?',
        "they don't know, i'm sure: it's 50% off!",
        "it costs $5 at the well-known baker's.",
    ):
        split = data.units(run.spec, sentence)
        assert data.natural(run.spec, split) == sentence.lower()


def test_the_training_loop_pays_for_none_of_it(translation):
    run, _ = translation
    assert not list((run.workdir / "evaluations").glob("valid*"))


@pytest.mark.slow
def test_answers_of_other_data_are_written_too(tmp_path):
    c = configs.default(dataset="dates", model="encoder_decoder", objective="likelihood")
    c.dataset.batch_size, c.dataset.train_size, c.dataset.test_size = 8, 64, 11
    c.model.hidden_size = c.model.embedding_size = 8
    c.num_steps = c.log_every = c.eval_every = c.checkpoint_every = 8
    run, found = trained(c, tmp_path / "run")
    dataset, result = evaluated(run, found, "test")
    lines = (run.workdir / "evaluations/answers" / f"test-{found.step}.txt").read_text()
    inputs = jax.device_get(dataset.arrays["test"])
    asked = [
        vocabulary.decode(run.spec["vocabulary"], row[:length])
        for row, length in zip(inputs["inputs"], inputs["length_B"], strict=True)
    ]
    greedy = decoding.Options(temperature=0.0)
    assert [lines] == runs.texts(run, found, range(1), "\n".join(asked), greedy, 0)
    assert "sacrebleu" not in result["metrics"]


@pytest.mark.slow
def test_captions_are_held_against_all_that_people_wrote(tmp_path):
    """sacreBLEU on the texts says what the sums over tokens say."""
    c = configs.default(dataset="captions", model="one_to_many", objective="likelihood")
    c.dataset.path, c.dataset.image_size, c.dataset.min_count = write_captions(tmp_path), 16, 1
    c.dataset.batch_size, c.model.encoder_sizes = 6, (8,)
    c.model.hidden_size = c.model.embedding_size = 16
    c.num_steps = c.log_every = c.eval_every = c.checkpoint_every = 24
    c.optimizer.rule, c.optimizer.learning_rate = "adam", 0.02
    run, found = trained(c, tmp_path / "run")
    _, result = evaluated(run, found, "test")
    numbers = result["metrics"]
    assert numbers["bleu"] > 10
    assert numbers["sacrebleu_tokenised"] == pytest.approx(numbers["bleu"], rel=1e-5)
    assert "nrefs:5" in result["signatures"]["sacrebleu"]


def test_answers_are_searched_for_where_a_beam_is_asked_for(translation):
    """The best answers of `generate`, and a beam of one is greedy."""
    run, found = translation
    dataset = configs.part("dataset", "translation").make(configs.options(run.config, "dataset"))

    def searched(beam):
        how = decoding.Options(temperature=0.0, beam=beam)
        with Interrupt() as interrupt:
            return evaluate.checkpoint_evaluator(run, dataset, "test", None, how)(found, interrupt)

    results = {beam: searched(beam) for beam in (None, 1, 3)}
    assert results[1]["metrics"] == results[None]["metrics"]
    assert results[3]["changed"] == {"beam": 3}
    how = decoding.Options(temperature=0.0, beam=3)
    (best,) = runs.texts(run, found, range(1), "\n".join(GERMAN), how, 0)
    files = sorted((run.workdir / "evaluations" / "answers").glob(f"test-{found.step}*.txt"))
    assert len(files) == 3
    assert best in [file.read_text() for file in files]


def test_only_answers_are_searched_for(digits):
    run, found = digits
    dataset = configs.part("dataset", "digits").make(configs.options(run.config, "dataset"))
    with pytest.raises(UsageError, match="beam is for answers"):
        evaluate.checkpoint_evaluator(
            run, dataset, "test", None, decoding.Options(temperature=0.0, beam=2)
        )
