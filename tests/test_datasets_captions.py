"""Pictures and their captions: every picture is the one that its caption tells of."""

import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flickr import COLOURS, write_captions
from PIL import Image

from seqgen.datasets import captioned, captions, images, pairs, shapes, vocabulary
from seqgen.errors import UsageError


@pytest.fixture(scope="module")
def drawn_shapes():
    return shapes.make(shapes.Options(batch_size=8, train_size=300, test_size=50))


def flickr(folder, **changes):
    options = {"batch_size": 6, "image_size": 16, "min_count": 1, "flip": False} | changes
    return captions.make(captions.Options(path=write_captions(folder), **options))


def batch_of(dataset, split, index=0, key=None):
    draw = jax.jit(dataset.batch, static_argnums=1)
    return draw(dataset.arrays, split, jnp.int32(index), key)


def sentences(dataset, split):
    targets = dataset.arrays["examples"][split]["targets"]
    return [pairs.decode(dataset.spec, row) for row in targets.reshape(-1, targets.shape[-1])]


@pytest.mark.parametrize("make", [lambda _: shapes.make(shapes.Options(8, 64, 20)), flickr])
def test_batches_fit_the_spec_and_are_the_same_again(make, tmp_path):
    dataset = make(tmp_path)
    assert json.loads(json.dumps(dataset.spec)) == dataset.spec
    for split, key in (("train", jax.random.key(0)), ("valid", None), ("test", None)):
        batch = batch_of(dataset, split, 1 if key is not None else 0, key)
        rows = len(batch["weight_B"])
        assert batch["inputs"].shape == (rows, *dataset.spec["inputs"]["shape"])
        assert batch["inputs"].dtype == jnp.float32
        assert batch["inputs"].min() >= 0 and batch["inputs"].max() <= 1
        assert batch["targets"].dtype == jnp.int32
        several = split != "train" and dataset.spec["dataset"] == "captions"
        assert batch["targets"].shape[:-1] == ((rows, 5) if several else (rows,))
        assert batch["targets"].max() < dataset.spec["targets"]["size"]
        assert batch["targets"].shape[-1] <= dataset.spec["targets"]["length"]
        assert np.all(np.asarray(batch["targets"])[..., -1] == 0)
    again = make(tmp_path)
    assert again.fingerprint == dataset.fingerprint
    for name, array in batch_of(again, "train", 1, jax.random.key(0)).items():
        np.testing.assert_array_equal(array, batch_of(dataset, "train", 1, jax.random.key(0))[name])


def test_no_caption_of_shapes_is_in_two_splits(drawn_shapes):
    train, valid, test = (set(sentences(drawn_shapes, s)) for s in ("train", "valid", "test"))
    assert not train & valid and not train & test and not valid & test
    assert len(test) > 30


def test_a_picture_of_shapes_has_the_colours_of_its_caption_where_it_says(drawn_shapes):
    for index in range(5):
        batch = batch_of(drawn_shapes, "train", index, jax.random.key(3))
        for picture, target in zip(batch["inputs"], batch["targets"], strict=True):
            text = pairs.decode(drawn_shapes.spec, target)
            pixels, axis = np.asarray(picture) * 255, 0 if "above" in text else 1
            places = []
            for words in text.replace("left of", "/").replace("above", "/").split("/"):
                _, size, colour, _ = words.split()
                near = np.abs(pixels - np.float32(shapes.COLOURS[colour])).sum(-1) < 25
                assert near.any(), text
                places.append(np.argwhere(near)[:, axis])
                if text.count(colour) == 1:
                    assert len(places[-1]) > {"small": 2, "large": 12}[size], text
            names = [words for words in text.split() if words in shapes.COLOURS]
            for one, other in zip(range(len(names)), range(1, len(names)), strict=False):
                if len(set(names)) == len(names):
                    assert places[one].max() < places[other].min(), text


def test_shapes_of_every_kind_and_size_look_different():
    scenes = [([(size, "red", kind)], "above") for size in shapes.RADII for kind in shapes.KINDS]
    drawn = [shapes.draw(np.random.RandomState(0), [scene])[0].astype(int) for scene in scenes]
    for one in range(len(drawn)):
        for other in range(one):
            assert np.sum(np.abs(drawn[one] - drawn[other]).max(-1) > 60) >= 2


