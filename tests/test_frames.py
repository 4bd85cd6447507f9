"""Frames of a game in the plane are the same however often it is killed; its fakes find the data"""

import numpy as np
import pytest
import runs

from seqgen import config as configs
from seqgen import frames, report, verify
from seqgen.errors import UsageError


def game(size=8, **data):
    c = configs.default(dataset="points", model="gan", objective="adversarial")
    for name, value in ({"batch_size": 8, "test_size": 20} | data).items():
        c.dataset[name] = value
    c.model.encoder_sizes = c.model.decoder_sizes = (size,)
    c.model.latent_size = 4
    c.num_steps, c.log_every, c.eval_every, c.checkpoint_every, c.record_every = 24, 4, 24, 8, 4
    c.optimizer.rule, c.optimizer.learning_rate = "adam", 0.01
    return c


def unevaluated(session, interrupt):
    """Frames do not depend on what validation says."""
    del interrupt
    return session._replace(validate=lambda *_: dict.fromkeys(session.reports, 0.5))


def killed_in(call):
    """A session whose process ends in its n-th call, with nothing saved since the last time."""

    def change(session, interrupt):
        session, calls = unevaluated(session, interrupt), []

        def counted(*arguments):
            calls.append(arguments)
            if len(calls) == call:
                raise KeyboardInterrupt
            return session.call(*arguments)

        return session._replace(call=counted)

    return change


def recorded(workdir):
    return {file.name: file.read_bytes() for file in (workdir / "frames").iterdir()}


@pytest.mark.slow
def test_killed_and_resumed_leaves_the_same_frames_and_a_film_of_them(tmp_path):
    runs.run(game(), tmp_path / "whole", unevaluated)
    pieces = tmp_path / "pieces"
    with pytest.raises(KeyboardInterrupt):
        runs.run(game(), pieces, killed_in(6))
    assert runs.saved_steps(pieces)[-1] == 16
    assert frames.recording(pieces).steps == [0, 4, 8, 12, 16, 20]
    last = pieces / "frames" / "000000020.npz"
    last.write_bytes(last.read_bytes()[:100])
    with pytest.raises(UsageError, match="000000020.npz is damaged"):
        frames.moment(pieces, 20)
    runs.run(game(), pieces, unevaluated)
    whole = recorded(tmp_path / "whole")
    assert recorded(pieces) == whole
    assert len(whole) == 8 and len(set(whole.values())) == 8  # the real points, and seven moments
    assert frames.recording(pieces).real.shape == (20, 2)

    page = report.report(pieces).read_text()
    assert 'href="points.html"' in page and 'id="slider"' in page and "D(fake)" in page
    for name in ("points.gif", "points.html"):
        verdict = verify.verify(pieces / name)
        assert verdict.finding is verify.Finding.UNREPEATED
        assert "film of points in training, step 24" in verdict.sentence


def test_where_nothing_is_recorded_there_are_no_frames(tmp_path):
    frames.recorder(tmp_path, None, objective=None, dataset=None, arrays=None)(0, {})
    assert not list(tmp_path.iterdir())
    assert frames.recording(tmp_path) is None


def test_the_field_lies_around_the_points():
    edges, place_X2 = frames.plane_around(np.float32([[0, 1], [4, 3], [2, 2]]))
    np.testing.assert_allclose(edges, [-1, 5, 0.5, 3.5])
    rows_SS2 = place_X2.reshape(frames.SIDE, frames.SIDE, 2)
    np.testing.assert_allclose(rows_SS2[0, 0], [-1, 0.5])
    np.testing.assert_allclose(rows_SS2[0, -1], [5, 0.5])
    np.testing.assert_allclose(rows_SS2[-1, 0], [-1, 3.5])


@pytest.mark.slow
def test_more_and_more_fakes_come_within_reach_of_a_mode(tmp_path):
    c = game(64, batch_size=128, sigma=0.1)
    c.model.encoder_sizes = c.model.decoder_sizes = (64, 64, 64)
    c.num_steps = c.eval_every = c.checkpoint_every = 600
    c.log_every = c.record_every = 20
    c.objective.loss, c.objective.r1, c.objective.r2 = "non_saturating", 0.1, 0.1
    c.optimizer.learning_rate, c.optimizer.beta1, c.optimizer.beta2 = 2e-3, 0.0, 0.99
    runs.run(c, tmp_path, unevaluated)
    angle_M = np.arange(8) * np.pi / 4
    mode_M2 = np.stack([np.cos(angle_M), np.sin(angle_M)], axis=-1)
    steps = frames.recording(tmp_path).steps
    assert steps == list(range(0, 601, 20))
    shares = []
    for step in steps:
        away_NM2 = frames.moment(tmp_path, step).fake[:, None] - mode_M2
        shares.append(np.mean(np.linalg.norm(away_NM2, axis=-1).min(axis=1) < 3 * c.dataset.sigma))
    early, middle, late = (np.mean(part) for part in np.array_split(shares, 3))
    assert shares[0] < 0.15 and early < middle < late
    assert shares[-1] > 0.65, shares  # it was 0.77; of the data themselves 0.989
