"""Images as sequences and as pictures: scikit-learn's digits, and MNIST from its files."""

import gzip
import hashlib
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from idx import idx_bytes, write_mnist
from sklearn.datasets import load_digits

from seqgen import networks
from seqgen.datasets import digits, mnist
from seqgen.errors import UsageError

real_data = pytest.mark.skipif("SEQGEN_DATA" not in os.environ, reason="SEQGEN_DATA is not set")


def whole(dataset, split):
    """All examples of a split: inputs [N, …] and targets [N]."""
    batch = jax.jit(dataset.batch, static_argnums=1)
    found = [
        batch(dataset.arrays, split, jnp.int32(i), None) for i in range(dataset.num_batches[split])
    ]
    kept = [np.asarray(b["weight_B"]) == 1 for b in found]
    return tuple(
        np.concatenate([np.asarray(b[name])[k] for b, k in zip(found, kept, strict=True)])
        for name in ("inputs", "targets")
    )


@pytest.mark.parametrize("order", ["rows", "pixels", "image"])
def test_the_splits_of_digits_are_all_of_scikit_learns_images_once(order):
    dataset = digits.make(digits.Options(batch_size=300, order=order))
    pairs = []
    for split in ("train", "valid", "test"):
        inputs, targets = whole(dataset, split)
        assert np.bincount(targets).min() > 0.06 * len(targets)  # shuffled: each digit everywhere
        pairs += [
            ((16 * image).astype(int).ravel().tolist(), int(digit))
            for image, digit in zip(inputs, targets, strict=True)
        ]
    source = load_digits()
    expected = [
        (image.astype(int).tolist(), int(digit))
        for image, digit in zip(source.data, source.target, strict=True)
    ]
    assert sorted(pairs) == sorted(expected)


def test_a_picture_of_digits_is_scikit_learns_image():
    dataset = digits.make(digits.Options(batch_size=300, order="image"))
    rows = digits.make(digits.Options(batch_size=300))
    images, targets = whole(dataset, "test")
    assert images.shape == (360, 8, 8, 1) and "length" not in dataset.spec
    assert np.array_equal(images[..., 0], whole(rows, "test")[0])
    pairs = zip(*load_digits(return_X_y=True), strict=True)
    source = {image.tobytes(): digit for image, digit in pairs}
    found = [source[(16.0 * image.astype(float)).tobytes()] for image in images]
    assert found == targets.tolist()


def test_few_digits_are_the_first_of_all_and_leave_the_other_splits():
    all_of_them, few = digits.make(digits.Options()), digits.make(digits.Options(train_size=64))
    assert few.fingerprint != all_of_them.fingerprint
    for split, size in (("train", 64), ("valid", 180), ("test", 360)):
        for some, every in zip(whole(few, split), whole(all_of_them, split), strict=True):
            assert len(some) == size and np.array_equal(some, every[:size])


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_a_class_that_is_held_out_is_in_test_alone(name, tmp_path):
    options = {"digits": {}, "mnist": {"path": write_mnist(tmp_path, 60, 40), "valid_size": 20}}
    part = {"digits": digits, "mnist": mnist}[name]
    make = lambda **more: part.make(part.Options(**options[name], **more))  # noqa: E731
    every, lacking = make(), make(held_out="3")
    assert lacking.spec == every.spec | {"held_out": 3}
    assert lacking.fingerprint != every.fingerprint != make(held_out="4").fingerprint
    for split in ("train", "valid", "test"):
        targets_N = every.arrays[split]["targets"]
        kept_N = (targets_N != 3) | (split == "test")
        assert np.any(targets_N == 3)
        for field, array in every.arrays[split].items():
            assert np.array_equal(lacking.arrays[split][field], array[kept_N])
    with pytest.raises(UsageError, match="unknown class of dataset.held_out 'three'"):
        make(held_out="three")


def test_a_class_that_is_held_out_must_leave_others_and_be_told_to_no_model(tmp_path):
    path = write_mnist(tmp_path, 30, 20)
    only = str(mnist.make(mnist.Options(path=path, valid_size=1)).arrays["valid"]["targets"][0])
    with pytest.raises(UsageError, match="leaves no example of valid"):
        mnist.make(mnist.Options(path=path, valid_size=1, held_out=only))
    lacking = digits.make(digits.Options(order="image", held_out="3"))
    with pytest.raises(UsageError, match="leave out model.conditional"):
        networks.classes(lacking.spec, conditional=True)


def test_mnist_reads_files_zipped_or_not(tmp_path):
    (tmp_path / "zipped").mkdir()
    (tmp_path / "plain").mkdir()
    paths = [
        write_mnist(tmp_path / "zipped", 30, 20),
        write_mnist(tmp_path / "plain", 30, 20, zipped=False),
    ]
    one, other = (mnist.make(mnist.Options(path=path, valid_size=9)) for path in paths)
    assert one.fingerprint == other.fingerprint
    assert [len(one.arrays[split]["targets"]) for split in one.arrays] == [21, 9, 20]


