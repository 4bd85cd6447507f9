"""Where a comparison is stored: one with another run, split or search overwrites none."""

import dataclasses

from seqgen import compare
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
