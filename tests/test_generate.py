"""Generation, its marks, verification, evaluation and the report, on one small trained run."""

import json
import re
import shutil

import jax
import numpy as np
import pytest
import runs

from seqgen import config as configs
from seqgen import decoding, evaluate, generate, report, run_directory, samples, verify
from seqgen import run as stored_runs
from seqgen.errors import UsageError
from seqgen.interrupt import Interrupt

OPTIONS = decoding.Options(length=30)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    config = runs.small("streams", folder)
    runs.run(config, folder / "run")
    return folder / "run"


@pytest.fixture
def run(trained, tmp_path):
    """A copy that a test may damage."""
    shutil.copytree(trained, tmp_path / "run")
    return stored_runs.load(tmp_path / "run")


@pytest.fixture
def best(run):
    return stored_runs.parameters(run, "best")


def sample(run, best, indices, prompt="the ", seed=0):
    return runs.texts(run, best, indices, prompt, OPTIONS, seed)


def test_samples_continue_the_prompt_and_depend_on_seed_and_index(run, best):
    texts = sample(run, best, range(3))
    assert all(t.startswith("the ") and len(t) == 4 + 30 for t in texts)
    assert len(set(texts)) == 3
    assert texts == sample(run, best, range(3))
    assert texts != sample(run, best, range(3), seed=1)


def test_a_sample_depends_on_neither_the_number_nor_its_neighbours(run, best):
    many = sample(run, best, range(samples.BLOCK + 3))
    assert [many[-1]] == sample(run, best, range(samples.BLOCK + 2, samples.BLOCK + 3))
    assert many[:2] == sample(run, best, range(2))


def test_generated_text_is_the_plain_loop_over_the_model(run, best):
    """Greedy, against repeated full passes of the model over the growing text."""
    greedy = decoding.Options(length=8, temperature=0.0)
    (text,) = runs.texts(run, best, range(1), "the ", greedy, 0)
    data = configs.part("dataset", "text")
    model = configs.part("model", "many_to_many").make(
        configs.options(run.config, "model"), run.spec
    )
    tokens = list(np.asarray(data.encode(run.spec, "the ")))
    for _ in range(8):
        _, logits = model.apply({"params": best.params["model"]}, np.asarray(tokens)[None])
        tokens.append(int(np.argmax(logits[0, -1])))
    assert text == data.decode(run.spec, np.asarray(tokens))


@pytest.mark.parametrize(
    ("options", "prompt", "sentence"),
    [
        (decoding.Options(length=0), "a", "length"),
        (OPTIONS, "", "prompt is empty"),
        (OPTIONS, "snow ☃", "☃"),
    ],
)
def test_bad_requests_are_one_sentence(run, best, options, prompt, sentence):
    with pytest.raises(UsageError, match=sentence):
        runs.texts(run, best, range(1), prompt, options, 0)


def test_a_prompt_that_no_record_can_hold_is_refused(run):
    with pytest.raises(UsageError, match="--prompt is not UTF-8 text: character 1"):
        generate.given(run, "a\udcff", None)
    assert generate.given(run, "ä", None) == "ä"


def test_a_marked_file_verifies_by_being_made_again(run, best):
    files = generate.generate(run, best, 2, "the ", OPTIONS, 5)
    record = json.loads(generate.record_of(files[1]).read_text())
    assert record["generated"] is True
    assert (record["seed"], record["index"], record["step"]) == (5, 1, best.step)
    assert verify.verify(files[1]).finding is verify.Finding.GENERATED


def test_verify_never_says_real(run, best, tmp_path):
    (file,) = generate.generate(run, best, 1, None, OPTIONS, 0)
    plain = tmp_path / "plain.txt"
    plain.write_text("written by hand")
    assert verify.verify(plain).finding is verify.Finding.UNKNOWN
    file.write_text(file.read_text() + "!")
    assert verify.verify(file).finding is verify.Finding.ALTERED
    forged = json.loads(generate.record_of(file).read_text())
    forged["file_sha256"] = run_directory.file_digest(file)
    run_directory.write_json(generate.record_of(file), forged)
    assert verify.verify(file).finding is verify.Finding.ALTERED


@pytest.mark.parametrize("name", verify.MARK)
def test_a_record_that_lacks_something_marks_nothing(run, best, name):
    assert_unknown(run, best, lambda whole: {k: v for k, v in whole.items() if k != name})


