"""Captions out of a run directory: of a picture file, marked with what was shown."""

import jax
import numpy as np
import pytest
import runs
from PIL import Image

from seqgen import compare, decoding, generate, verify
from seqgen import config as configs
from seqgen import run as stored_runs
from seqgen.datasets import pairs
from seqgen.errors import UsageError
from seqgen.interrupt import Interrupt


def trained(workdir, blind=False, test_size=20):
    c = configs.default(dataset="shapes", model="one_to_many", objective="likelihood")
    c.dataset.batch_size, c.dataset.train_size, c.dataset.test_size = 8, 64, test_size
    c.model.hidden_size = c.model.embedding_size = 8
    c.model.encoder_sizes, c.model.blind = (4, 8), blind
    c.num_steps = c.log_every = c.eval_every = c.checkpoint_every = 8
    runs.run(c, workdir)
    run = stored_runs.load(workdir)
    return run, stored_runs.parameters(run, "best")


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("captions") / "run")


@pytest.fixture
def picture(tmp_path):
    image = np.random.RandomState(0).randint(0, 256, (40, 50, 3))
    Image.fromarray(np.uint8(image)).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def described(opened, prompt, **options):
    options = decoding.Options(**({"temperature": 0.0} | options))
    return runs.texts(*opened, range(1), prompt, options, 0)


def test_without_a_picture_the_first_of_validation_are_described(opened):
    run, found = opened
    data = configs.part("dataset", "shapes")
    dataset = data.make(configs.options(run.config, "dataset"))
    batch = dataset.batch(dataset.arrays, "valid", 0, None)
    inputs = {"inputs": batch["inputs"]}
    options = decoding.Options(length=run.spec["targets"]["length"], temperature=0.0)
    keys_B = jax.random.split(jax.random.key(0), 8)
    tokens = run.objective.generate(found.params, found.memory, keys_B, inputs, options)
    expected = [pairs.decode(run.spec, row) for row in np.asarray(tokens)[:3]]
    assert described(opened, None)[0].splitlines() == expected


def test_a_picture_file_has_one_caption_however_it_is_asked(opened, picture):
    prompt = generate.given(opened[0], None, picture)
    (text,) = described(opened, prompt)
    assert len(text.splitlines()) == 1
    assert described(opened, prompt, beam=1) == [text]


@pytest.mark.slow
def test_a_caption_is_marked_with_its_picture_and_made_again(opened, picture):
    prompt = generate.given(opened[0], None, picture)
    (file,) = generate.generate(*opened, 1, prompt, decoding.Options(), 7)
    assert verify.verify(file).finding is verify.Finding.GENERATED
    Image.new("RGB", (40, 50)).save(picture)
    verdict = verify.verify(file)
    assert verdict.finding is verify.Finding.UNREPEATED and "another one" in verdict.sentence
    picture.unlink()
    assert verify.verify(file).finding is verify.Finding.UNREPEATED
    (file,) = generate.generate(*opened, 1, None, decoding.Options(), 7)
    assert verify.verify(file).finding is verify.Finding.GENERATED


def test_what_is_no_picture_is_refused(opened, tmp_path):
    with pytest.raises(UsageError, match="--input=FILE, not --prompt"):
        generate.given(opened[0], "a red circle", None)
    with pytest.raises(UsageError, match="the name of --input is not UTF-8 text"):
        generate.given(opened[0], None, tmp_path / "\udcff.png")
    broken = tmp_path / "broken.png"
    for content in (None, b"nothing", b"\x89PNG\r\n\x1a\nand more"):
        if content is not None:
            broken.write_bytes(content)
        with pytest.raises(UsageError, match="broken.png can't be read as a picture"):
            described(opened, str(broken))


@pytest.mark.slow
def test_runs_are_compared_on_the_same_pictures(opened, tmp_path):
    blind, _ = trained(tmp_path / "blind", blind=True)
    with Interrupt() as interrupt:
        differences = compare.compare(opened[0], blind, "latest", "test", interrupt)
        same = compare.compare(blind, blind, "latest", "test", interrupt)
        other, _ = trained(tmp_path / "other", test_size=10)
        with pytest.raises(UsageError, match="are not those that"):
            compare.compare(blind, other, "latest", "test", interrupt)
    assert set(differences) >= {"loss", "exact_match", "bleu"}
    value, low, high = differences["loss"]
    assert low <= value <= high and low < high
    assert all(difference == (0, 0, 0) for difference in same.values())
