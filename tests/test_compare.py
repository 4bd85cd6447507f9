"""Where a comparison is stored: one with another run, split or search overwrites none."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest

from seqgen import compare
from seqgen import config as configs
from seqgen.errors import UsageError
from seqgen.evaluate import GREEDY


def test_each_comparison_has_a_file_of_its_own(tmp_path, monkeypatch):
    searched = dataclasses.replace(GREEDY, beam=3)
    asked = [
        (split, tmp_path / folder / "run", how)
        for split in ("valid", "test")
        for folder in ("one", "other")
        for how in (GREEDY, searched)
    ]
    names = [compare.file_name(*which) for which in asked]
    assert len(set(names)) == len(asked)
    assert all(n.startswith(f"{split}-run-") for n, (split, _, _) in zip(names, asked, strict=True))
    monkeypatch.chdir(tmp_path / "..")
    relative = (tmp_path / "one" / "run").relative_to(tmp_path.parent)
    assert compare.file_name("valid", relative, GREEDY) == names[0]


def test_likelihoods_of_unlike_things_are_not_compared():
    def run(likelihood, binarization):
        c = configs.default(dataset="digits", model="vae", objective="elbo")
        c.model.likelihood, c.objective.binarization = likelihood, binarization
        return SimpleNamespace(workdir=Path(likelihood), config=c)

    bits = run("bernoulli", "dynamic")
    compare.refuse_other_kinds(bits, run("bernoulli", "dynamic"))
    for other in (run("gaussian", None), run("bernoulli", None), run("bernoulli", "fixed")):
        with pytest.raises(UsageError, match="unlike things"):
            compare.refuse_other_kinds(bits, other)
    sequences = configs.default(dataset="adding", model="many_to_one", objective="likelihood")
    one = SimpleNamespace(workdir=Path("one"), config=sequences)
    compare.refuse_other_kinds(one, one)
