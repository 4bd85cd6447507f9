"""The page of studies says what their records say."""

import json
import re

import pytest

import launch
from seqgen import report, run_directory, study_report
from seqgen.errors import UsageError

FOUND = {"value": 0.75, "low": 0.5, "high": 1.0}
PNG = b"\x89PNG\r\n"


def verdict(claim, word, *words):
    checks = [
        {"statistic": f"s{n}", "threshold": 0.6, "above": n == 0, "found": FOUND, "verdict": w}
        for n, w in enumerate(words)
    ]
    return {
        "claim": claim,
        "sentence": f"{claim} is < so",
        "verdict": word,
        "checks": checks,
        "references": [{"of": "chance", "value": 0.25, "source": "four classes"}],
        "runs": [
            {"run": "/elsewhere/runs/ab", "of": ["gan", 64, 0], "measured": {"x": 1 / 3}},
            {"run": "/elsewhere/runs/cd", "of": ["gan", 64, 1], "measured": {"y": "NaN"}},
        ],
        "seconds": 75.0,
    }


@pytest.fixture
def studies(tmp_path):
    for claim, word, *words in (
        ("half", "REFUTED", "SUPPORTED", "REFUTED"),
        ("bias", "INCONCLUSIVE", "INCONCLUSIVE"),
    ):
        (tmp_path / claim).mkdir()
        run_directory.write_json(tmp_path / claim / "verdict.json", verdict(claim, word, *words))
    (tmp_path / "half" / "picture.png").write_bytes(PNG)
    (tmp_path / "runs" / "ab").mkdir(parents=True)
    (tmp_path / "runs" / "ab" / "report.html").write_text("")
    return tmp_path


def test_verdicts_stand_in_a_table_with_their_checks_pictures_and_links(studies):
    shown = report.report(studies).read_text()
    assert "<h1>" in shown and "1 INCONCLUSIVE, 1 REFUTED</h1>" in shown
    assert shown.index('href="#bias"') < shown.index('href="#half"')
    assert '<h2 id="half">half: REFUTED</h2><p>half is &lt; so.</p>' in shown
    assert shown.count("<img") == 1
    assert shown.count('<a href="runs/ab/report.html">ab</a>') == 2  # of both claims
    assert "gan 64, seed 1" in shown and ">cd</td>" in shown
    assert re.search(r"s1</td><td[^>]*>0.75 \(0.5 to 1\)</td><td[^>]*>below 0.6</td>", shown)
    assert "chance</td><td>0.25</td><td>four classes" in shown
    told = (studies / "report.md").read_text()
    assert "| half | REFUTED | half is < so | 1 of 2 | 1 min 15 s |" in told
    assert "| half | chance | 0.25 | four classes |" in told
    assert "| half | s0 | 0.75 (0.5 to 1) | above 0.6 | SUPPORTED |" in told


def test_a_directory_with_nothing_to_report_of_is_refused(studies):
    with pytest.raises(UsageError, match="runs holds no run, no sweep, no verdict"):
        report.report(studies / "runs")


@pytest.mark.parametrize(
    ("file", "content", "missing"),
    [
        ("toy/verdict.json", dict.fromkeys(study_report.KEYS, "") | {"checks": [{}]}, "statistic"),
        ("sweep.json", {"experiment": "a", "trials": [{}]}, "run"),
        ("diagnoses/valid-0.json", {"split": "valid"}, "layers"),
        ("diagnoses/valid-0.json", {"split": "valid", "layers": []}, "title"),
        ("diagnoses/valid-0.json", {"split": "valid", "grid": "seed=1"}, "points"),
    ],
)
def test_a_damaged_record_is_one_sentence(tmp_path, capsys, file, content, missing):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(json.dumps(content))
    assert launch.main(["launch.py", "report", f"--workdir={tmp_path}"]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / file} is damaged: {missing} is missing\n"
