"""Sentences: of the grammar, whose words agree, and of people's own files."""

import re

import numpy as np
import pytest

from seqgen.datasets import sentences
from seqgen.errors import UsageError

PAST = "watched|followed|drew|found|fed|called|carried|forgot"
OF_ONE = "watches|follows|draws|finds|feeds|calls|carries|forgets"
OF_MANY = "watch|follow|draw|find|feed|call|carry|forget"
PEOPLE = "farmer|teacher|sailor|girl|boy|doctor|painter|king"
ANIMALS = "dog|cat|horse|bird|cow|goat|duck|rabbit"
# written again from what English asks for: verb and numeral agree with what is far from them
SUBJECTS = {"one": rf"(the|this)( \w+)? ({PEOPLE})", "many": rf"(the|some)( \w+)? ({PEOPLE})s"}
OBJECT = rf"(the( \w+)? ({ANIMALS})|(two|three)( \w+)? ({ANIMALS})s)"
PLACE = r"( (in|near|behind|on|at|under|by) the \w+)?"


def verbs(time, number):
    if time == "yesterday":
        return f"({PAST})"
    if time == "tomorrow":
        return f"will ({OF_MANY})"
    return f"({OF_ONE if number == 'one' else OF_MANY})"


def test_the_grammars_words_agree_and_every_choice_is_made():
    patterns = {
        (time, number): re.compile(rf"{time} {subject} {verbs(time, number)} {OBJECT}{PLACE} \.")
        for time in ("yesterday", "today", "tomorrow")
        for number, subject in SUBJECTS.items()
    }
    made = sentences.grammar(3000)
    fits = [[kind for kind, one in patterns.items() if one.fullmatch(s)] for s in made]
    assert all(len(kinds) == 1 for kinds in fits)
    counts = {kind: sum(kinds == [kind] for kinds in fits) for kind in patterns}
    assert all(abs(count - 500) < 5 * np.sqrt(500) for count in counts.values()), counts
    assert made == sentences.grammar(4000)[:3000] and len(set(made)) > 2900


def rows(dataset, split):
    return [sentences.decode(dataset.spec, row) for row in dataset.arrays[split]["inputs"]]


def test_no_sentence_is_in_two_splits_and_each_has_its_end():
    dataset = sentences.make(sentences.Options(size=1000))
    every = [text for split in dataset.arrays for text in rows(dataset, split)]
    assert len(every) == len(set(every)) == len(set(sentences.grammar(1000)))
    sizes = [len(dataset.arrays[split]["inputs"]) for split in ("train", "valid", "test")]
    assert np.allclose(np.divide(sizes, len(every)), (0.8, 0.1, 0.1), atol=0.001)
    for fields in dataset.arrays.values():
        for row, length in zip(fields["inputs"], fields["length_B"], strict=True):
            assert row[length - 1] == 0 and np.all(row[: length - 1] > 1) and not row[length:].any()
    tokens = sentences.encode(dataset.spec, "Today the old king finds two cats.")
    assert sentences.decode(dataset.spec, tokens) == "today the old king finds two cats ."
    assert tokens[-1] == 0 and tokens.dtype == np.int32


@pytest.mark.parametrize("unit", ["word", "character"])
def test_lines_of_a_file_are_sentences(tmp_path, unit):
    lines = [f"Line {'very ' * (i % 3)}number {i}!" for i in range(50)]
    long = "word " * 60
    file = tmp_path / "lines.txt"
    file.write_text("\n".join([*lines, "", "  ", *lines[:7], long]) + "\n")
    options = sentences.Options(path=str(file), unit=unit, lowercase=False, shares=(0.8, 0.2, 0.0))
    dataset = sentences.make(options)
    found = rows(dataset, "train") + rows(dataset, "valid")
    assert set(dataset.arrays) == {"train", "valid"} and dataset.spec["left_out"] == 1
    written = [re.sub("!", " !", line) if unit == "word" else line for line in lines]
    known = [text for text in found if "<unk>" not in text]
    assert len(found) == 50 and set(known) <= set(written)
    assert len(known) > 35


def test_bad_files_and_options_are_one_sentence(tmp_path):
    file = tmp_path / "lines.txt"
    file.write_text("one line\n")
    with pytest.raises(UsageError, match="leaves no sentences of at most"):
        sentences.make(sentences.Options(path=str(file)))
    with pytest.raises(UsageError, match="can't be read"):
        sentences.make(sentences.Options(path=str(tmp_path / "none.txt")))
    with pytest.raises(UsageError, match="dataset.shares must leave texts"):
        sentences.make(sentences.Options(shares=(1.0, 0.0, 0.0)))
    with pytest.raises(UsageError, match="did you mean 'word'"):
        sentences.make(sentences.Options(unit="words"))