@pytest.mark.parametrize(
    "changes",
    [
        {"generated": "true"},
        {"seed": "x"},
        {"seed": 2**32},
        {"seed": True},
        {"step": None},
        {"index": -1},
        {"index": 1.5},
        {"prompt": 3},
        {"decoding": []},
        {"decoding": {"length": "30", "temperature": 1.0, "top_k": None, "top_p": None}},
        {"decoding": {"length": 30, "temperature": None, "top_k": None, "top_p": None}},
        {"environment": "here"},
        {"file_sha256": None},
        {"checkpoint_sha256": 7},
    ],
)
def test_a_record_of_another_type_marks_nothing(run, best, changes):
    assert_unknown(run, best, lambda whole: whole | changes)


def test_a_record_that_is_no_object_marks_nothing(run, best):
    assert_unknown(run, best, lambda whole: [whole])


def assert_unknown(run, best, damage):
    file = run.workdir / "text.txt"
    file.write_text("a text")
    whole = generate.mark(run, best, None, OPTIONS, 0)
    whole |= {"index": 0, "file_sha256": run_directory.file_digest(file)}
    run_directory.write_json(generate.record_of(file), whole)
    assert verify.verify(file).finding is not verify.Finding.UNKNOWN
    run_directory.write_json(generate.record_of(file), damage(whole))
    assert verify.verify(file).finding is verify.Finding.UNKNOWN
    generate.record_of(file).write_text("{half of a rec")
    assert verify.verify(file).finding is verify.Finding.UNKNOWN


def test_a_record_of_another_version_is_not_made_again(run, best):
    (file,) = generate.generate(run, best, 1, None, OPTIONS, 0)
    record = json.loads(generate.record_of(file).read_text())
    record["decoding"]["penalty"] = 4
    run_directory.write_json(generate.record_of(file), record)
    verdict = verify.verify(file)
    assert verdict.finding is verify.Finding.UNREPEATED
    assert "not those of this version" in verdict.sentence


def test_a_sample_stays_its_runs_when_that_is_lengthened(run, best):
    (file,) = generate.generate(run, best, 1, None, OPTIONS, 0)
    stored = configs.to_json(run.config)
    longer = stored | {"num_steps": 1000, "log_every": 7, "checkpoint_every": 9}
    run_directory.write_json(run.workdir / "config.json", longer)
    assert verify.verify(file).finding is verify.Finding.GENERATED
    run_directory.write_json(run.workdir / "config.json", stored | {"seed": 9})
    verdict = verify.verify(file)
    assert verdict.finding is verify.Finding.UNREPEATED
    assert "config_sha256" in verdict.sentence


def test_another_text_on_another_machine_is_not_called_altered(run, best):
    (file,) = generate.generate(run, best, 1, None, OPTIONS, 0)
    file.write_text("rounded otherwise")
    record = json.loads(generate.record_of(file).read_text())
    record["file_sha256"] = run_directory.file_digest(file)
    record["environment"]["cpu_count"] += 1
    run_directory.write_json(generate.record_of(file), record)
    verdict = verify.verify(file)
    assert verdict.finding is verify.Finding.UNREPEATED
    assert "cpu_count was" in verdict.sentence


