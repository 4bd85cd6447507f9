"""What the pages of reports are made of: tables, pictures, plots; each page needs only itself.

Plots are Plotly's. It is packed into the page, which so needs no network and sends nothing, and
unpacked by the browser: two fifths of the size are worth the few lines, where there are many runs.
"""

import base64
import functools
import gzip
import html
import importlib.util
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqgen.errors import require

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; }
td, th { border-bottom: 1px solid #ccc; padding: .2rem .8rem .2rem 0; text-align: left; }
th { vertical-align: bottom; }
.numbers :is(th, td):not(:first-child) { text-align: right; padding-left: 1rem; }
.numbers td { font-variant-numeric: tabular-nums; white-space: nowrap; }
th button { font: inherit; text-align: inherit; border: 0; padding: 0; background: none;
  cursor: pointer; }
th button::after { content: '\\a0\\2195'; color: #999; }
th[aria-sort=ascending] button::after { content: '\\a0\\2191'; color: #000; }
th[aria-sort=descending] button::after { content: '\\a0\\2193'; color: #000; }
img { max-width: 100%; }
.controls { display: flex; gap: 1rem; align-items: center; max-width: 40rem; }
.controls button { font: inherit; width: 5rem; }
.controls input { flex: 1; }
output { font-variant-numeric: tabular-nums; }
pre { background: #f4f4f2; padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere; }
"""
# What is a number sorts by its value, whatever is not sorts as text, and empty cells come last.
SORT = """
const key = (row, cell) => row.cells[cell].dataset.key ?? row.cells[cell].textContent;
function compare(a, b, sign) {
  if (a === '' || b === '') return (a === '') - (b === '');
  const order = a - b;
  return sign * (Number.isNaN(order) ? a.localeCompare(b) : order);
}
for (const head of document.querySelectorAll('.sortable th')) head.onclick = () => {
  const body = head.closest('table').tBodies[0], cell = head.cellIndex;
  const direction = head.ariaSort === 'ascending' ? 'descending' : 'ascending';
  const sign = direction === 'ascending' ? 1 : -1;
  for (const other of head.parentNode.cells) other.ariaSort = null;
  head.ariaSort = direction;
  body.append(...[...body.rows].sort((a, b) => compare(key(a, cell), key(b, cell), sign)));
};
"""
DRAW = """
const packed = atob(document.getElementById('plotly').textContent);
const template = JSON.parse(document.getElementById('template').textContent);
const bytes = Uint8Array.from(packed, letter => letter.charCodeAt(0));
const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
new Response(unpacked).text().then(library => {
  const script = document.createElement('script');
  script.text = library;
  document.head.append(script);
  for (const place of document.querySelectorAll('.plot')) {
    const figure = JSON.parse(place.textContent);
    place.replaceChildren();
    Plotly.newPlot(place, figure.data, {...figure.layout, template}, {
      responsive: true,
      displaylogo: false,
      showSendToCloud: false,
    });
  }
});
"""
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd") + (
    "#8c564b",
    "#e377c2",
    "#7f7f7f",
    "#bcbd22",
    "#17becf",
)  # fmt: skip  (as Matplotlib's C0 to C9)
ABOVE = {"x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}  # a plot
WITHOUT = "Curves to zoom into come with the extra 'report': pip install 'seqgen[report]'."


class Cell(NamedTuple):
    """A cell of a table that is more than its text."""

    text: str
    key: float | None = None  # what it is sorted by, where that is not the text
    link: str | None = None  # a file, relative to the page

    def __str__(self) -> str:
        return self.text


def whole(title: str, sections: Sequence[str]) -> str:
    """The page, with the scripts that its sections need."""
    body, scripts = "".join(sections), []
    if ' sortable"' in body:
        scripts.append(f"<script>{{{SORT}}}</script>")
    if '<div class="plot"' in body:
        scripts.append(f'<script type="text/plain" id="plotly">{_library()}</script>')
        scripts.append(f'<script type="application/json" id="template">{_template()}</script>')
        scripts.append(f"<script>{{{DRAW}}}</script>")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><body><h1>{html.escape(title)}</h1>{body}"
        f"{''.join(scripts)}</body></html>\n"
    )


def section(heading: str, *content: str) -> str:
    """Empty where there is no content."""
    shown = "".join(content)
    return f"<h2>{html.escape(heading)}</h2>{shown}" if shown else ""


def paragraph(words: str) -> str:
    return f"<p>{html.escape(words)}</p>" if words else ""


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[Any]],
    style: str = "words",
    *,
    sortable: bool = False,
) -> str:
    """Rows as an HTML table of that class; every value escaped. A click on a header may sort it."""
    names = [html.escape(name) for name in header]
    if sortable:
        style, names = f"{style} sortable", [f"<button>{name}</button>" for name in names]
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return (
        f'<div class="wide"><table class="{style}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(value: Any) -> str:
    shown = html.escape(str(value))
    if not isinstance(value, Cell):
        return f"<td>{shown}</td>"
    if value.link is not None:
        shown = f'<a href="{html.escape(value.link)}">{shown}</a>'
    if value.key is None:
        return f"<td>{shown}</td>"
    key = "" if math.isnan(value.key) else json.dumps(value.key)  # also Infinity, as JavaScript
    return f"<td>{shown}</td>" if key == value.text else f'<td data-key="{key}">{shown}</td>'


def markdown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """The same rows as a table of Markdown."""
    lines = [list(header), ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(map(_marked, line))} |\n" for line in lines)


def _marked(value: Any) -> str:
    words = " ".join(str(value).replace("\\", "\\\\").replace("|", "\\|").split())
    link = value.link if isinstance(value, Cell) else None
    if link is None or link.startswith("#"):  # of the page itself
        return words
    return f"[{words}]({link.replace(' ', '%20')})"


def folded(summary: str, content: str) -> str:
    """Content that a click on its summary shows."""
    return f"<details><summary>{html.escape(summary)}</summary>{content}</details>"


def number(value: float | None, digits: int = 5) -> Cell:
    """So many digits of it; an empty cell for what there is not."""
    if value is None:
        return Cell("", math.nan)
    return Cell(f"{value:.{digits}g}", value)


def counted(words: Sequence[str]) -> str:
    """Of each word how often it is there: "2 DONE, 1 FAILED"."""
    return ", ".join(f"{words.count(word)} {word}" for word in sorted(set(words)))


def text(file: Path) -> str:
    content = html.escape(file.read_text("utf-8"))
    return f"<p>{html.escape(file.name)} (generated)</p><pre>{content}</pre>"


def image(file: Path) -> str:
    kind, data = file.suffix[1:], base64.b64encode(file.read_bytes()).decode()
    return f'<p><img alt="{html.escape(file.stem)}" src="data:image/{kind};base64,{data}"></p>'


def has_plots() -> bool:
    """Whether Plotly is installed."""
    return importlib.util.find_spec("plotly") is not None


def figure(**layout: Any) -> Any:
    """An empty figure of Plotly for a page. Raises UsageError where it isn't installed."""
    graph_objects = require("plotly.graph_objects", "report")
    # the page brings one template for all its plots: to copy it into each takes longer than they do
    empty = graph_objects.Figure(layout={"template": {}, "colorway": COLOURS})
    return empty.update_layout(margin={"l": 70, "r": 20, "t": 40, "b": 50}, **layout)


def plot(drawn: Any) -> str:
    """A figure of Plotly, drawn when the page is opened."""
    stored = drawn.to_json().replace("<", "\\u003c")  # no end of the script
    height = drawn.layout.height or 450
    return (
        f'<div class="plot" style="height: {height}px">'
        f'<script type="application/json">{stored}</script></div>'
    )


def dropdown(choices: dict[str, list[bool | str]], titles: Sequence[str]) -> dict[str, Any]:
    """A menu that says which traces are seen: label -> one truth for each; titles of the y axis."""
    buttons = [
        {
            "label": label,
            "method": "update",
            "args": [{"visible": seen}, {"yaxis.title.text": title}],
        }
        for (label, seen), title in zip(choices.items(), titles, strict=True)
    ]
    return {"buttons": buttons, **ABOVE}


def scales(*axes: str) -> dict[str, Any]:
    """Buttons that choose between a linear and a logarithmic scale of axes such as "yaxis"."""
    buttons = [
        {"label": kind, "method": "relayout", "args": [{f"{a}.type": kind for a in axes}]}
        for kind in ("linear", "log")
    ]
    return {"type": "buttons", "direction": "right", "buttons": buttons, **ABOVE}


@functools.cache  # a process may write the pages of many runs
def _library() -> str:
    packed = gzip.compress(require("plotly.offline", "report").get_plotlyjs().encode(), mtime=0)
    return base64.b64encode(packed).decode()


@functools.cache
def _template() -> str:
    """What axes, grids and colours look like where a plot doesn't say."""
    templates = require("plotly.io", "report").templates
    return json.dumps(templates["simple_white"].to_plotly_json())