def test_mnist_orders_hold_the_same_pixels(tmp_path):
    path = write_mnist(tmp_path, 30, 20)
    make = lambda **o: mnist.make(mnist.Options(path=path, valid_size=9, **o))  # noqa: E731
    rows, pixels = whole(make(), "valid")[0], whole(make(order="pixels"), "valid")[0]
    raw = gzip.decompress((tmp_path / "train-images-idx3-ubyte.gz").read_bytes())[16:]
    last = np.frombuffer(raw, np.uint8).reshape(30, 28, 28)[21:]
    np.testing.assert_allclose(rows, last / 255.0, rtol=1e-6)
    assert np.array_equal(rows.reshape(9, 784, 1), pixels)
    picture = make(order="image")
    assert np.array_equal(whole(picture, "valid")[0], rows[..., None])
    assert picture.spec["inputs"] == {"kind": "image", "shape": [28, 28, 1]}
    permuted = make(order="permuted")
    shuffled = whole(permuted, "valid")[0][..., 0]
    order = np.lexsort(shuffled)
    assert not np.array_equal(shuffled, pixels[..., 0])
    assert np.array_equal(shuffled[:, order], pixels[..., 0][:, np.lexsort(pixels[..., 0])])
    assert permuted.fingerprint == make(order="permuted").fingerprint
    assert permuted.fingerprint != make(order="permuted", permutation_seed=1).fingerprint


def test_few_of_mnist_are_its_first(tmp_path):
    path = write_mnist(tmp_path, 30, 20)
    make = lambda **o: mnist.make(mnist.Options(path=path, valid_size=9, **o))  # noqa: E731
    few, every = make(train_size=5), make()
    assert np.array_equal(whole(few, "train")[1], whole(every, "train")[1][:5])
    assert np.array_equal(whole(few, "valid")[0], whole(every, "valid")[0])
    with pytest.raises(UsageError, match=f"train_size=22, but {path} leaves 21 to train on"):
        make(train_size=22)


def test_clothes_are_not_called_digits(tmp_path):
    path = write_mnist(tmp_path, 30, 20)
    make = lambda **o: mnist.make(mnist.Options(path=path, valid_size=9, **o))  # noqa: E731
    fashion, digit = make(labels="fashion"), make()
    assert fashion.spec["classes"][9] == "Ankle boot" and len(set(fashion.spec["classes"])) == 10
    assert fashion.fingerprint != digit.fingerprint
    assert np.array_equal(fashion.arrays["test"]["targets"], digit.arrays["test"]["targets"])
    with pytest.raises(UsageError, match="zalandoresearch/fashion-mnist"):
        mnist.make(mnist.Options(path=str(tmp_path / "none"), labels="fashion"))


def damage(folder: Path, name: str, change) -> None:
    file = folder / name
    file.write_bytes(change(file.read_bytes()))


LABELS, IMAGES = "train-labels-idx1-ubyte.gz", "train-images-idx3-ubyte.gz"


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        (IMAGES, lambda b: b[: len(b) // 2], f"{IMAGES} can't be read"),
        (IMAGES, lambda b: b[:100] + bytes(50) + b[150:], f"{IMAGES} can't be read"),
        (IMAGES, lambda b: b"not gzip", f"{IMAGES} can't be read"),
        (LABELS, lambda b: b"", f"{LABELS} is not an IDX file"),
        (LABELS, lambda b: gzip.compress(bytes(40)), "is not an IDX file of unsigned bytes with 1"),
        (
            LABELS,
            lambda b: gzip.compress(gzip.decompress(b)[:-1]),
            "announces 30 items of shape .., but has 29 bytes",
        ),
        (
            LABELS,
            lambda b: gzip.compress(gzip.decompress(b) + b"more"),
            "announces 30 items of shape .., but has 34 bytes",
        ),
        (
            IMAGES,
            lambda b: gzip.compress(idx_bytes(np.zeros((30, 27, 28)))),
            "holds items of shape .27, 28.",
        ),
        (
            LABELS,
            lambda b: gzip.compress(idx_bytes(np.zeros(29))),
            "has 30 images, but .* 29 labels",
        ),
        (LABELS, lambda b: gzip.compress(idx_bytes(np.full(30, 11))), "has the label 11"),
    ],
)
def test_damaged_mnist_files_are_named(tmp_path, name, change, sentence):
    path = write_mnist(tmp_path, 30, 20)
    damage(tmp_path, name, change)
    with pytest.raises(UsageError, match=sentence):
        mnist.make(mnist.Options(path=path, valid_size=9))


def test_missing_mnist_files_are_named_with_their_source(tmp_path):
    path = write_mnist(tmp_path, 30, 20)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UsageError, match=f"no t10k-labels-idx1-ubyte.gz or .* in {path}.*https://"):
        mnist.make(mnist.Options(path=path, valid_size=9))


def test_validation_must_leave_something_to_train_on(tmp_path):
    path = write_mnist(tmp_path, 30, 20)
    with pytest.raises(UsageError, match="valid_size=30 leaves none of the 30"):
        mnist.make(mnist.Options(path=path, valid_size=30))


@real_data
def test_the_real_mnist():
    dataset = mnist.make(mnist.Options())
    splits = dataset.arrays
    assert [len(splits[split]["targets"]) for split in splits] == [55_000, 5000, 10_000]
    images = np.concatenate([splits[split]["inputs"] for split in ("train", "valid")])
    header = idx_bytes(np.zeros((0, 28, 28)))[:4] + np.array([60_000, 28, 28], ">u4").tobytes()
    raw = header + images.tobytes()
    assert hashlib.md5(raw).hexdigest() == "6bbc9ace898e44ae57da46a324031adb"
    assert splits["train"]["targets"][:5].tolist() == [5, 0, 4, 1, 9]
    assert splits["test"]["targets"][:5].tolist() == [7, 2, 1, 0, 4]
