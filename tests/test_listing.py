"""The verb `list` shows what there is to choose from."""

from seqgen import listing


def test_experiments_come_with_their_promise_and_variants(tmp_path):
    (tmp_path / "mine.py").write_text(
        '"""Mine.\n\nMore."""\nVARIANTS = ("small", "large")\n1 / 0\n'
    )
    (tmp_path / "plain.py").write_text('"""Plain."""\nVARIANTS = ("default",)\n')
    lines = [" ".join(line.split()) for line in listing.listing(tmp_path).splitlines()]
    assert lines[:4] == ["experiments", "mine Mine.", ":small :large", "plain Plain."]
    assert "gru, lstm, min_gru, rnn" in lines
