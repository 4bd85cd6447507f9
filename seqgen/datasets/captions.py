"""Photographs and what five people wrote about each, in the files of Flickr8k (Hodosh, Young and
Hockenmaier 2013): a folder of JPEGs, a file of captions and a list of the pictures of each split.
"""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from seqgen.datasets import Dataset, captioned, files, images, sampling, vocabulary
from seqgen.datasets.captioned import encode  # noqa: F401  (the dataset's own)
from seqgen.datasets.pairs import END, decode  # noqa: F401
from seqgen.errors import UsageError, out_of_range

SOURCE = "https://hockenmaier.cs.illinois.edu/8k-pictures.html"
FOLDER, CAPTIONS = "Flicker8k_Dataset", "Flickr8k.token.txt"
LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "valid": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
CHANNELS = 3


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 64
    path: str = "$SEQGEN_DATA/flickr8k"  # folder of the pictures' folder and the text files
    image_size: int = 96  # pixels of either side; what a square cuts off is cut off evenly
    min_count: int = 5  # rarer words of the training captions are "<unk>"
    max_length: int | None = 24  # training captions with more words are left out
    flip: bool = True  # mirror half of the training pictures
    shift: int | None = None  # move the training pictures by up to so many pixels

    def problems(self) -> Iterator[str]:
        yield from out_of_range(
            self,
            "dataset.",
            batch_size="[1, inf)",
            image_size="[8, inf)",
            min_count="[1, inf)",
            max_length="[1, inf)",
            shift="[1, inf)",
        )


def make(options: Options) -> Dataset:
    """inputs [H, W, 3]: a picture; answers: its captions, in lower case and without punctuation.

    Captions of pictures that no list names are left out: the file has some, and two of pictures
    that do not exist. Evaluation leaves no caption out. Raises UsageError for files that are
    missing or broken, for lines that are no captions, and for pictures with more or fewer of them
    than others, or in two lists.
    """
    sampling.check(options)
    folder = sampling.located(options.path, SOURCE)
    written = _written(_there(folder, CAPTIONS))
    captions, pictures, owner = {}, {}, {}
    for split, name in LISTS.items():
        listed = _listed(_there(folder, name), written, owner)
        captions[split] = [written[picture] for picture in listed]
        pictures[split] = _pictures(folder / FOLDER, listed, options.image_size)
    counts = {picture: len(written[picture]) for picture in owner}
    references = counts[next(iter(owner))]
    if other := next((p for p, count in counts.items() if count != references), None):
        raise UsageError(
            f"{folder / CAPTIONS} has {counts[other]} captions of {other}, but {references} of "
            "others: all must have as many"
        )
    train = [caption for own in captions["train"] for caption in own]
    words = vocabulary.build(train, "word", (END, vocabulary.UNKNOWN), options.min_count, None)
    longest = options.max_length
    if longest is not None:
        captions["train"] = [
            [c for c in own if len(c.split()) <= longest] for own in captions["train"]
        ]
        if not any(captions["train"]):
            raise UsageError(f"no training caption is within dataset.max_length={longest}")
    dataset = captioned.stored(
        "captions",
        pictures,
        captions,
        words,
        batch_size=options.batch_size,
        references=references,
        flip=options.flip,
        shift=options.shift,
    )
    return dataset._replace(spec=dataset.spec | {"lowercase": True})


def references(options: Options, split: str) -> list[tuple[str, ...]]:
    """What people wrote about each picture of a split, without case and punctuation."""
    folder = sampling.located(options.path, SOURCE)
    written = _written(_there(folder, CAPTIONS))
    return [tuple(written[p]) for p in _listed(_there(folder, LISTS[split]), written, {})]


def natural(spec: dict[str, Any], text: str) -> str:
    """A decoded caption as it is held against others: as it is."""
    del spec
    return text


def units(spec: dict[str, Any], text: str) -> str:
    """A caption's words with spaces between them."""
    del spec
    return prepared(text)


def prepared(text: str) -> str:
    """The words of a caption with spaces between them."""
    return " ".join(re.findall(r"\w+(?:['’-]\w+)*", text.lower()))


def _there(folder: Path, name: str) -> Path:
    file = files.found(folder, name)
    if file is None:
        raise UsageError(
            f"no {name} in {folder}: the files of Flickr8k are to be had from {SOURCE}"
        )
    return file


def _written(file: Path) -> dict[str, list[str]]:
    """Picture -> its captions in the order of the file, each on a line after PICTURE#NUMBER."""
    captions, places = {}, {}
    for place, line in files.lines(file):
        name, tab, text = line.partition("\t")
        picture, sign, number = name.rpartition("#")
        if not (picture and tab and sign and number.isdigit()):
            raise UsageError(f"{place} is not PICTURE#NUMBER, a tab and a caption: {line[:60]!r}")
        words = prepared(text)
        if not words:
            raise UsageError(f"{place} has a caption without words: {line[:60]!r}")
        if name in places:
            raise UsageError(f"{place} has a caption {name}, as has {places[name]}")
        places[name] = place
        captions.setdefault(picture, []).append(words)
    return captions


def _listed(file: Path, written: dict[str, list[str]], owner: dict[str, str]) -> list[str]:
    """The pictures of a list; `owner` learns where each stands."""
    names = []
    for place, line in files.lines(file):
        picture = line.strip()
        if picture not in written:
            raise UsageError(f"{place} names {picture!r}, of which {CAPTIONS} has no caption")
        if picture in owner:
            raise UsageError(f"{place} names {picture}, as does {owner[picture]}")
        owner[picture] = place
        names.append(picture)
    return names


def _pictures(folder: Path, names: list[str], size: int) -> np.ndarray:
    """uint8 [N, size, size, 3]."""
    shape = (size, size, CHANNELS)
    pictures = np.empty((len(names), *shape), np.uint8)
    for image, name in zip(pictures, names, strict=True):
        image[:] = images.read(folder / name, shape)
    return pictures
