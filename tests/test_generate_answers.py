"""Answers out of a run directory: a line for each line, whatever else is asked at the same time."""

import gzip
import json

import jax
import numpy as np
import pytest
import runs

from seqgen import alignment, decoding, evaluate, generate, marks, report, samples, verify
from seqgen import config as configs
from seqgen import run as stored_runs
from seqgen.datasets import vocabulary
from seqgen.errors import UsageError

OPTIONS = decoding.Options()


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """(run, its best checkpoint) of an encoder and a decoder that have hardly learnt a thing."""
    c = configs.default(dataset="dates", model="encoder_decoder", objective="likelihood")
    c.dataset.batch_size, c.dataset.train_size, c.dataset.test_size = 8, 64, 16
    c.model.hidden_size = c.model.embedding_size = 8
    c.num_steps = c.log_every = c.eval_every = c.checkpoint_every = 8
    workdir = tmp_path_factory.mktemp("answers") / "run"
    runs.run(c, workdir)
    run = stored_runs.load(workdir)
    return run, stored_runs.parameters(run, "best")


def answered(opened, prompt, indices=range(1), seed=0, **options):
    return runs.texts(*opened, indices, prompt, decoding.Options(**options), seed)


def test_every_line_is_answered_on_a_line_alone_or_among_others(opened):
    lines = [f"{day} May 1987" for day in range(1, samples.BLOCK + 4)]
    (together,) = answered(opened, "\n".join(lines))
    assert len(together.splitlines()) == len(lines)
    (first,) = answered(opened, lines[0])
    assert together.splitlines()[0] == first.rstrip("\n")
    greedy = answered(opened, "\n".join(lines), temperature=0.0)[0].splitlines()
    for place in (0, 5, samples.BLOCK + 2):
        assert answered(opened, lines[place], temperature=0.0) == [f"{greedy[place]}\n"]


def test_greedy_answers_are_the_plain_loop(opened):
    """Against repeated full passes of the model over the growing answer."""
    run, found = opened
    data = configs.part("dataset", "dates")
    model = configs.part("model", run.config.model.name).make(
        configs.options(run.config, "model"), run.spec
    )
    tokens, longest = data.encode(run.spec, "3 May 1987")[None], run.spec["targets"]["length"]
    forward = jax.jit(lambda t: model.apply({"params": found.params["model"]}, tokens, targets=t))
    written = []
    while len(written) < longest and 0 not in written:
        # what comes after the next token has no influence on it
        targets = np.pad(np.asarray(written, np.int32), (0, longest - len(written)))
        written.append(int(np.argmax(forward(targets[None])[1][0, len(written)])))
    expected = data.decode(run.spec, np.asarray(written))
    assert answered(opened, "3 May 1987", temperature=0.0) == [f"{expected}\n"]


def test_samples_of_an_index_are_the_same_again_and_differ_from_others(opened):
    first = answered(opened, "3 May 1987\n4 May 1987", range(3))
    assert first == answered(opened, "3 May 1987\n4 May 1987", range(3))
    assert len(set(first)) == 3


def test_a_beams_samples_are_its_answers_in_their_order(opened):
    every = answered(opened, "3 May 1987", range(4), beam=4)
    assert len(set(every)) == 4
    assert [every[2]] == answered(opened, "3 May 1987", range(2, 3), beam=4)
    assert answered(opened, "3 May 1987", beam=1) == answered(opened, "3 May 1987", temperature=0.0)
    with pytest.raises(UsageError, match="a beam of 2 finds so many answers, not 3"):
        answered(opened, "3 May 1987", range(3), beam=2)


def teacher_forced(opened, line, text):
    """The log-likelihood of an answer in nats, in one pass over its characters and the end."""
    run, found = opened
    data, longest = configs.part("dataset", "dates"), run.spec["targets"]["length"]
    model = configs.model(run.config, run.spec)
    written = np.append(vocabulary.encode(run.spec["target_vocabulary"], text), 0)[:longest]
    tokens = data.encode(run.spec, line)[None]
    _, logits = model.apply({"params": found.params["model"]}, tokens, targets=written[None])
    log_p = jax.nn.log_softmax(logits[0])
    return float(sum(log_p[place, token] for place, token in enumerate(written)))


