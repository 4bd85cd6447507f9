"""Pages of reports in a headless Chromium: no complaint, sorted tables, plots, points that move."""

import json
import re
import shutil
import subprocess
import threading
from urllib.parse import unquote

import numpy as np
import pytest
import sweeps
from test_animation import EDGES, REAL, moment

from seqgen import animation, page, report, run_directory

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
]
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-logging=stderr",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # no network: what would be loaded is complained of
    "--remote-debugging-port=0",  # stays until it is ended: a busy machine draws late
)
PATIENCE = 180  # seconds
ASK = """
<script type="module">
const plots = [...document.querySelectorAll('.plot')];
const drawn = () => plots.every(plot => plot.querySelector('.main-svg'));
while (!drawn()) await new Promise(wait => setTimeout(wait, 50));
const found = await (async () => { SCRIPT })();
console.info('FOUND:' + encodeURIComponent(JSON.stringify(found)) + ':FOUND');
</script>
"""


def asked(file, script):
    """(what a script in the opened page returns, what the console has said)."""
    copy = file.with_name("asked.html")
    copy.write_text(file.read_text() + ASK.replace("SCRIPT", script))
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={file.parent / 'profile'}", copy.as_uri()]
    lines, answer = [], None
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as browser:
        patience = threading.Timer(PATIENCE, browser.kill)
        patience.start()
        for line in browser.stderr:
            if answer := re.search("FOUND:(.*):FOUND", line):
                break
            lines.append(line)
        patience.cancel()
        browser.terminate()
    assert answer is not None, "".join(lines)
    return json.loads(unquote(answer[1])), [line for line in lines if "CONSOLE" in line]


def test_a_complaint_of_the_browser_is_heard(tmp_path):
    file = tmp_path / "page.html"
    file.write_text(page.whole("t", ['<script src="https://cdn.example/x.js"></script>']))
    _, console = asked(file, "console.error('planted'); return 0;")
    assert any("planted" in line for line in console)
    file.write_text(page.whole("t", ["<script>missing.call()</script>"]))
    assert any("missing" in line for line in asked(file, "return 0;")[1])


def test_a_runs_curves_are_drawn_and_say_their_values(tmp_path):
    pytest.importorskip("plotly")
    losses = {10: 3.0, 20: 2.0, 30: 1.0}
    sweeps.run(tmp_path / "run", sweeps.adding(), losses, {"loss": 1.5})
    found, console = asked(
        report.report(tmp_path / "run"),
        """
        const plot = document.querySelector('.plot');
        Plotly.Fx.hover(plot, [{curveNumber: 1, pointNumber: 1}]);
        await Plotly.relayout(plot, {'xaxis.range': [15, 35]});
        const reset = [...plot.querySelectorAll('.modebar-btn')].map(b => b.dataset.title);
        return {
          curves: plot.querySelectorAll('.trace.scatter').length,
          valid: plot.data.find(t => t.name === 'valid').y,
          hover: plot.querySelector('.hoverlayer').textContent,
          first: plot.querySelector('.xtick text').textContent,
          buttons: reset,
        };
        """,
    )
    assert console == []
    assert found["curves"] == 5  # the loss of training and validation, two norms, a rate
    assert found["valid"] == [3.0, 2.0, 1.0]
    assert "valid" in found["hover"] and "2" in found["hover"]
    assert 15 <= float(found["first"]) <= 20
    assert any("Zoom" in title for title in found["buttons"])
    assert not any("hare" in title or "loud" in title for title in found["buttons"])


def test_a_sweeps_table_sorts_numbers_by_value_and_leaves_gaps_last(tmp_path):
    pytest.importorskip("plotly")
    rates = [0.01, 1e-05, 0.3, 0.002]
    sweeps.sweep(tmp_path, [{"optimizer.learning_rate": r, "seed": 0} for r in rates])
    for number, (rate, loss) in enumerate(zip(rates, (20.0, 100.0, 3.0, None), strict=True)):
        if loss is not None:
            config = sweeps.adding(**{"optimizer.learning_rate": rate})
            sweeps.run(tmp_path / "runs" / str(number), config, {5: loss}, {"loss": loss})
    found, console = asked(
        report.report(tmp_path),
        """
        const table = [...document.querySelectorAll('table')].at(-1), result = {};
        const column = k => [...table.tBodies[0].rows].map(row => row.cells[k].textContent);
        for (const [k, head] of [...table.tHead.rows[0].cells].entries()) {
          const name = head.textContent;
          result[name] = [column(k)];
          head.querySelector('button').click();
          result[name].push(column(k), head.ariaSort);
          head.querySelector('button').click();
          result[name].push(column(k), head.ariaSort);
        }
        result.sorted = table.querySelectorAll('[aria-sort]').length;
        return result;
        """,
    )
    assert console == []
    upward, downward = ["1e-05", "0.002", "0.01", "0.3"], ["0.3", "0.01", "0.002", "1e-05"]
    assert found["learning_rate"][1:] == [upward, "ascending", downward, "descending"]
    assert found["valid loss"][1:4:2] == [["3", "20", "100", ""], ["100", "20", "3", ""]]
    assert found["state"][1] == ["done", "done", "done", "to do"]
    assert found["sorted"] == 1


def test_the_slider_moves_the_points(tmp_path):
    moments = [moment(step, fake=(x, 1)) for step, x in ((0, -1.5), (5, 0.0), (10, 1.5))]
    film = list(animation.draw(moments, REAL, EDGES))
    file = tmp_path / "points.html"
    file.write_text(page.whole("points (generated)", [animation.player(film)]))
    red = [round(255 * c) for c in animation.FAKE]
    found, console = asked(
        file,
        f"""
        const image = document.getElementById('shown'), places = [];
        const slider = document.getElementById('slider');
        for (const number of [0, 1, 2]) {{
          slider.value = number;
          slider.dispatchEvent(new Event('input'));
          await image.decode();
          const canvas = document.createElement('canvas');
          [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
          const draw = canvas.getContext('2d');
          draw.drawImage(image, 0, 0);
          const height = Math.floor(canvas.height * 7 / 8);  // above the key
          const data = draw.getImageData(0, 0, canvas.width, height).data, columns = [];
          for (let k = 0; k < data.length; k += 4)
            if ({red}.every((c, n) => Math.abs(data[k + n] - c) < 3))
              columns.push((k / 4) % canvas.width);
          const told = document.getElementById('told').textContent;
          places.push([columns.reduce((a, b) => a + b, 0) / columns.length, told]);
        }}
        document.getElementById('play').click();
        places.push(document.getElementById('play').textContent);
        return places;
        """,
    )
    assert console == []
    *places, playing = found
    (left, first), (middle, _), (right, last) = places
    np.testing.assert_allclose([middle - left, right - middle], (right - left) / 2, atol=1.5)
    assert right - left > 150
    assert first.startswith("step 0 ") and last.startswith("step 10 ")
    assert playing == "Pause"


def test_the_page_of_studies_opens(tmp_path):
    (tmp_path / "bias").mkdir()
    stored = {"claim": "bias", "sentence": "it is", "verdict": "REFUTED", "seconds": 75.0}
    stored |= dict.fromkeys(("checks", "references", "runs"), ())
    run_directory.write_json(tmp_path / "bias" / "verdict.json", stored)
    found, console = asked(
        report.report(tmp_path),
        "document.querySelector('td a').click(); return location.hash;",
    )
    assert (found, console) == ("#bias", [])
