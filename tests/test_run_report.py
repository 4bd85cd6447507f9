"""A run's page shows what its records say, with Plotly and without."""

import json

import pytest
import sweeps
from test_page import figures

from seqgen import config as configs
from seqgen import curves, page, report, run_directory

LOSSES = {10: 3.0, 20: float("nan"), 30: 1.0}


@pytest.fixture
def run(tmp_path):
    config = sweeps.adding(**{"model.cell": "gru", "optimizer.clip_norm": 1.0})
    sweeps.run(tmp_path, config, LOSSES, {"loss": 1 / 3})
    record = {"step": 30, "split": "train", "rare": 7.0, "verdict": "alike"}
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write(json.dumps(record) + "\n")
    return tmp_path


def test_curves_hold_the_records(run):
    pytest.importorskip("plotly")
    main, others = figures(report.report(run).read_text())
    drawn = {trace["name"]: trace for trace in main["data"]}
    assert drawn["valid"]["x"] == [10, 20, 30]
    assert drawn["valid"]["y"] == [3.0, None, 1.0]
    assert drawn["norm before clipping"]["y"] == [1.0] * 3
    assert drawn["norm after"]["y"] == [0.5] * 3
    assert drawn["learning rate"]["y"] == [0.01] * 3
    assert [(t["meta"], t["x"], t["y"]) for t in others["data"]] == [("rare", [30], [7.0])]
    (menu,) = others["layout"]["updatemenus"]
    assert [button["label"] for button in menu["buttons"]] == ["rare"]


def test_the_menu_shows_one_number_at_a_time(run):
    pytest.importorskip("plotly")
    records = [
        {"step": step, "split": split, "loss": 1.0, "b": 2.0, "accuracy": 0.5}
        for step in (1, 2)
        for split in ("train", "valid")
    ]
    unit = curves.Meaning("%", larger_is_better=True)
    figure = curves.the_others(records, {"accuracy": unit})
    names = [trace.meta for trace in figure.data]
    assert names == ["accuracy", "accuracy", "b", "b"]  # what is reported first
    assert [trace.visible for trace in figure.data] == [True, True, False, False]
    for button, name in zip(figure.layout.updatemenus[0].buttons, ("accuracy", "b"), strict=True):
        seen, title = button.args
        assert [n for n, one in zip(names, seen["visible"], strict=True) if one] == [name] * 2
        assert title == {"yaxis.title.text": "accuracy [%]" if name == "accuracy" else "b"}
    assert curves.the_others([{"step": 1, "split": "train", "loss": 1.0}], {}) is None


def test_without_plotly_there_are_pictures_and_a_word(run, monkeypatch):
    monkeypatch.setattr(page, "has_plots", lambda: False)
    shown = report.report(run).read_text()
    assert '<img alt="curves"' in shown and "seqgen[report]" in shown
    assert "<script" not in shown


def test_tables_say_results_and_what_differs_from_the_defaults(run):
    shown, told = report.report(run).read_text(), (run / "report.md").read_text()
    config = configs.from_json(run_directory.read_json(run / "config.json"))
    plain = configs.default(dataset="adding", model="many_to_one", objective="likelihood")
    assert "<td>valid, step 30</td><td>1</td>" in shown.replace(' data-key="1.0"', "")
    assert '<td data-key="0.3333333333333333">0.33333</td>' in shown
    differ = [n for n, v in configs.fields(config).items() if configs.fields(plain)[n] != v]
    assert set(differ) == {
        "model.cell",
        "optimizer.clip_norm",
        "dataset.length",
        "dataset.test_size",
    }
    for name in differ:
        value, usual = configs.fields(config)[name], configs.fields(plain)[name]
        assert f"<td>{name}</td><td>{value}</td><td>{usual}</td>" in shown
        assert f"| {name} | {value} | {usual} |" in told
    assert "model.hidden_size" not in shown
