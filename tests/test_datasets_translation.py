"""Parallel files become pairs line by line, and what is wrong with them is said in one sentence."""

import gzip
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen.datasets import pairs, translation, vocabulary
from seqgen.errors import UsageError

GERMAN = ["Ein Hund läuft.", "Eine Katze schläft.", "Ein Hund schläft.", "Eine Katze läuft."]
ENGLISH = ["A dog runs.", "A cat sleeps.", "A dog sleeps.", "A cat runs."]


@pytest.fixture
def folder(tmp_path):
    """Files as people have them: one split gzipped, one not, and no test split."""
    for language, lines in (("de", GERMAN), ("en", ENGLISH)):
        text = "".join(f"{line}\n" for line in lines)
        (tmp_path / f"train.{language}.gz").write_bytes(gzip.compress(text.encode()))
        (tmp_path / f"val.{language}").write_text(f"{lines[0]}\n{lines[3]} {lines[3]}", "utf-8")
    return tmp_path


def options(folder, **changes):
    return translation.Options(path=str(folder), batch_size=2, **({"min_count": 1} | changes))


def shown(dataset, split):
    fields, spec = dataset.arrays[split], dataset.spec
    return [
        (vocabulary.decode(spec["vocabulary"], tokens[:length]), pairs.decode(spec, answer))
        for tokens, length, answer in zip(*(fields[n] for n in fields), strict=True)
    ]


def test_lines_are_paired_words_told_apart_and_lowercased(folder):
    dataset = translation.make(options(folder))
    assert shown(dataset, "train")[0] == ("ein hund läuft .", "a dog runs .")
    assert len(shown(dataset, "train")) == 4
    assert set(dataset.num_batches) == {"train", "valid"}
    assert dataset.spec["start"].splitlines()[0] == "ein hund läuft ."
    cased = translation.make(options(folder, lowercase=False, unit="character"))
    assert shown(cased, "train")[1] == (GERMAN[1], ENGLISH[1])


def test_rare_and_unseen_words_are_unknown_on_either_side(folder):
    (folder / "val.de").write_text("Ein Pferd schläft.\nEine Katze läuft.\n", "utf-8")
    (folder / "val.en").write_text("A horse sleeps.\nA cat runs.\n", "utf-8")
    dataset = translation.make(options(folder))
    assert shown(dataset, "valid")[0] == ("ein <unk> schläft .", "a <unk> sleeps .")
    tokens = translation.encode(dataset.spec, "Ein PFERD schläft.")
    np.testing.assert_array_equal(tokens, dataset.arrays["valid"]["inputs"][0])
    rare = translation.make(options(folder, min_count=3))
    assert shown(rare, "train")[0] == ("<unk> <unk> <unk> .", "a <unk> <unk> .")


def test_long_pairs_are_left_out_of_training_only(folder):
    long = translation.make(options(folder))
    assert long.arrays["valid"]["length_B"].max() == 8
    (folder / "train.en.gz").write_bytes(
        gzip.compress("\n".join([*ENGLISH[:3], f"{ENGLISH[3]} {ENGLISH[3]}"]).encode())
    )
    dataset = translation.make(options(folder, max_length=5))
    assert len(shown(dataset, "train")) == 3
    assert len(shown(dataset, "valid")) == 2
    with pytest.raises(UsageError, match="max_length=3"):
        translation.make(options(folder, max_length=3))


def test_subwords_spell_every_word(folder):
    dataset = translation.make(options(folder, unit="subword", vocabulary_size=300))
    answer = shown(dataset, "train")[2][1]
    assert answer == "a dog sleeps."
    tokens = translation.encode(dataset.spec, "Zebra!")
    assert vocabulary.decode(dataset.spec["vocabulary"], tokens) == "zebra!"


def test_batches_are_padded_by_the_split_and_every_answer_ends(folder):
    dataset = translation.make(options(folder))
    batch = dataset.batch(dataset.arrays, "train", jnp.int32(0), jax.random.key(0))
    assert batch["inputs"].shape == (2, 4)
    assert batch["targets"].shape == (2, 5)
    assert np.all(np.asarray(batch["targets"])[:, -1] == 0)
    assert dataset.spec["length"] == 8


def test_bad_files_are_named_with_their_line(folder):
    def refused(match, **changes):
        with pytest.raises(UsageError, match=match):
            translation.make(options(folder, **changes))

    refused(r"no train.fr\[.gz\] in", from_language="fr")
    refused(r"no train.fr\[.gz\] in .* beside the other", to_language="fr")
    (folder / "val.en").write_text("A dog runs.\n")
    refused(r"val.de has 2 lines, but .*val.en has 1 lines")
    (folder / "val.en").write_text("A dog runs.\n\n")
    refused("val.en line 2 is empty")
    (folder / "val.en").write_bytes(b"\xff\xfe\xff")
    refused("line 1 is not UTF-8 text")
    (folder / "val.en").write_text("")
    refused("val.en is empty")
    (folder / "train.en.gz").write_bytes(b"nothing")
    refused("can't be read")
    refused("vocabulary_size", unit="subword", vocabulary_size=None)


@pytest.mark.skipif("SEQGEN_DATA" not in os.environ, reason="needs the data SEQGEN_DATA names")
def test_multi30k_has_its_published_sizes():
    dataset = translation.make(translation.Options(max_length=None))
    sizes = {split: len(fields["targets"]) for split, fields in dataset.arrays.items()}
    assert sizes == {"train": 29_000, "valid": 1_014, "test": 1_000}
