"""A cell of the user's own: the README's is held to the suite, trains, and is found again."""

import re
import sys

import numpy as np
import pytest
import runs
from absl import flags

from seqgen import cells, config, overrides, run_directory
from seqgen import run as stored_runs
from seqgen.cells import Cell
from seqgen.errors import UsageError
from seqgen.testing import check_cell

README = (runs.ROOT / "README.md").read_text()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that Python finds; it is forgotten after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)
    yield lambda name, text: (tmp_path / f"{name}.py").write_text(text)
    for name in set(sys.modules) - known:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def test_the_readmes_cell_passes_trains_and_is_found_again(module, tmp_path):
    section = README.split("## A cell of your own")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 10
    module("mycell", code)
    (flag,) = re.findall(r"--config\.model\.cell=\S+", section)
    values = flags.FlagValues()
    arguments = ["train", runs.experiment("procedural", tmp_path), flag, "--config.num_steps=8"]
    rest, _ = overrides.from_command_line(arguments, values)
    values(rest)
    c = values.config
    config.validate(c)
    check_cell(cells.named(c.model.cell))
    runs.run(c, tmp_path / "run")
    records = run_directory.read_metrics(tmp_path / "run")
    assert all(np.isfinite(r["loss"]) for r in records if r["split"] == "train")
    found = stored_runs.load(tmp_path / "run")
    assert f"--config.model.cell={found.config.model.cell}" == flag
    params = stored_runs.parameters(found, "latest").params["model"]
    assert params["recurrent"]["layer_0"]["w_h_DG"].shape == (8, 2 * 8)
    del sys.modules["mycell"]
    (tmp_path / "mycell.py").unlink()
    with pytest.raises(UsageError, match="'mycell:cell': no module mycell lies beside launch.py"):
        stored_runs.parameters(stored_runs.load(tmp_path / "run"), "latest")


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("nowhere:cell", "no module nowhere lies beside launch.py or in a folder of PYTHONPATH"),
        ("nowhere.deeper:cell", "no module nowhere lies"),
        ("typing.deeper:cell", "no module typing.deeper lies"),
        (":cell", "can't be imported: ValueError: Empty module name"),
        ("failing:cell", "failing can't be imported: ZeroDivisionError: division by zero"),
        ("mixing:cell", "mixing can't be imported: UsageError: this step mixes units"),
        ("hungry:cell", "hungry can't be imported: ModuleNotFoundError: No module named 'torche'"),
        ("several:cel", "several has no Cell of that name; it has: cell, unnamed"),
        ("several:step", "several has no Cell of that name"),
        ("several:", "several has no Cell of that name"),
        ("typing:cell", "typing has no Cell of that name; it has: none"),
        ("several:unnamed", "has 1 gates, and names for 0: gates=()"),
    ],
)
def test_what_is_no_cell_is_one_sentence(reference, sentence, module):
    module("failing", "1 / 0")
    module("hungry", "import torche")
    module(
        "several",
        "from seqgen.cells import Cell\nstep = lambda x, h, carry: (x + h,)\n"
        "cell, unnamed = Cell(1, 1, step, gates=('a',)), Cell(1, 1, step)",
    )
    module(
        "mixing",
        "from seqgen.cells import elementwise\n"
        "cell = elementwise(lambda x, h, carry: (x + h[..., ::-1],), 1, 1)",
    )
    with pytest.raises(UsageError) as raised:
        cells.named(reference)
    said = str(raised.value)
    assert said.startswith(f"cell {reference!r}") and sentence in said and "\n" not in said


def test_a_name_that_has_no_module_says_how_one_is_named():
    with pytest.raises(UsageError, match="MODULE:NAME of your own"):
        cells.named("mycell")


def test_a_cell_of_ones_own_is_the_same_each_time(module):
    module("mine", "from seqgen.cells import Cell\ncell = Cell(1, 1, print, gates=('a',))")
    assert isinstance(cells.named("mine:cell"), Cell)
    assert cells.named("mine:cell") is cells.named("mine:cell")
