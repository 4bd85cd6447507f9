"""SCAN (Lake and Baroni 2018): commands in a small language, and the actions that obey them.

The grammar of their appendix yields all 20,910 commands, so no file is needed. A split asks for a
kind of generalisation: `simple` holds out commands at random, `length` those of more than 22
actions, `jump` and `turn_left` all that use a primitive which training shows alone only.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seqgen.datasets import Dataset, files, pairs, sampling
from seqgen.datasets.pairs import decode, encode  # noqa: F401  (the dataset's own)
from seqgen.errors import UsageError, not_among, out_of_range

SPLITS = ("simple", "length", "jump", "turn_left")
SOURCE = "https://github.com/brendenlake/SCAN"
VERBS = ("walk", "look", "run", "jump")
SIDES = ("left", "right")
LONGEST = 22  # actions of a training command in the split `length`
ALONE = {"jump": "jump", "turn_left": "turn left"}  # what the training shows alone only
SHARE_ALONE = 0.1  # of the training commands are that one, as in the published files


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 64
    buckets: int | None = None  # batches of like length, in so many shapes at most
    split: str = "simple"  # simple, length, jump, turn_left
    # folder of the published tasks_{train,test}_simple.txt, whose random division then holds;
    # None: a division of our own. The other splits follow from their definitions
    path: str | None = None
    valid_share: float = 0.05  # of the training commands are for validation

    def problems(self) -> Iterator[str]:
        yield from not_among(self, "dataset.", split=SPLITS)
        yield from out_of_range(
            self, "dataset.", batch_size="[1, inf)", buckets="[1, inf)", valid_share="(0, 1)"
        )
        if self.path is not None and self.split != "simple":
            yield f"dataset.path is for the split simple, not {self.split}"


def make(options: Options) -> Dataset:
    """inputs [S]: words of a command; answers: its actions. Raises UsageError for bad files."""
    sampling.check(options)
    train, test = divided(options)
    random = np.random.RandomState(0)  # its numbers never change (NEP 19)
    alone = ALONE.get(options.split)
    rest = [pair for pair in train if pair[0] != alone]
    rest = [rest[i] for i in random.permutation(len(rest))]
    cut = len(rest) - int(len(rest) * options.valid_share)
    if cut == len(rest):
        source = "" if options.path is None else f" of {options.path}"
        raise UsageError(
            f"dataset.valid_share={options.valid_share} of the {cut} training commands{source} is "
            "none: validation needs one at least"
        )
    splits = {"train": rest[:cut], "valid": rest[cut:], "test": test}
    if alone is not None:
        copies = round(SHARE_ALONE / (1 - SHARE_ALONE) * cut)
        splits["train"] += [(alone, actions(alone))] * copies
    start = "walk and look left twice"
    return pairs.stored("scan", splits, pairs.closed(splits, "word"), options, start)


def divided(options: Options) -> tuple[pairs.Pairs, pairs.Pairs]:
    """All commands with their actions, for training and for testing, each once."""
    if options.path is not None:
        folder = sampling.located(options.path, SOURCE)
        return tuple(published(folder, f"tasks_{part}_simple.txt") for part in ("train", "test"))
    every = [(command, actions(command)) for command in commands()]
    if options.split == "simple":
        order = np.random.RandomState(1).permutation(len(every))
        cut = len(every) * 4 // 5
        return [every[i] for i in order[:cut]], [every[i] for i in order[cut:]]
    if options.split == "length":
        is_test = [len(answer.split()) > LONGEST for _, answer in every]
    else:
        alone = ALONE[options.split]
        is_test = [alone in command and alone != command for command, _ in every]
    chosen = {
        test: [pair for pair, tested in zip(every, is_test, strict=True) if tested == test]
        for test in (False, True)
    }
    return chosen[False], chosen[True]


def commands() -> Iterator[str]:
    """Every command of the grammar: a phrase, up to three times, alone or joined to another."""
    turned = [*VERBS, "turn"]
    phrases = [*VERBS, *(f"{verb} {side}" for verb in turned for side in SIDES)]
    phrases += [
        f"{verb} {how} {side}"
        for verb in turned
        for how in ("opposite", "around")
        for side in SIDES
    ]
    repeated = [f"{p}{times}" for p in phrases for times in ("", " twice", " thrice")]
    yield from repeated
    for first, joint, second in itertools.product(repeated, ("and", "after"), repeated):
        yield f"{first} {joint} {second}"


def actions(command: str) -> str:
    """What a command means, by the published interpretation function."""
    if " and " in command:
        first, second = command.split(" and ")
        return f"{actions(first)} {actions(second)}"
    if " after " in command:
        first, second = command.split(" after ")
        return f"{actions(second)} {actions(first)}"
    for word, times in (("twice", 2), ("thrice", 3)):
        if command.endswith(f" {word}"):
            return " ".join([actions(command.removesuffix(f" {word}"))] * times)
    verb, *rest = command.split()
    own = [] if verb == "turn" else [f"I_{verb.upper()}"]
    turn = f"I_TURN_{rest[-1].upper()}" if rest else None
    match rest:
        case []:
            meant = own
        case ["opposite", _]:
            meant = [turn, turn, *own]
        case ["around", _]:
            meant = [turn, *own] * 4
        case _:
            meant = [turn, *own]
    return " ".join(meant)


def published(folder: Path, name: str) -> pairs.Pairs:
    """The pairs of a published file, gzipped or not. Raises UsageError that names the bad line."""
    file = files.found(folder, name)
    if file is None:
        raise UsageError(f"no {name}.gz or {name} in {folder}: it is to be had from {SOURCE}")
    found = []
    for place, line in files.lines(file):
        command, mark, answer = line.removeprefix("IN: ").partition(" OUT: ")
        pair = command.strip(), answer.strip()
        if not (line.startswith("IN: ") and mark and all(pair)):
            raise UsageError(f"{place} is not 'IN: command OUT: actions': {line!r}")
        found.append(pair)
    return found
