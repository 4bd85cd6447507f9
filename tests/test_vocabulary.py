"""Text to token ids and back, by characters, words and subwords."""

import json

import numpy as np
import pytest

from seqgen.datasets import vocabulary
from seqgen.errors import UsageError

SPECIALS = ("<end>", "<unk>")
TEXTS = ["the cat sat on the mat", "a dog ate the cat", "the dog sat"]
ODD = "Zwölf Boxkämpfer\r\njagen  Viktor\t😀\u2028 quer…\n"
SIZES = {"character": None, "word": None, "subword": 300}


def built(unit, texts=TEXTS, specials=SPECIALS, min_count=1, size=None):
    return vocabulary.build(texts, unit, specials, min_count, size or SIZES[unit])


@pytest.mark.parametrize("unit", vocabulary.UNITS)
def test_texts_round_trip_through_json(unit):
    words = json.loads(json.dumps(built(unit)))
    assert words == built(unit)
    for text in TEXTS:
        ids = vocabulary.encode(words, text)
        assert ids.dtype == np.int32 and ids.ndim == 1
        assert ids.min() >= len(SPECIALS) and ids.max() < vocabulary.size(words)
        assert vocabulary.decode(words, ids) == text
    assert vocabulary.encode(words, "").shape == (0,)
    assert vocabulary.decode(words, np.zeros(0, np.int32)) == ""


@pytest.mark.parametrize("unit", ["character", "subword"])
def test_spaces_line_ends_and_symbols_are_kept(unit):
    words = built(unit, texts=[ODD])
    assert vocabulary.decode(words, vocabulary.encode(words, ODD)) == ODD


def test_subwords_spell_what_they_never_saw():
    words = built("subword")
    assert vocabulary.decode(words, vocabulary.encode(words, ODD)) == ODD
    assert len(vocabulary.encode(words, " the the the")) == 3  # frequent words are one token
    assert vocabulary.size(words) <= 300


@pytest.mark.parametrize("unit", vocabulary.UNITS)
@pytest.mark.parametrize("specials", [(), ("<unk>",), ("<start>", "<end>", "<unk>")])
def test_specials_take_the_first_ids_and_text_never_becomes_one(unit, specials):
    words = built(unit, texts=[*TEXTS, "<start> <end>"], specials=specials)
    for number, special in enumerate(specials):
        assert vocabulary.decode(words, np.array([number])) == special
    ids = vocabulary.encode(words, "the <start> <end> cat")
    spoken = set(ids.tolist()) & set(range(len(specials)))
    # a word that is spelled as a special is none of the vocabulary's: unknown
    assert spoken == ({specials.index("<unk>")} if unit == "word" and len(specials) > 1 else set())


@pytest.mark.parametrize(("unit", "raw"), [("character", "z"), ("word", "zebra")])
def test_what_is_unknown_has_its_token_or_a_sentence(unit, raw):
    assert vocabulary.encode(built(unit), raw).tolist() == [SPECIALS.index("<unk>")]
    with pytest.raises(UsageError, match=f"the {unit} '{raw}' is not in the vocabulary"):
        vocabulary.encode(built(unit, specials=("<end>",)), raw)


def test_words_are_ordered_by_count_and_then_by_name():
    assert built("word")["tokens"] == ["the", "cat", "dog", "sat", "a", "ate", "mat", "on"]
    assert built("word", min_count=2)["tokens"] == ["the", "cat", "dog", "sat"]
    assert built("word", size=4)["tokens"] == ["the", "cat"]
    assert vocabulary.size(built("word", size=4)) == 4
    assert built("character", texts=["abca"])["tokens"] == ["a", "b", "c"]


def test_rare_pairs_are_not_joined():
    plain = vocabulary.size(built("subword", min_count=100))
    assert plain == vocabulary.BYTES + len(SPECIALS)


def test_one_encoder_serves_many_texts():
    words = built("subword")
    encode_one = vocabulary.encoder(words)
    for text in TEXTS:
        assert np.array_equal(encode_one(text), vocabulary.encode(words, text))
