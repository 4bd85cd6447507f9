"""The verb `report`: a run, a sweep, one config's seeds, studies or diagnoses on one page."""

from pathlib import Path

from seqgen import diagnosis_report, run_report, study_report, sweep_report, trials
from seqgen.errors import UsageError


def report(workdir: Path) -> Path:
    """Writes report.html and report.md of what the directory holds; returns the page's path.

    Raises UsageError where that is nothing to report of.
    """
    if (workdir / "sweep.json").exists() or trials.seeds(workdir):
        return sweep_report.write(workdir)
    if (workdir / "config.json").exists():
        return run_report.write(workdir)
    if study_report.verdicts(workdir):
        return study_report.write(workdir)
    if diagnosis_report.records(workdir):
        return diagnosis_report.write(workdir)
    raise UsageError(f"{workdir} holds no run, no sweep, no verdict of a study and no diagnosis")
