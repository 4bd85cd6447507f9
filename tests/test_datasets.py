"""What every dataset promises, whatever it holds."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from idx import write_mnist
from piano_rolls import write_music

from seqgen import run
from seqgen.datasets import (
    adding,
    copying,
    digits,
    mnist,
    music,
    parity,
    points,
    sampling,
    sentences,
    sentiment,
    sines,
    temporal_order,
    text,
    word_order,
)
from seqgen.errors import UsageError

MAKE = {
    "adding": lambda folder: adding.make(adding.Options(batch_size=8, length=12, test_size=20)),
    "copying": lambda folder: copying.make(copying.Options(batch_size=8, delay=5, test_size=20)),
    "digits": lambda folder: digits.make(digits.Options(batch_size=100)),
    "mnist": lambda folder: mnist.make(
        mnist.Options(batch_size=8, valid_size=9, path=write_mnist(folder, 30, 20))
    ),
    "music": lambda folder: music.make(
        music.Options(batch_size=3, length=8, transpose=2, path=write_music(folder))
    ),
    "mnist_image": lambda folder: mnist.make(
        mnist.Options(
            batch_size=8,
            valid_size=9,
            train_size=12,
            order="image",
            path=write_mnist(folder, 30, 9),
        )
    ),
    "parity": lambda folder: parity.make(parity.Options(batch_size=8, length=12, test_size=20)),
    "points": lambda folder: points.make(points.Options(batch_size=8, test_size=20)),
    "points_few": lambda folder: points.make(
        points.Options(batch_size=8, shape="moons", train_size=30, test_size=20)
    ),
    "points_file": lambda folder: points.make(
        points.Options(batch_size=8, shape="file", path=write_points(folder, 60))
    ),
    "sines": lambda folder: sines.make(sines.Options(batch_size=8, test_size=20)),
    "temporal_order": lambda folder: temporal_order.make(
        temporal_order.Options(batch_size=8, length=30, min_length=10, test_size=20)
    ),
    "sentences": lambda folder: sentences.make(sentences.Options(batch_size=8, size=60)),
    "sentiment": lambda folder: sentiment.make(
        sentiment.Options(batch_size=8, path=write_table(folder, 60))
    ),
    "text": lambda folder: text.make(text.Options(batch_size=8, length=16)),
    "word_order": lambda folder: word_order.make(word_order.Options(batch_size=8, test_size=20)),
}


def write_table(folder, count):
    """Rows that all differ, of lengths from 1 to 5."""
    rows = (f"{'very ' * (i % 5)}{chr(0x61 + i % 26)}{i}\t{i % 3}" for i in range(count))
    (folder / "table.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n")
    return str(folder / "table.tsv")


def write_points(folder, count):
    (folder / "points.csv").write_text("".join(f"{i},{i * i}\n" for i in range(count)))
    return str(folder / "points.csv")


@pytest.fixture(scope="module", params=MAKE)
def make(request):
    return MAKE[request.param]


@pytest.fixture(scope="module")
def dataset(make, tmp_path_factory):
    return make(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def draw(dataset):
    compiled = jax.jit(dataset.batch, static_argnums=1)
    return lambda split, index, key: compiled(dataset.arrays, split, jnp.int32(index), key)


def equal(one, other):
    return all(np.array_equal(one[name], other[name]) for name in one.keys() | other.keys())


def test_making_a_dataset_leaves_the_arrays_on_the_host(dataset):
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(dataset.arrays))


def test_spec_is_json(dataset):
    assert json.loads(json.dumps(dataset.spec)) == dataset.spec


def test_batches_fit_the_spec(dataset, draw):
    spec, length = dataset.spec, dataset.spec.get("length")
    kind, size = spec["inputs"]["kind"], spec["inputs"].get("size")
    shapes = {"token": (length,), "real": (length, size), "vector": (size,)}
    shapes["image"] = tuple(spec["inputs"].get("shape", ()))
    assert (length is None) == (kind in ("image", "vector"))
    for key in (None, jax.random.key(0)):
        batch = draw("train", 0, key)
        rows = batch["index_B"].shape[0]
        inputs, targets = batch["inputs"], batch["targets"]
        assert inputs.dtype == (jnp.int32 if kind == "token" else jnp.float32)
        assert inputs.shape == (rows, *shapes[kind])
        example = run.example(spec, rows)["inputs"]
        assert (example.shape, example.dtype) == (inputs.shape, inputs.dtype)
        category = spec["targets"]["kind"] == "category"
        assert targets.dtype == (jnp.int32 if category else jnp.float32)
        per_step = (length,) if spec["targets"]["per"] == "step" else ()
        assert targets.shape == (rows, *per_step) + (() if category else (spec["targets"]["size"],))
        for name, values in (("inputs", inputs), ("targets", targets)):
            if values.dtype == jnp.int32:
                assert values.min() >= 0 and values.max() < spec[name]["size"]
        assert batch["index_B"].dtype == jnp.int32
        assert batch["weight_B"].dtype == jnp.float32
        assert ("reset_B" in batch) == spec["streamed"]
        if "length_B" in batch:
            assert batch["length_B"].dtype == jnp.int32
            assert batch["length_B"].min() >= 1 and batch["length_B"].max() <= length


def test_a_batch_depends_on_key_and_number_alone(draw):
    first = [draw("train", index, jax.random.key(1)) for index in (3, 0, 2)]
    again = [draw("train", index, jax.random.key(1)) for index in (2, 3, 0)]
    assert all(equal(first[i], again[(i + 1) % 3]) for i in range(3))


def test_keys_and_numbers_give_different_batches(draw):
    base = draw("train", 0, jax.random.key(1))
    assert not np.array_equal(base["inputs"], draw("train", 1, jax.random.key(1))["inputs"])
    assert not np.array_equal(base["inputs"], draw("train", 0, jax.random.key(2))["inputs"])


def test_evaluation_passes_over_every_example_once(dataset, draw):
    for split in ("train", "test"):
        count = dataset.num_batches[split]
        batches = [draw(split, index, None) for index in range(count)]
        real = [np.asarray(b["index_B"])[np.asarray(b["weight_B"]) == 1] for b in batches]
        seen = np.concatenate(real)
        assert len(set(seen.tolist())) == len(seen)
        assert real[-1].size > 0, "the last batch is all fill"
        if not dataset.spec["streamed"]:
            assert np.array_equal(seen, np.arange(len(seen)))


def test_making_it_again_gives_the_same_fingerprint_and_batches(make, dataset, draw, tmp_path):
    again = make(tmp_path)
    assert again.fingerprint == dataset.fingerprint and again.spec == dataset.spec
    batch = jax.jit(again.batch, static_argnums=1)
    assert equal(draw("test", 0, None), batch(again.arrays, "test", jnp.int32(0), None))


def test_64_bits_change_nothing(dataset, draw):
    before = draw("train", 2, jax.random.key(0))
    with jax.enable_x64(True):
        batch = jax.jit(dataset.batch, static_argnums=1)
        after = batch(dataset.arrays, "train", jnp.int32(2), jax.random.key(0))
    assert all(before[name].dtype == after[name].dtype for name in before)
    assert equal(before, after)


@pytest.mark.parametrize(
    ("part", "wrong", "sentence"),
    [
        (adding, {"batch_size": 0}, "dataset.batch_size must be at least 1, not 0"),
        (adding, {"length": 1}, "dataset.length must be at least 2, not 1"),
        (copying, {"delay": 0}, "dataset.delay must be at least 1"),
        (parity, {"min_length": 41}, "from 1 to dataset.length=40, not 41"),
        (temporal_order, {"min_length": 9}, "from 10 to dataset.length=100, not 9"),
        (digits, {"order": "pixel"}, "did you mean 'pixels'"),
        (digits, {"train_size": 1258}, "dataset.train_size must be in .1, 1257., not 1258"),
        (mnist, {"order": "cols"}, "have: image, permuted, pixels, rows"),
        (mnist, {"labels": "clothes"}, "have: digits, fashion"),
        (mnist, {"train_size": 0}, "dataset.train_size must be at least 1, not 0"),
        (points, {"shape": "circle"}, "have: file, grid, moons, ring, spiral"),
        (points, {"sigma": 0.0}, "dataset.sigma must be above 0"),
        (points, {"train_size": 0, "test_size": 0}, "train_size must be .*; dataset.test_size"),
        (points, {"shape": "file"}, "dataset.shape=file and dataset.path, .* need each other"),
        (points, {"path": "x.csv"}, "dataset.shape=file and dataset.path, .* need each other"),
        (points, {"shape": "file", "path": "x", "sigma": 0.1}, "dataset.sigma is of points that"),
        (sines, {"ranges": "papers"}, "did you mean 'paper'"),
        (sines, {"features": 0}, "dataset.features must be at least 1, not 0"),
        (sentiment, {"labels": "coarse"}, "have: binary, fine"),
        (sentiment, {"unit": "subword"}, "needs a number as dataset.vocabulary_size"),
        (sentiment, {"unit": "subword", "vocabulary_size": 99}, "must be at least 257, not 99"),
        (sentiment, {"shares": (0.9, 0.2, 0.0)}, "add up to 1"),
        (sentiment, {"shares": (0.5, 0.0, 0.5)}, "leave texts for train and valid"),
        (word_order, {"most_words": -1}, "dataset.most_words must be at least 0"),
        (music, {"collection": "bach"}, "have: jsb, musedata, nottingham, piano"),
        (music, {"transpose": 0}, "dataset.transpose must be in .1, 87., not 0"),
        (text, {"unit": "char"}, "have: character, word"),
        (text, {"shares": (0.9, 0.2, 0.0)}, "add up to 1"),
        (text, {"shares": (1.0, 0.0, 0.0)}, "leave text for train and valid"),
    ],
)
def test_bad_options_are_named(part, wrong, sentence):
    with pytest.raises(UsageError, match=sentence):
        part.make(part.Options(**wrong))


def test_an_unset_variable_in_a_path_is_named(monkeypatch):
    monkeypatch.delenv("SEQGEN_DATA", raising=False)
    for path in ("$SEQGEN_DATA/mnist", "${SEQGEN_DATA}/mnist"):
        with pytest.raises(UsageError, match="SEQGEN_DATA is not set.*to be had from https://x/"):
            sampling.located(path, "https://x/")
        monkeypatch.setenv("SEQGEN_DATA", "/somewhere")
        assert str(sampling.located(path, None)) == "/somewhere/mnist"
        monkeypatch.delenv("SEQGEN_DATA")