def test_flickrs_captions_belong_to_their_pictures(tmp_path):
    dataset = flickr(tmp_path)
    assert sentences(dataset, "valid")[:2] == ["a red picture", "a red picture really"]
    for split in ("train", "valid", "test"):
        batch = batch_of(dataset, split, 0, jax.random.key(0) if split == "train" else None)
        for picture, target in zip(batch["inputs"], batch["targets"], strict=True):
            colour = list(COLOURS)[int(np.argmax(np.asarray(picture).mean((0, 1))))]
            for row in np.atleast_2d(target):
                assert pairs.decode(dataset.spec, row).split()[:3] == ["a", colour, "picture"]
    assert dataset.spec["targets"]["references"] == 5
    assert "not" not in dataset.spec["target_vocabulary"]["tokens"]  # the stray caption's


def test_each_caption_trains_once_an_epoch_and_each_picture_is_evaluated_once(tmp_path):
    dataset = flickr(tmp_path, batch_size=5, max_length=None)
    key = jax.random.key(1)
    seen = [np.asarray(batch_of(dataset, "train", i, key)["index_B"]) for i in range(9)]
    assert sorted(np.concatenate(seen)) == list(range(45))
    assert dataset.num_batches == {"train": 9, "valid": 1, "test": 1}
    shorter = flickr(tmp_path, max_length=4)
    assert len(sentences(shorter, "train")) == 18  # "really" at most once
    assert len(sentences(shorter, "valid")) == 20


def test_rare_words_are_unknown_and_never_right(tmp_path):
    dataset = flickr(tmp_path, min_count=16)
    assert dataset.spec["targets"]["unknown"] == 1
    assert sentences(dataset, "test")[0].split()[:3] == ["a", "<unk>", "picture"]


def test_training_pictures_are_mirrored_and_moved_and_evaluated_ones_are_not():
    x_BHWC = jax.random.randint(jax.random.key(0), (40, 6, 5, 3), 0, 255).astype(jnp.uint8)
    move = jax.jit(captioned.moved, static_argnums=(2, 3))
    flipped = np.asarray(move(jax.random.key(1), x_BHWC, True, None))
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(flipped, x_BHWC, strict=True)]
    same = [np.array_equal(a, b) for a, b in zip(flipped, x_BHWC, strict=True)]
    assert all(m != s for m, s in zip(mirrored, same, strict=True)) and 8 < sum(same) < 32
    shifted = np.asarray(move(jax.random.key(2), x_BHWC, False, 2))
    wide = np.pad(np.asarray(x_BHWC), ((0, 0), (2, 2), (2, 2), (0, 0)), "edge")
    places = set()
    for row, moved in enumerate(shifted):
        found = [
            (i, j)
            for i in range(5)
            for j in range(5)
            if np.array_equal(moved, wide[row, i : i + 6, j : j + 5])
        ]
        assert found
        places.update(found)
    assert len(places) > 10


def test_a_picture_file_of_any_size_fits_the_shape(tmp_path):
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, 10:30] = (250, 0, 0)  # what is left of a wide picture is its middle
    for name in ("wide.png", "wide.jpg"):
        Image.fromarray(image).save(tmp_path / name, quality=95)
        read = images.read(tmp_path / name, (10, 10, 3))
        assert read.shape == (10, 10, 3) and read[:, 1:-1, 0].min() > 200
    assert images.read(tmp_path / "wide.png", (20, 40, 3)).tolist() == image.tolist()
    assert images.read(tmp_path / "wide.png", (4, 4, 1)).shape == (4, 4, 1)