def test_no_sample_is_there_without_its_mark(run, best, monkeypatch):
    monkeypatch.setattr(run_directory, "write_json", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        generate.generate(run, best, 1, None, OPTIONS, 0)
    assert list((run.workdir / "samples").iterdir()) == []


def test_verify_without_the_checkpoint_says_so(run, best):
    (file,) = generate.generate(run, best, 1, None, OPTIONS, 0)
    shutil.rmtree(run.workdir / "checkpoints")
    assert verify.verify(file).finding is verify.Finding.UNREPEATED


def dataset_of(run, **changes):
    section = run.config.dataset
    for name, value in changes.items():
        section[name] = value
    return configs.part("dataset", section.name).make(configs.options(run.config, "dataset"))


@pytest.mark.slow
def test_evaluation_is_exact_whatever_the_batch_size(tmp_path):
    """The mean over the split against one pass of the plain model over all of it."""
    config = runs.small("epochs", tmp_path)
    runs.run(config, tmp_path / "run")
    run = stored_runs.load(tmp_path / "run")
    found = stored_runs.parameters(run, "latest")
    results = []
    for batch_size in (64, 7, 1000):
        dataset = dataset_of(run, batch_size=batch_size)
        with Interrupt() as interrupt:
            measure = evaluate.checkpoint_evaluator(run, dataset, "valid")
            results.append(measure(found, interrupt)["metrics"])
    for other in results[1:]:
        assert other["accuracy"] == results[0]["accuracy"]
        np.testing.assert_allclose(other["loss"], results[0]["loss"], rtol=1e-6)
    whole = dataset_of(run, batch_size=180)
    batch = whole.batch(whole.arrays, "valid", np.int32(0), None)
    model = configs.part("model", "many_to_one").make(
        configs.options(run.config, "model"), run.spec
    )
    _, logits = model.apply({"params": found.params["model"]}, batch["inputs"])
    correct = np.argmax(logits, axis=-1) == np.asarray(batch["targets"])
    np.testing.assert_allclose(results[0]["accuracy"], correct.mean(), rtol=1e-6)


def test_a_run_of_another_seed_generates_with_what_is_compiled(run, best, tmp_path, caplog):
    """As lanes at their ends; but one with another model is compiled for itself."""
    texts = sample(run, best, range(2), seed=3)
    stored = run_directory.read_json(run.workdir / "config.json")
    records = {"seed": stored | {"seed": 7, "ema": 0.9}}
    records["model"] = stored | {"model": stored["model"] | {"cell": "gru"}}
    for name, record in records.items():
        shutil.copytree(run.workdir, tmp_path / name)
        run_directory.write_json(tmp_path / name / "config.json", record)
    other, unlike = (stored_runs.load(tmp_path / name) for name in records)
    with jax.log_compiles():
        assert sample(other, best, range(2), seed=3) == texts
        sample(other, best, range(2), seed=4)
    assert not [r for r in caplog.records if "Compiling" in r.getMessage()]
    assert unlike.objective is not other.objective


def test_an_evaluation_compiles_once_for_all_batches(run, best, caplog):
    dataset = dataset_of(run)
    assert dataset.num_batches["valid"] > 1
    with jax.log_compiles(), Interrupt() as interrupt:
        evaluate.checkpoint_evaluator(run, dataset, "valid")(best, interrupt)
    messages = [record.getMessage() for record in caplog.records]
    assert sum("Finished XLA compilation of jit(measure)" in m for m in messages) == 1


def test_watch_evaluates_every_checkpoint_of_a_finished_run(run):
    """Also if it was killed so hard that its status says it goes on."""
    run_directory.set_status(run.workdir, "RUNNING")
    measure = evaluate.checkpoint_evaluator(run, dataset_of(run), "valid")
    with Interrupt() as interrupt:
        seen = list(evaluate.watch(run, measure, interrupt))
    logged = {
        r["step"]: r["loss"]
        for r in run_directory.read_metrics(run.workdir)
        if r["split"] == "valid"
    }
    assert len(seen) >= 2
    for result in seen:
        if result["step"] in logged:
            np.testing.assert_allclose(result["metrics"]["loss"], logged[result["step"]], rtol=1e-5)


def test_an_evaluation_without_a_finite_number_is_stored(run, best):
    broken = best._replace(params=jax.tree.map(lambda x: x * np.nan, best.params))
    with Interrupt() as interrupt:
        evaluate.checkpoint_evaluator(run, dataset_of(run), "valid")(broken, interrupt)
    stored = run_directory.read_json(run.workdir / f"evaluations/valid-{best.step}.json")
    assert stored["metrics"]["loss"] == "NaN"


def test_evaluating_other_data_or_an_unknown_split_is_refused(run, tmp_path):
    with pytest.raises(UsageError, match="have: test, train, valid"):
        evaluate.checkpoint_evaluator(run, dataset_of(run), "dev")
    (tmp_path / "other.txt").write_text(runs.TEXT + "more\n" * 50)
    other = dataset_of(run, path=str(tmp_path / "other.txt"))
    with pytest.raises(UsageError, match="have changed"):
        evaluate.checkpoint_evaluator(run, other, "valid")


def test_the_report_is_one_page_with_its_pictures_inside(run, best):
    generate.generate(run, best, 1, None, OPTIONS, 0)
    numbers = {"loss": 1.5, "fd-pixels, n=25": 0.1234}  # a distance is called after what it is of
    stored = {"split": "valid", "step": 3, "changed": {"features": "ab"}, "metrics": numbers}
    evaluations = run_directory.folder(run.workdir, "evaluations")
    run_directory.write_json(evaluations / "valid-3-ab.json", stored)
    run_directory.set_status(run.workdir, "DONE", message="all steps done <&>")
    page = report.report(run.workdir).read_text()
    assert not re.search(r"""https?://|<link|\b(src|href)=["'](?!data:)""", page)
    assert "model.hidden_size" in page
    assert "all steps done &lt;&amp;&gt;" in page
    assert "(generated)" in page
    assert "<td>fd-pixels, n=25</td><td></td><td>0.1234</td>" in page
    assert "| fd-pixels, n=25 |  | 0.1234 |" in (run.workdir / "report.md").read_text()
