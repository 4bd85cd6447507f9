"""The film of a game of points in the plane: points.gif and points.html, drawn from `frames/`.

Fake points start anywhere and are drawn to the real ones; behind them is the discriminator's field.
The page holds all that it shows, and has a button to play and a slider; the same player is in the
report. `run_report.py` calls it.
"""

import base64
import html
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from PIL import Image

from seqgen import frames, marks, page
from seqgen.run import Run

MOST = 120  # frames shown, whatever was recorded
ARROWS = 60  # fakes whose pull is drawn
LONGEST = 0.08  # of the width: an arrow at the 90th percentile of its frame
MILLISECONDS = 80  # from frame to frame

# Of few colours, so that page and GIF are small: those of the field, from 0 to 1, those of the
# marks, and half-way to white, at the edges of what is drawn.
SHADES = 1 - 0.55 * (1 - matplotlib.colormaps["RdBu"](np.linspace(0, 1, 32))[:, :3])
REAL, FAKE, BLACK, WHITE = np.array([[0.03, 0.19, 0.42], [0.7, 0, 0.06], [0, 0, 0], [1, 1, 1]])
MARKS = np.stack([REAL, FAKE, BLACK])
PALETTE = Image.new("P", (1, 1))
PALETTE.putpalette(
    (255 * np.concatenate([SHADES, MARKS, (1 + MARKS) / 2, [WHITE]]))
    .round()
    .astype(int)
    .flatten()
    .tolist()
)

SCRIPT = """
const shown = document.getElementById('shown'), play = document.getElementById('play');
const slider = document.getElementById('slider'), told = document.getElementById('told');
let timer = null;
function show(number) {
  slider.value = number;
  shown.src = 'data:image/png;base64,' + film[number].png;
  shown.alt = told.textContent = film[number].told;
}
function stop() {
  clearInterval(timer);
  timer = null;
  play.textContent = 'Play';
}
function next() {
  const number = Number(slider.value) + 1;
  if (number < film.length) show(number);
  if (number >= film.length - 1) stop();
}
play.onclick = () => {
  if (timer !== null) return stop();
  if (Number(slider.value) === film.length - 1) show(0);
  timer = setInterval(next, MILLISECONDS);
  play.textContent = 'Pause';
};
slider.oninput = () => { stop(); show(Number(slider.value)); };
show(film.length - 1);
"""
CAPTION = (
    "Generated. Blue points are real, red ones fake: what the generator makes of the same noise at "
    "every step, with the parameters as they are trained, not their averages. The field is D(x), "
    "the discriminator's probability that a point is real, red below 1/2 and blue above. Arrows "
    "show where the generator's loss would have some of the fake points go; their lengths compare "
    "within a frame."
)


class Picture(NamedTuple):
    """One frame as it is shown."""

    image: Image.Image  # of few colours
    told: str  # its step and the means of D


class Film(NamedTuple):
    """What there is to see of a recording."""

    player: str  # for a page
    files: tuple[Path, Path]


def animate(run: Run) -> Film | None:
    """Writes points.gif and points.html of a run that has recorded frames; else None."""
    found = frames.recording(run.workdir)
    if found is None:
        return None
    moments = [frames.moment(run.workdir, step) for step in spread(found.steps, MOST)]
    film = list(draw(moments, found.real, found.edges))
    shown, title = player(film), f"{run.workdir.resolve().name}: points in training (generated)"
    files = {"points.gif": gif(film), "points.html": page.whole(title, [shown]).encode()}
    for file, content in files.items():
        record = marks.in_training(run, found.steps[-1]) | {"what": "film of points in training"}
        marks.write(run.workdir / file, content, record)
    return Film(shown, tuple(run.workdir / file for file in files))


def spread(steps: list[int], most: int) -> list[int]:
    """At most so many of them, the first and the last among them, evenly spread."""
    if len(steps) <= most:
        return steps
    return [steps[i] for i in np.linspace(0, len(steps) - 1, most).round().astype(int)]