def record(file):
    return json.loads(marks.record_of(file).read_text())


def test_the_record_of_a_beam_has_the_likelihood_of_each_answer(opened):
    lines, options = ["3 May 1987", "1/1/2000"], decoding.Options(beam=3)
    files = generate.generate(*opened, 2, "\n".join(lines), options, 0)
    for file in files:
        found = record(file)["log_likelihoods"]
        assert len(found) == len(lines)
        for line, text, nats in zip(lines, file.read_text().splitlines(), found, strict=True):
            assert nats == pytest.approx(teacher_forced(opened, line, text), abs=1e-3)
    assert verify.verify(files[1]).finding is verify.Finding.GENERATED
    (alone,) = generate.generate(*opened, 1, lines[1], options, 0)
    assert record(alone)["log_likelihoods"] == pytest.approx(
        record(files[0])["log_likelihoods"][1:], abs=1e-4
    )


def test_all_candidates_of_a_beam_are_listed_in_one_file(opened):
    lines, options = ["3 May 1987", "1/1/2000"], decoding.Options(beam=4, n_best=3)
    (file,) = generate.generate(*opened, 1, "\n".join(lines), options, 0)
    rows = [row.split(" ||| ") for row in file.read_text().splitlines()]
    assert [row[0] for row in rows] == ["0"] * 3 + ["1"] * 3
    for rank, alone in enumerate(answered(opened, "\n".join(lines), range(3), beam=4)):
        assert alone.splitlines() == [rows[rank][1], rows[3 + rank][1]]
    nats = [[float(row[2]) for row in rows[:3]], [float(row[2]) for row in rows[3:]]]
    assert nats == [sorted(one, reverse=True) for one in nats]
    np.testing.assert_allclose(record(file)["log_likelihoods"], nats, atol=1e-4)
    assert verify.verify(file).finding is verify.Finding.GENERATED
    with pytest.raises(UsageError, match="leave out --num"):
        answered(opened, lines[0], range(2), beam=4, n_best=3)
    with pytest.raises(UsageError, match="take a beam"):
        answered(opened, lines[0], n_best=3)


def test_answers_that_there_are_not_are_neither_listed_nor_given(opened):
    count = opened[0].spec["targets"]["size"]  # answers of one token
    options = {"length": 1, "beam": count + 2}
    (listed,) = answered(opened, "3 May 1987", n_best=count + 1, **options)
    assert len(listed.splitlines()) == count and "inf" not in listed
    assert len(answered(opened, "3 May 1987", range(count), **options)) == count
    with pytest.raises(UsageError, match=f"fewer than {count + 1} answers"):
        answered(opened, "3 May 1987", range(count + 1), **options)


def test_answers_longer_than_any_may_be_are_refused(opened):
    longest = opened[0].spec["targets"]["length"]
    with pytest.raises(UsageError, match=f"min_length=99 is more than the length of {longest}"):
        answered(opened, "3 May 1987", min_length=99)
    with pytest.raises(UsageError, match="min_length=99 is more than the length of"):
        evaluate.refuse_search(opened[0], decoding.Options(temperature=0.0, min_length=99))


def test_who_chooses_among_which_tokens_to_draw_draws(opened):
    run = opened[0]
    assert generate.usual(run, top_k=None, length=3).temperature == 0
    for chosen in ({"top_k": 3}, {"top_p": 0.9}):
        assert generate.usual(run, **chosen) == decoding.Options(temperature=1.0, **chosen)
        assert generate.usual(run, temperature=0.5, **chosen).temperature == 0.5


def test_answers_that_a_beam_is_too_wide_for_have_no_likelihood():
    assert samples.plain(np.asarray([[-1.25, -np.inf]])) == [[-1.25, None]]


