"""Pages hold what they are given, escaped, and need nothing but themselves."""

import base64
import gzip
import json
import re

import pytest

from seqgen import page


def figures(shown):
    """The figures of a page, as the browser will read them."""
    return [
        json.loads(stored)
        for stored in re.findall(r'<script type="application/json">(.*?)</script>', shown, re.S)
    ]


def test_what_a_table_holds_is_escaped_in_html_and_in_markdown():
    rows = [("<b>", page.Cell("a|b", link="runs/a b/report.html")), ("two\nlines", "")]
    shown = page.table(("x & y", "z"), rows, sortable=True)
    assert "<b>" not in shown and "&lt;b&gt;" in shown
    assert '<a href="runs/a b/report.html">a|b</a>' in shown
    assert "<button>x &amp; y</button>" in shown
    assert page.markdown(("x & y", "z"), rows) == (
        "| x & y | z |\n| --- | --- |\n"
        "| <b> | [a\\|b](runs/a%20b/report.html) |\n| two lines |  |\n"
    )


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (0.25, "<td>0.25</td>"),
        (1 / 3, '<td data-key="0.3333333333333333">0.33333</td>'),
        (None, "<td></td>"),
        (float("nan"), '<td data-key="">nan</td>'),
        (float("inf"), '<td data-key="Infinity">inf</td>'),
        (1e-7, "<td>1e-07</td>"),
    ],
)
def test_a_number_is_rounded_and_sorts_by_all_its_digits(value, cell):
    assert page.table(("n",), [(page.number(value),)]).count(cell) == 1


def test_plotly_is_packed_into_pages_with_plots_and_into_no_others():
    offline = pytest.importorskip("plotly.offline")
    drawn = page.figure(title="</script><b>").add_scatter(x=[1, 2], y=[3.5, float("nan")])
    shown = page.whole("t", [page.plot(drawn), page.plot(drawn)])
    packed = re.findall(r'<script type="text/plain" id="plotly">([^<]*)</script>', shown)
    assert len(packed) == 1
    assert gzip.decompress(base64.b64decode(packed[0])).decode() == offline.get_plotlyjs()
    first, _ = figures(shown)
    assert first["data"][0]["y"] == [3.5, None]
    assert first["layout"]["title"]["text"] == "</script><b>"
    plain = page.whole("t", [page.table(("a",), [])])
    assert "<script" not in plain and len(plain) < 5000


def test_a_section_without_content_is_left_out():
    assert page.section("Samples", "", "") == ""
    assert page.section("A < B", "x") == "<h2>A &lt; B</h2>x"
