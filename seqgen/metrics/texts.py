"""Scores of whole texts by sacreBLEU (Post 2018): BLEU and chrF that other papers can be held to.

A score is comparable only under its signature, which names the case, the tokens and the version.
"""

from collections.abc import Sequence

from seqgen.errors import require
from seqgen.metrics import Meaning

REPORTS = {
    "sacrebleu": Meaning("", larger_is_better=True),
    "sacrebleu_tokenised": Meaning("", larger_is_better=True),
    "chrf": Meaning("", larger_is_better=True),
}


def bleu(
    texts: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    lowercase: bool,
    tokenised: bool = False,
) -> tuple[float, str]:
    """(BLEU in [0, 100], its signature); each text has references of its own, as many as any other.

    `tokenised` texts are already split by spaces, others are split as mteval-v13a does. Raises
    UsageError where sacreBLEU is not installed.
    """
    kind = require("sacrebleu", "data").metrics.BLEU
    how = {"tokenize": "none", "force": True} if tokenised else {}
    return _scored(kind(lowercase=lowercase, **how), texts, references)


def chrf(
    texts: Sequence[str], references: Sequence[Sequence[str]], *, lowercase: bool
) -> tuple[float, str]:
    """(chrF2 in [0, 100] (Popović 2015), its signature), as for `bleu`."""
    kind = require("sacrebleu", "data").metrics.CHRF
    return _scored(kind(lowercase=lowercase), texts, references)


def _scored(metric, texts, references):
    streams = [list(stream) for stream in zip(*references, strict=True)]
    score = metric.corpus_score(list(texts), streams).score
    return float(score), str(metric.get_signature())
