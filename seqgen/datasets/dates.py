"""Dates as people write them, and the same in ISO 8601: "3rd of May, 1987" is 1987-05-03."""

import dataclasses
import datetime
from collections.abc import Iterator

import numpy as np

from seqgen.datasets import SPLITS, Dataset, pairs, sampling
from seqgen.datasets.pairs import decode, encode  # noqa: F401  (the dataset's own)
from seqgen.errors import out_of_range

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
FORMS = (
    "{day} {month} {year}",
    "{day} {short} {year}",
    "{month} {day}, {year}",
    "{short} {day} {year}",
    "{month} {ordinal}, {year}",
    "{ordinal} of {month} {year}",
    "the {ordinal} of {month}, {year}",
    "{weekday}, {day} {month} {year}",
    "{weekday} {month} {day} {year}",
    "{day:02}.{number:02}.{year}",
    "{year}/{number}/{day}",
    "{weekday:.3} {day} {short} {year}",
)


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 64
    buckets: int | None = None  # batches of like length, in so many shapes at most
    train_size: int = 20_000  # dates, each in one form
    test_size: int = 2_000  # of either evaluated split

    def problems(self) -> Iterator[str]:
        yield from out_of_range(
            self,
            "dataset.",
            batch_size="[1, inf)",
            buckets="[1, inf)",
            train_size="[1, inf)",
            test_size="[1, inf)",
        )
        days = (LAST - FIRST).days + 1
        if self.train_size + 2 * self.test_size > days:
            yield (
                f"dataset.train_size and twice dataset.test_size must be at most {days} together, "
                "the days of two centuries"
            )


def make(options: Options) -> Dataset:
    """inputs [S]: characters of a date in one of twelve forms, half of them without capitals;
    answers: year-month-day. No day is in two splits.
    """
    sampling.check(options)
    random = np.random.RandomState(0)  # its numbers never change (NEP 19)
    order = random.permutation((LAST - FIRST).days + 1)
    sizes = dict(zip(SPLITS, (options.train_size, *[options.test_size] * 2), strict=True))
    splits, begin = {}, 0
    for split, size in sizes.items():
        days = [FIRST + datetime.timedelta(int(n)) for n in order[begin : begin + size]]
        forms = random.randint(2 * len(FORMS), size=size)
        splits[split] = [(written(d, f), d.isoformat()) for d, f in zip(days, forms, strict=True)]
        begin += size
    words, start = pairs.closed(splits, "character"), "the 3rd of May, 1987"
    return pairs.stored("dates", splits, words, options, start)


def written(date: datetime.date, form: int) -> str:
    """A date in one of the forms, which come twice: as they are, and without capitals."""
    text = FORMS[form % len(FORMS)].format(
        day=date.day,
        ordinal=f"{date.day}{suffix(date.day)}",
        month=MONTHS[date.month - 1],
        short=MONTHS[date.month - 1][:3],
        number=date.month,
        year=date.year,
        weekday=DAYS[date.weekday()],
    )
    return text if form < len(FORMS) else text.lower()


def suffix(day: int) -> str:
    """Of the ordinal number: 1st, 2nd, 3rd, 4th, 11th."""
    return "th" if 10 < day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
