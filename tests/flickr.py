"""A small Flickr8k in its own layout: plain pictures, whose captions name their colour."""

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"red": (200, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 200)}
LISTS = {"train": "train", "valid": "dev", "test": "test"}


def write_captions(folder: Path, counts: tuple[int, int, int] = (9, 4, 3)) -> str:
    """Writes so many pictures of each split, and a stray caption; returns the folder's name."""
    pictures = folder / "Flicker8k_Dataset"
    pictures.mkdir(exist_ok=True)
    lines, number = [], 0
    for (_, name), count in zip(LISTS.items(), counts, strict=True):
        listed = []
        for _ in range(count):
            colour = list(COLOURS)[number % len(COLOURS)]
            noise = np.random.RandomState(number).randint(0, 30, (24, 30, 3))
            file = f"{number:04d}.png"
            Image.fromarray(np.uint8(noise + COLOURS[colour])).save(pictures / file)
            lines += [
                f"{file}#{k}\tA {colour.title()} picture , {'really ' * k}!" for k in range(5)
            ]
            listed.append(file)
            number += 1
        (folder / f"Flickr_8k.{name}Images.txt").write_text("".join(f"{f}\n" for f in listed))
    lines.append("nowhere.jpg.1#0\ta picture that is not there")
    (folder / "Flickr8k.token.txt").write_text("".join(f"{line}\n" for line in lines))
    return str(folder)