def test_a_picture_is_turned_as_its_file_says(tmp_path):
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, :20] = (250, 0, 0)
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held upright: the first column is the top
    Image.fromarray(image).save(tmp_path / "turned.jpg", quality=95, exif=turned)
    read = images.read(tmp_path / "turned.jpg", (40, 20, 3))
    assert read[:18, :, 0].min() > 200 and read[22:, :, 0].max() < 50
    broken = b"Exif\0\0MM\0*"
    Image.fromarray(image).save(tmp_path / "broken.jpg", quality=95, exif=broken)
    assert images.read(tmp_path / "broken.jpg", (20, 40, 3))[:, :18, 0].min() > 200


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_one_sees_through_is_white(mode, tmp_path):
    image = Image.new(mode, (8, 8), {"RGBA": (0, 0, 0, 0), "LA": (0, 0), "P": 0}[mode])
    image.save(tmp_path / "clear.png", **({"transparency": 0} if mode == "P" else {}))
    for channels in (1, 3):
        assert images.read(tmp_path / "clear.png", (8, 8, channels)).min() == 255


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_a_grey_picture_of_16_bits_keeps_its_shades(name, tmp_path):
    shades = np.linspace(0, 2**16 - 1, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(shades).save(tmp_path / name)
    assert images.read(tmp_path / name, (16, 16, 1)).ravel().tolist() == list(range(256))


def test_pictures_in_a_spec_come_back():
    pictures = np.random.RandomState(0).randint(0, 256, (2, 3, 4, 3)).astype(np.uint8)
    packed = json.loads(json.dumps(images.packed(pictures)))
    np.testing.assert_array_equal(images.unpacked(packed, (3, 4, 3)), pictures)


def test_bad_files_are_named_with_their_line(tmp_path):
    def refused(match, **changes):
        with pytest.raises(UsageError, match=match):
            captions.make(captions.Options(path=str(tmp_path), image_size=16, **changes))

    def changed(name, old, new):
        write_captions(tmp_path)
        text = (tmp_path / name).read_text()
        assert old in text
        (tmp_path / name).write_text(text.replace(old, new, 1))

    refused("no Flickr8k.token.txt in .* to be had from")
    write_captions(tmp_path)
    (tmp_path / "Flickr_8k.devImages.txt").unlink()
    refused("no Flickr_8k.devImages.txt in")
    changed("Flickr8k.token.txt", "0000.png#1\t", "0000.png#1 ")
    refused("token.txt line 2 is not PICTURE#NUMBER, a tab and a caption: '0000.png#1 A Red")
    changed("Flickr8k.token.txt", "A Red picture , !", " . ")
    refused("token.txt line 1 has a caption without words")
    changed("Flickr8k.token.txt", "0001.png#4", "0001.png#3")
    refused("token.txt line 10 has a caption 0001.png#3, as has .*token.txt line 9")
    changed("Flickr8k.token.txt", "0001.png#4", "0002.png#5")
    refused("has 4 captions of 0001.png, but 5 of others")
    changed("Flickr_8k.testImages.txt", "0013.png", "0012.png")
    refused("testImages.txt line 1 names 0012.png, as does .*devImages.txt line 4")
    changed("Flickr_8k.testImages.txt", "0013.png", "0099.png")
    refused("testImages.txt line 1 names '0099.png', of which Flickr8k.token.txt has no caption")
    write_captions(tmp_path)
    file = tmp_path / "Flicker8k_Dataset" / "0003.png"
    file.write_bytes(file.read_bytes()[:200])
    refused("0003.png can't be read as a picture")
    file.unlink()
    refused("0003.png can't be read as a picture: No such file")
    write_captions(tmp_path)
    refused("max_length=2", max_length=2)


def test_bad_options_are_named():
    for options in (captions.Options(image_size=4), captions.Options(shift=0)):
        (problem,) = options.problems()
        assert "must be at least" in problem


@pytest.mark.skipif("SEQGEN_DATA" not in os.environ, reason="needs the data SEQGEN_DATA names")
def test_flickr8k_has_its_published_sizes():
    dataset = captions.make(captions.Options(image_size=8, max_length=None))
    sizes = {split: len(pictures) for split, pictures in dataset.arrays["pictures"].items()}
    assert sizes == {"train": 6000, "valid": 1000, "test": 1000}
    assert len(dataset.arrays["examples"]["train"]["targets"]) == 30_000
    assert vocabulary.size(dataset.spec["target_vocabulary"]) > 2000