def test_beside_answers_is_a_picture_of_attention_with_a_mark_of_its_own(opened):
    lines = ["3 May 1987", "1/1/2000", "2 May 1987", "4 May 1987"]
    (file,) = generate.generate(*opened, 1, "\n".join(lines), OPTIONS, 3)
    picture = file.with_name(f"{file.stem}-attention.png")
    assert record(picture)["generated"] is True
    verdict = verify.verify(picture)
    assert verdict.finding is verify.Finding.UNREPEATED
    assert file.name in verdict.sentence
    assert f'alt="{picture.stem}"' in report.report(opened[0].workdir).read_text()
    picture.write_bytes(picture.read_bytes() + b"!")
    assert verify.verify(picture).finding is verify.Finding.ALTERED


def test_the_attention_of_an_answer_depends_on_no_other(opened):
    run, found = opened
    lines = ["3 May 1987", "the 1 of January 2000"]
    (made,) = samples.make(run, found, range(1), "\n".join(lines), OPTIONS, 0)
    together = alignment.weights(run, found, made.answers)
    for pair, weights in zip(made.answers, together, strict=True):
        assert weights.shape == (len(pair.written), len(pair.read))
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
        (alone,) = alignment.weights(run, found, [pair])
        np.testing.assert_allclose(weights, alone, atol=1e-6)
    labels = alignment.tokens(run.spec["vocabulary"], made.answers[1].read)
    assert "".join(labels) == lines[1]


def test_answers_are_marked_and_made_again(opened):
    (file,) = generate.generate(*opened, 1, "3 May 1987\n1/1/2000", OPTIONS, 7)
    assert verify.verify(file).finding is verify.Finding.GENERATED
    file.write_text("1987-05-03\n2000-01-01\n")
    assert verify.verify(file).finding is verify.Finding.ALTERED


def test_inputs_that_can_not_be_answered_are_refused(opened, tmp_path):
    for place, prompt in ((1, ""), (2, "3 May 1987\n\n"), (2, "3 May 1987\n  \n3 May 1987")):
        with pytest.raises(UsageError, match=f"line {place} of the input is empty: .* nothing to"):
            answered(opened, prompt)
    with pytest.raises(UsageError, match="line 2 of the input: .* '€' is not in the vocabulary"):
        answered(opened, "3 May 1987\n3 May €")
    with pytest.raises(UsageError, match="can't be read"):
        generate.given(opened[0], None, tmp_path / "missing")
    (tmp_path / "bytes").write_bytes(b"3\n\xff")
    with pytest.raises(UsageError, match="line 2 is not UTF-8"):
        generate.given(opened[0], None, tmp_path / "bytes")


def test_a_newline_alone_ends_a_line_of_the_input(opened, tmp_path):
    run = opened[0]
    data, lines = configs.part("dataset", "dates"), ["3 May 1987", "1/1/2000"]
    expected = [data.encode(run.spec, line).tolist() for line in lines]
    content = "\ufeff" + "\r\n".join(lines) + "\r\n"
    (tmp_path / "lines").write_bytes(content.encode())
    (tmp_path / "lines.gz").write_bytes(gzip.compress(content.encode()))
    for name in ("lines", "lines.gz"):
        found = samples.asked(run, generate.given(run, None, tmp_path / name))
        assert [tokens.tolist() for tokens in found] == expected
    with pytest.raises(UsageError, match="line 1 of the input: .*2028.* is not in the vocabulary"):
        samples.asked(run, "\u2028".join(lines))


def test_an_input_longer_than_any_of_the_data_is_answered(opened):
    assert answered(opened, "3 May 1987 " * 20)


def test_answers_are_usually_greedy(opened):
    run, found = opened
    usual = runs.texts(run, found, range(1), "3 May 1987", generate.usual(run), 0)
    assert usual == answered(opened, "3 May 1987", temperature=0.0)
    assert usual != answered(opened, "3 May 1987", temperature=5.0)