def draw(
    moments: list[frames.Moment],
    real_N2: np.ndarray,
    edges: tuple[float, float, float, float],
) -> Iterator[Picture]:
    """A picture of each moment: what stands still is drawn but once."""
    figure = Figure(figsize=(6, 5.6), dpi=80, layout="constrained")
    canvas, axes, reach = FigureCanvasAgg(figure), figure.subplots(), contrast(moments)
    field = axes.imshow(
        np.zeros((2, 2)),
        extent=edges,
        origin="lower",
        norm=Normalize(0.5 - reach, 0.5 + reach),
        cmap=ListedColormap(SHADES),
        interpolation="bilinear",
    )
    reals = axes.scatter(*real_N2.T, s=5, color=REAL, lw=0, label="real")
    fakes = axes.scatter([0], [0], s=9, color=FAKE, lw=0, label="fake")
    nowhere_A = np.zeros(len(moments[0].pull[:ARROWS]))
    pulls = axes.quiver(*[nowhere_A] * 4, angles="xy", scale_units="xy", scale=1, width=0.003)
    axes.set(xlim=edges[:2], ylim=edges[2:])
    axes.set_title(" ", fontsize=9)  # keeps its place
    figure.legend(loc="outside lower center", ncols=2, markerscale=2, fontsize=8, frameon=False)
    figure.colorbar(field, shrink=0.8, label="D(x)", extend="both" if reach < 0.5 else "neither")
    moving = (field, reals, fakes, pulls, *axes.spines.values(), axes.title)
    for artist in moving:
        artist.set_animated(True)
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)
    for moment in moments:
        told = f"step {moment.step:,}   D(real) {moment.d_real:.3f}   D(fake) {moment.d_fake:.3f}"
        axes.title.set_text(f"{told}   (generated)")
        field.set_data(moment.field)
        fakes.set_offsets(moment.fake)
        pulls.set_offsets(moment.fake[:ARROWS])
        pulls.set_UVC(*arrows(moment.pull[:ARROWS], edges[1] - edges[0]).T)
        canvas.restore_region(still)
        for artist in moving:
            axes.draw_artist(artist)
        drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        yield Picture(drawn.quantize(palette=PALETTE, dither=Image.Dither.NONE), told)


def contrast(moments: list[frames.Moment]) -> float:
    """How far from 1/2 the colours of the field reach, so that they show what there is of it.

    A discriminator that pays for its slopes may stay near 1/2 everywhere; the first frame says
    nothing, since nobody has learnt anything yet.
    """
    fields = [moment.field for moment in moments[1:] or moments]
    away = [np.percentile(np.abs(f - 0.5), 95) for f in fields if np.isfinite(f).all()]
    return float(np.clip(max(away, default=0.5), 0.01, 0.5))


def arrows(pull_A2: np.ndarray, width: float) -> np.ndarray:
    """The pulls, scaled so that most are short beside the width; none where they aren't finite."""
    pull_A2 = np.where(np.isfinite(pull_A2).all(axis=1, keepdims=True), pull_A2, 0.0)
    size_A = np.linalg.norm(pull_A2, axis=1)
    usual = np.percentile(size_A, 90)
    if usual == 0:
        return np.zeros_like(pull_A2)
    cut_A = np.minimum(1.0, 2 * usual / np.maximum(size_A, usual))  # the few that are far longer
    return pull_A2 * cut_A[:, None] * (LONGEST * width / usual)


def gif(film: list[Picture]) -> bytes:
    first, *others = (picture.image for picture in film)
    content = io.BytesIO()
    first.save(
        content,
        format="GIF",
        save_all=True,
        append_images=others,
        duration=[MILLISECONDS] * (len(film) - 1) + [20 * MILLISECONDS],  # rests at the end
        loop=0,
        comment=b"generated",
    )
    return content.getvalue()


def player(film: list[Picture]) -> str:
    """All frames with their controls, for a page."""
    shown = [{"told": picture.told, "png": png(picture.image)} for picture in film]
    return (
        '<img id="shown" alt=""><p class="controls"><button id="play">Play</button>'
        f'<input id="slider" type="range" min="0" max="{len(film) - 1}" value="0" '
        'aria-label="moment of the training"></p>'
        f'<p><output id="told"></output></p><p>{html.escape(CAPTION)}</p>'
        f"<script>{{const film = {json.dumps(shown)};\n"
        f"{SCRIPT.replace('MILLISECONDS', str(MILLISECONDS))}}}</script>"
    )


def png(image: Image.Image) -> str:
    content = io.BytesIO()
    image.save(content, format="PNG", optimize=True)
    return base64.b64encode(content.getvalue()).decode()
